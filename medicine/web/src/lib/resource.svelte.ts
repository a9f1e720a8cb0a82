import { ApiError, fetchGet, fetchPublic } from "./api.js";

/** Something fetched that pages only read. It keeps the last value while a newer one is on its way. */
export class Resource<T> {
  value = $state.raw<T | undefined>();
  error = $state.raw<ApiError | undefined>();
  #latest = 0;

  constructor(private readonly fetcher: () => Promise<T>) {}

  /** Fetches the value. It never rejects: what goes wrong is in `error`. The latest call wins. */
  async load(): Promise<void> {
    const mine = ++this.#latest;
    try {
      const value = await this.fetcher();
      if (mine !== this.#latest) return;
      this.value = value;
      this.error = undefined;
    } catch (cause) {
      if (mine !== this.#latest) return;
      this.error = cause instanceof ApiError ? cause : new ApiError(0, "bad_answer", "The page could not read the server's answer.", { cause });
    }
  }
}

/** What the server tells a visitor about the session of that visitor. */
export type SessionInfo =
  | { readonly live: false }
  | {
      readonly live: true;
      /** A name for the session that cannot be turned into its cookie. */
      readonly publicId: string;
      readonly created: string;
      /** Absent or null: there is no such limit. */
      readonly idleDeadline?: string | null;
      readonly absoluteDeadline?: string | null;
      /** The kind of store: "sqlite", "memory" and so on. */
      readonly store: string;
      readonly bytes?: number;
    };

export const employees = new Resource(() => fetchPublic<string[]>("/employees"));
export const session = new Resource(() => fetchGet<SessionInfo>("/session"));
