/** The visitor's list as a page keeps it without a server: in local storage. */
import { group, nameProblem, type Group, type Pill } from "./pharmacy.svelte.js";

export const KEY = "medicine-pills";
const ASIDE = "medicine-pills-damaged-";

/** Why local storage did not do what was asked. The message can be shown to the visitor. */
export class StorageError extends Error {
  override readonly name = "StorageError";

  constructor(
    readonly code: "blocked" | "full" | "damaged" | "gone" | "invalid",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What is stored under the key. */
export type Content =
  | { readonly state: "ready"; readonly pills: readonly Pill[] }
  | { readonly state: "damaged"; readonly why: string }
  | { readonly state: "blocked"; readonly why: string };

/** Reads a stored text. It is anything at all: whoever sits at the browser can have written it. */
export function read(text: string | null): Content {
  if (text === null) return { state: "ready", pills: [] };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { state: "damaged", why: "It is not JSON any more, so this page cannot tell which pills were meant." };
  }
  if (!Array.isArray(value)) return { state: "damaged", why: "It is JSON, but not a list." };
  const odd = value.findIndex((pill: unknown) => typeof pill !== "object" || pill === null || !("name" in pill) || typeof pill.name !== "string");
  if (odd >= 0) return { state: "damaged", why: `Number ${odd + 1} in the list is no pill with a name.` };
  return { state: "ready", pills: value as Pill[] };
}

/**
 * The list in local storage. Each change reads what is stored, changes that and writes it back in one go, which no
 * other tab can come between; what cannot be read is never written over.
 */
export class LocalList {
  /** The stored text, or null for none. */
  text = $state<string | null>(null);
  content = $state.raw<Content>({ state: "ready", pills: [] });

  readonly pills: readonly Pill[] = $derived(this.content.state === "ready" ? this.content.pills : []);
  readonly groups: readonly Group[] = $derived(group(this.pills));

  /** @param open returns the storage. The browser throws where it is forbidden, even for touching it. */
  constructor(private readonly open: () => Storage = () => localStorage) {
    this.look();
  }

  /** Reads the list. It never throws: what is wrong is in `content`. */
  look(): void {
    try {
      this.text = this.open().getItem(KEY);
      this.content = read(this.text);
    } catch {
      this.text = null;
      this.content = { state: "blocked", why: BLOCKED };
    }
  }

  /** Adds a pill. As all changes, it throws a {@link StorageError}, and then nothing has changed. */
  add(name: string): void {
    const problem = nameProblem(name);
    if (problem) throw new StorageError("invalid", problem);
    this.write(JSON.stringify([...this.#current(), { name: name.trim() }]));
  }

  /** Removes the last pill of this name. */
  removeOne(name: string): void {
    const pills = this.#current();
    const last = pills.findLastIndex((pill) => pill.name === name);
    if (last < 0) throw new StorageError("gone", "Another tab has removed this pill already.");
    this.write(JSON.stringify(pills.toSpliced(last, 1)));
  }

  clear(): void {
    this.#current(); // a damaged list is not thrown away by the way
    this.#change((storage) => storage.removeItem(KEY));
  }

  /** Stores a text as it is, as any script can. */
  write(text: string): void {
    this.#change((storage) => storage.setItem(KEY, text));
  }

  /** Moves what cannot be read to a key of its own, so that the list begins anew. It returns that key. */
  setAside(): string {
    let key = "";
    this.#change((storage) => {
      const text = storage.getItem(KEY);
      if (text === null) return;
      for (let n = 1; ; n++) {
        key = ASIDE + n;
        if (storage.getItem(key) === null) break;
      }
      // Removed first, because full storage has no room for two.
      storage.removeItem(KEY);
      try {
        storage.setItem(key, text);
      } catch (cause) {
        storage.setItem(KEY, text);
        throw cause;
      }
    });
    return key;
  }

  #current(): readonly Pill[] {
    this.look();
    if (this.content.state === "blocked") throw new StorageError("blocked", BLOCKED);
    if (this.content.state === "damaged") throw new StorageError("damaged", "What is stored cannot be read, so nothing was written over it.");
    return this.content.pills;
  }

  #change(act: (storage: Storage) => void): void {
    try {
      act(this.open());
    } catch (cause) {
      throw failure(cause);
    } finally {
      this.look();
    }
  }
}

const BLOCKED = "The browser keeps this page from local storage. Its settings for site data say so.";

function failure(cause: unknown): StorageError {
  const full = cause instanceof Error && (cause.name === "QuotaExceededError" || cause.name === "NS_ERROR_DOM_QUOTA_REACHED");
  return full
    ? new StorageError("full", "Local storage is full. Nothing was changed; remove something first.", { cause })
    : new StorageError("blocked", BLOCKED, { cause });
}
