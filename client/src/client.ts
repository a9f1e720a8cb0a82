import { bad, type PillboxError } from "./error.js";
import { parse } from "./json.js";
import { follow, type LiveOptions, type LiveSession } from "./live.js";
import { open, resolve, sleep, within, type RequestOptions } from "./request.js";
import { poke } from "./tabs.js";
import { makeTurns, type Turns } from "./turns.js";

/** How a client makes requests. What is absent or undefined has its default. */
export interface ClientOptions {
  /** What relative addresses are below, such as "https://api.example.com". Absent and "" mean the page's own. */
  baseUrl?: string | undefined;

  /** What sends the requests. Absent means the page's fetch. */
  fetch?: typeof fetch | undefined;

  /** As {@link RequestOptions.timeoutMs}, for requests that do not say. */
  timeoutMs?: number | undefined;

  /** As {@link RequestOptions.retries}, for requests that do not say. */
  retries?: number | undefined;
}

/**
 * Requests with the session's cookie: JSON in, JSON out. Each resolves to the whole answer, parsed, and to undefined
 * for an answer without content (204). They reject with a PillboxError and with nothing else.
 *
 * An address is absolute (http or https), or relative to the client's base and then never on another origin. Of
 * several requests at once, the first goes alone, so that a new visitor gets one session and not many.
 */
export interface Client {
  fetchGet<T = unknown>(url: string, options?: RequestOptions): Promise<T>;
  /** Sends body as JSON; undefined sends none. The type T is the caller's word: nothing checks it. */
  fetchPost<T = unknown>(url: string, body?: unknown, options?: RequestOptions): Promise<T>;
  fetchPut<T = unknown>(url: string, body?: unknown, options?: RequestOptions): Promise<T>;
  fetchDelete<T = unknown>(url: string, options?: RequestOptions): Promise<T>;
  /**
   * The session that this browser has with the server, followed by the stream of events at url. It is connected while
   * somebody is subscribed. The same address gives the same object. Throws a PillboxError for an address that
   * cannot be one.
   */
  live(url?: string, options?: LiveOptions): LiveSession;
}

const TIMEOUT_MS = 15_000;
const RETRIES = 2;
const PATIENCE_MS = 30_000;

/** The page's own requests take turns whichever client makes them, since they share the browser's cookies. */
const pageTurns = new Map<string, Turns>();

function of<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** Makes a client. It holds nothing open until it is used. */
export function createClient({ baseUrl = "", fetch: own, timeoutMs, retries }: ClientOptions = {}): Client {
  // Looked up at each request, since instruments and tests replace it; and called without an object, as it must be.
  const fetch: typeof globalThis.fetch = (input, init) => (own ?? globalThis.fetch)(input, init);
  const turns = own ? new Map<string, Turns>() : pageTurns;
  const lives = new Map<string, LiveSession>();

  const send = async <T>(method: string, url: string, body?: unknown, options: RequestOptions = {}): Promise<T> => {
    const { href, origin, json } = resolve(url, baseUrl, body);
    const write = method !== "GET";
    const take = of(turns, origin, makeTurns);
    const limit = [options.timeoutMs, timeoutMs, TIMEOUT_MS].find((ms) => ms! > 0)!;
    let tries = write ? 0 : Math.min(options.retries ?? retries ?? RETRIES, RETRIES);
    let patience = PATIENCE_MS;

    const attempt = async (signal: AbortSignal): Promise<unknown> => {
      const accept = "application/json";
      const headers: HeadersInit = json ? { accept, "content-type": accept } : { accept };
      const response = await open(fetch, href, signal, { method, headers, body: json ?? null });
      const answer = parse(await response.text());
      if (answer === undefined && response.status !== 204) throw bad(response.status, "not JSON");
      return answer;
    };

    try {
      return (await within(limit, options.signal, async (signal, more) => {
        for (;;) {
          try {
            return await take(write, signal, () => attempt(signal));
          } catch (error) {
            const wait = (error as PillboxError).retryAfterMs;
            if (!(wait! <= patience) || !(tries-- > 0)) throw error;
            patience -= wait!;
            more(Infinity);
            await sleep(wait!, signal);
            more(limit);
          }
        }
      })) as T;
    } finally {
      // It may have made, renewed or ended a session, also when no answer says so.
      if (write) poke(origin);
    }
  };

  return {
    fetchGet: (url, options) => send("GET", url, undefined, options),
    fetchPost: (url, body, options) => send("POST", url, body, options),
    fetchPut: (url, body, options) => send("PUT", url, body, options),
    fetchDelete: (url, options) => send("DELETE", url, undefined, options),
    live(url = "/live", { share = !own } = {}) {
      const target = resolve(url, baseUrl);
      return of(lives, target.href + share, () => follow(fetch, target, share));
    },
  };
}
