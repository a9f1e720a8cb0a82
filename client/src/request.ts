import { PillboxError } from "./error.js";
import { parse, type Fields } from "./json.js";

/** How one request is made. What is absent or undefined is as the client has it. */
export interface RequestOptions {
  /** Ends the request early, also while it waits for its turn or for the next try. It then fails with "aborted". */
  signal?: AbortSignal | undefined;

  /**
   * How many milliseconds each try may take, until its whole answer is here. The wait for its turn counts, the wait
   * between tries does not. Zero, negative and NaN mean the default, 15 seconds; Infinity means no limit.
   */
  timeoutMs?: number | undefined;

  /**
   * How often a GET is tried again after a 429 or 503 that says when (Retry-After). The default and the most are 2;
   * zero means never. No try is made after more than 30 seconds of waiting in all. Other methods are never repeated.
   */
  retries?: number | undefined;
}

/** The longest delay of setTimeout: beyond it, timers fire at once. */
const LONGEST = 2 ** 31 - 1;

/** What a request is, once it is known to be one. */
export interface Target {
  href: string;
  origin: string;
  json?: string | undefined;
}

/**
 * Resolves an address against a base, which may be "" for the page's own, and writes a body as JSON.
 *
 * A relative address never leaves the origin of its base, whatever it begins with: "//host" and "/\host" do so for a
 * browser, and addresses are often put together from what people typed.
 */
export function resolve(url: string, base: string, body?: unknown): Target {
  let cause: unknown;
  try {
    const page = globalThis.document?.baseURI ?? globalThis.location?.href;
    const absolute = /^https?:\/\//i.test(url);
    const home = new URL(base ? base.replace(/\/*$/, "/") : (page ?? "http://localhost"), page);
    const { href, origin } = new URL(base && !absolute ? home + url.replace(/^\//, "") : url, home);
    // Without a page and a base, only the given fetch can know where a relative address leads.
    if (absolute || origin === home.origin) return { href: absolute || base || page ? href : url, origin, json: JSON.stringify(body) };
  } catch (error) {
    cause = error;
  }
  throw new PillboxError(0, "bad_request", "The request cannot be sent as it is.", { cause });
}

/** Sends one request with the session's cookie. It throws where the answer tells of an error. */
export async function open(fetch: typeof globalThis.fetch, href: string, signal: AbortSignal, init: RequestInit): Promise<Response> {
  const response = await fetch(href, { credentials: "include", cache: "no-store", signal, ...init });
  const { ok, status, headers } = response;
  if (ok) return response;
  // Whole seconds, or an HTTP date (RFC 9110 §10.2.3).
  const after = (/^(429|503)$/.test(`${status}`) && headers.get("retry-after")) || "";
  const wait = /^\d+$/.test(after) ? +after * 1000 : / GMT$/.test(after) ? Date.parse(after) - Date.now() : NaN;
  const { error = {} } = (parse(await response.text()) ?? {}) as { error?: Fields };
  const word = (name: string, otherwise = "") => (typeof error?.[name] === "string" && error[name]) || otherwise;
  throw new PillboxError(status, word("code", "bad_answer"), word("message", `The server answered with status ${status}.`), {
    field: word("field"),
    retryAfterMs: Math.max(wait, 0),
  });
}

/**
 * Runs work with a signal that is aborted when its time is over, when outer is aborted, and in any case at the end.
 * Work may set its time anew. What it rejects with becomes a PillboxError.
 */
export async function within<T>(
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal, more: (ms: number) => void) => Promise<T>,
): Promise<T> {
  // The timer is taken down at the end; that of AbortSignal.timeout is not, and it takes no Infinity.
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal, outer ?? controller.signal]);
  const stop = () => controller.abort();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const more = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(stop, Math.min(ms, LONGEST));
  };
  try {
    signal.throwIfAborted();
    more(ms);
    return await work(signal, more);
  } catch (cause) {
    if (cause instanceof PillboxError) throw cause;
    throw outer?.aborted
      ? new PillboxError(0, "aborted", "The request was stopped.", { cause })
      : signal.aborted
        ? new PillboxError(0, "timeout", "The server took too long to answer. Try again soon.", { cause })
        : new PillboxError(0, "offline", "The server cannot be reached. Try again soon.", { cause });
  } finally {
    clearTimeout(timer);
    stop();
  }
}

/** Waits, until the time is over or the signal is aborted, which has to happen at some time. It never rejects. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(ms, LONGEST));
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
