import { fetchGet, fetchPublic, toError, type PillboxError } from "./api.js";

/** Something fetched that pages only read. It keeps the last value while a newer one is on its way. */
export class Resource<T> {
  value = $state.raw<T | undefined>();
  error = $state.raw<PillboxError | undefined>();

  /** Called with each value that is taken. */
  onvalue: ((value: T) => void) | undefined;

  #latest = 0;
  #loading = 0;

  constructor(private readonly fetcher: () => Promise<T>) {}

  /** Fetches the value. It never rejects: what goes wrong is in `error`. The latest call wins. */
  async load(): Promise<void> {
    const mine = ++this.#latest;
    this.#loading = mine;
    try {
      const value = await this.fetcher();
      if (mine === this.#latest) this.#take(value);
    } catch (cause) {
      if (mine === this.#latest) this.error = toError(cause);
    } finally {
      if (this.#loading === mine) this.#loading = 0;
    }
  }

  /** Fetches the value unless it is being fetched. */
  want(): void {
    if (!this.#loading) void this.load();
  }

  /** Takes a value that came another way. What is on its way is older, and is not taken any more. */
  set(value: T): void {
    this.#latest++;
    this.#take(value);
  }

  #take(value: T): void {
    this.value = value;
    this.error = undefined;
    this.onvalue?.(value);
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
      /** How long the session lives unused, in milliseconds. Absent: for ever. */
      readonly idleTimeout?: number | null;
      /** The kind of store: "sqlite", "memory" and so on. */
      readonly store: string;
      readonly bytes?: number;
      /** Who is signed in. Absent: nobody. */
      readonly user?: string;
    };

export const employees = new Resource(() => fetchPublic<string[]>("/employees"));
export const session = new Resource(() => fetchGet<SessionInfo>("/session"));
