/** What the Storage page tries out, and what came of it. Each function does what its name says, and tells what it saw. */
import { fetchGet, fetchPost, fetchPublic, PillboxError } from "./api.js";
import { MAX_NAME } from "./pharmacy.svelte.js";
import type { SessionInfo } from "./resource.svelte.js";
import { KEY, StorageError, type LocalList } from "./storage.svelte.js";
import { count } from "./words.js";

/** One line of a result: what was asked or done, and what came back. */
export interface Line {
  readonly code: string;
  readonly got: string;
}

export interface Result {
  readonly lines: readonly Line[];
  readonly text: string;
}

const SESSION_COOKIE = /(^|;\s*)(__Host-|__Secure-)?(session|connect\.sid)=/;

/** Reads all that a script of the page can read. */
export function readBoth(list: LocalList, cookies: () => string = () => document.cookie): Result {
  list.look();
  const cookie = cookies();
  const stored = list.content.state === "blocked" ? "(forbidden by the browser)" : (list.text ?? "null");
  const seen = SESSION_COOKIE.test(cookie);
  const local =
    list.content.state === "blocked"
      ? "Local storage is closed to this page."
      : `Local storage opens to every script of this page${list.text === null ? ", and has nothing yet" : ""}: one line reads it.`;
  const session = seen
    ? "The session’s cookie is readable too. It should not be: it lacks HttpOnly."
    : cookie === ""
      ? "There is no cookie to read here: the session’s, if you have one, is HttpOnly, so the browser sends it and shows it to no script."
      : "There are cookies to read, but the session’s is not among them: it is HttpOnly, so the browser sends it and shows it to no script.";
  return {
    lines: [
      { code: `localStorage.getItem("${KEY}")`, got: cut(stored) },
      { code: "document.cookie", got: seen ? "(has the session’s cookie)" : JSON.stringify(cut(cookie)) },
    ],
    text: `${local} ${session}`,
  };
}

/** A name that the program's own rules do not allow: it is longer than a name may be. */
export const SMUGGLED = "A pill that nobody prescribed, under a name so long that neither this page’s form nor the server’s rules would let it pass";

/** Puts a pill past the rules into both: into local storage as any script can, into the session by asking the server. */
export async function smuggle(list: LocalList): Promise<Result> {
  const pill = { name: SMUGGLED };
  let stored: string;
  let local: string;
  try {
    list.look();
    if (list.content.state === "damaged") throw new StorageError("damaged", "What is stored cannot be read, so nothing was written over it.");
    list.write(JSON.stringify([...list.pills, pill]));
    stored = "stored";
    local = "Local storage took it, since nothing stands between a script and it. You see it in the list, and can remove it there.";
  } catch (cause) {
    stored = cause instanceof StorageError ? cause.code : "failed";
    local = cause instanceof StorageError ? cause.message : "Local storage did not take it.";
  }

  let answer: string;
  let session: string;
  try {
    // The browser writes the refused request into its console. That is the browser's doing, and the point of this.
    await fetchPost("/pills", pill);
    answer = "200";
    session = "The server took it as well. It should not have.";
  } catch (cause) {
    if (!(cause instanceof PillboxError) || cause.status === 0) throw cause;
    answer = `${cause.status} ${cause.code}`;
    session =
      cause.status === 400
        ? `The server said no (“${cause.message}”): a session changes only through the server’s code, which checks what it is asked.`
        : cause.message;
  }
  return {
    lines: [
      { code: `localStorage.setItem("${KEY}", …)`, got: stored },
      { code: `POST /pills, a name of ${SMUGGLED.length} characters (${MAX_NAME} are the most)`, got: answer },
    ],
    text: `${local} ${session}`,
  };
}

/** Asks for the session as this browser, and as one that has no cookie. */
export async function askAsStranger(): Promise<Result> {
  const mine = await fetchGet<SessionInfo>("/session");
  const other = await fetchPublic<SessionInfo>("/session");
  const text = mine.live
    ? other.live
      ? "The server found a session for a request without a cookie. It should not have."
      : "Without your cookie the server knows nothing of your session, and another browser has another cookie or none. Open this page in a private window: both lists are empty there, and a pill begins a session with another public id."
    : "This browser has no session yet, so it is as much a stranger as any other. Add a pill to the session, then ask again.";
  return {
    lines: [
      { code: "GET /session, this browser", got: told(mine) },
      { code: "GET /session, without a cookie", got: told(other) },
    ],
    text,
  };
}

function told(info: SessionInfo): string {
  return info.live ? `public id ${info.publicId}` : "no session";
}

/** Asks which session this is and where it is kept, and compares it with what was told the last time. */
export async function whereKept(before: SessionInfo | undefined): Promise<{ result: Result; info: SessionInfo }> {
  const info = await fetchGet<SessionInfo>("/session");
  return {
    info,
    result: { lines: [{ code: "GET /session", got: info.live ? `${told(info)}, kept in ${info.store}` : "no session" }], text: kept(info, before) },
  };
}

function kept(info: SessionInfo, before: SessionInfo | undefined): string {
  if (!info.live) {
    return before?.live
      ? "The session that you had is gone: its store was emptied or lives no longer than the server, or the session has ended. Local storage is where it was."
      : "You have no session yet. Add a pill to it, then ask again.";
  }
  const store =
    info.store === "memory"
      ? "The store is the server’s memory, so a restart empties it."
      : `The store, ${info.store}, is outside the server’s memory, so a session outlives a restart.`;
  if (before?.live && before.publicId === info.publicId) {
    return `The same session as when you last asked. ${store} Restart the server in between to put it to the test.`;
  }
  if (before?.live) return `This is another session than when you last asked. ${store}`;
  return `${store} Restart the server and ask again: the public id tells whether it is the same session.`;
}

/** How many characters local storage takes until it is full. What it needs for finding out is removed again. */
export function measure(open: () => Storage = () => localStorage): { used: number; room: number } {
  const key = "medicine-measure";
  const storage = open();
  let used = 0;
  for (let i = 0; i < storage.length; i++) {
    const name = storage.key(i) ?? "";
    used += name.length + (storage.getItem(name)?.length ?? 0);
  }
  const fits = (length: number) => {
    try {
      storage.setItem(key, "x".repeat(length));
      return true;
    } catch {
      return false;
    }
  };
  try {
    let low = 0;
    let high = 1 << 16;
    while (high < 1 << 26 && fits(high)) {
      low = high;
      high *= 2;
    }
    while (high - low > 1 << 10) {
      const middle = (low + high) >> 1;
      if (fits(middle)) low = middle;
      else high = middle;
    }
    return { used, room: low };
  } finally {
    storage.removeItem(key);
  }
}

/** Fills local storage until it refuses, and asks how large the session is. */
export async function sizes(open?: () => Storage): Promise<Result> {
  const info = await fetchGet<SessionInfo>("/session");
  let local: Line;
  let text: string;
  try {
    const { used, room } = measure(open);
    local = { code: "localStorage, filled until it refused", got: `${count(used, "character")} used, room for about ${million(room)} more` };
    text = `All pages of this address share what local storage holds, about ${million(used + room)} characters in this browser.`;
  } catch (cause) {
    local = { code: "localStorage", got: "forbidden by the browser" };
    text = cause instanceof StorageError ? cause.message : "The browser keeps this page from local storage.";
  }
  const session = info.live ? (info.bytes === undefined ? "size not told" : count(info.bytes, "byte")) : "no session yet";
  return {
    lines: [local, { code: "GET /session", got: session }],
    text: `${text} A session may have 256 KiB, unless the server says otherwise. The cookie stays as small as it is, however much the session holds.`,
  };
}

function million(characters: number): string {
  return characters >= 100_000
    ? `${(characters / 1_000_000).toLocaleString("en", { maximumFractionDigits: 1 })} million`
    : characters.toLocaleString("en");
}

const MOST = 300;

function cut(text: string): string {
  const characters = [...text];
  return characters.length > MOST ? `${characters.slice(0, MOST).join("")}…` : text;
}
