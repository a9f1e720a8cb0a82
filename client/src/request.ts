import { PillboxError } from "./error.js";
import { isObject, parse } from "./json.js";
import type { Turns } from "./turns.js";

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

const RETRIES = 2;
const WAIT_MS = 30_000;

/** A number of milliseconds that setTimeout takes, or the fallback for what means none. */
export function milliseconds(ms: number | undefined, fallback: number): number {
  return ms! > 0 ? Math.min(ms!, LONGEST) : fallback;
}

/** Where a request goes. */
export interface Target {
  href: string;
  origin: string;
}

/** The tools of one request: all of them come from its client. */
export interface Sender {
  fetch: typeof fetch;
  turns: Turns;
  href: string;
}

/**
 * Resolves an address against a base, which may be "" for the page's own.
 *
 * A relative address never leaves the origin of its base, whatever it begins with: "//host" and "/\host" do so for a
 * browser, and addresses are often put together from what people typed.
 */
export function resolve(url: string, base: string): Target {
  try {
    const page = globalThis.document?.baseURI ?? globalThis.location?.href;
    const absolute = /^https?:\/\//i.test(url);
    const home = base ? new URL(base, page).href.replace(/\/*$/, "/") : (page ?? "http://localhost");
    const target = new URL(base && !absolute ? home + url.replace(/^\//, "") : url, home);
    if (/^http/.test(target.protocol) && !target.username && !target.password && (absolute || target.origin === new URL(home).origin)) {
      // Without a page and a base, only the given fetch can know where a relative address leads.
      return { href: absolute || base || page ? target.href : url, origin: target.origin };
    }
  } catch {
    // The same error tells of it.
  }
  throw new PillboxError(0, "bad_request", "The request has no address that it can be sent to.");
}

/** Sends a request, once it is its turn, and again where that is harmless and the server says when. */
export async function request(to: Sender, method: string, body: unknown, options: RequestOptions): Promise<unknown> {
  const { signal, timeoutMs, retries = RETRIES } = options;
  let text: string | undefined;
  try {
    text = JSON.stringify(body);
  } catch (cause) {
    throw new PillboxError(0, "bad_request", "The request cannot be written as JSON.", { cause });
  }
  let tries = method === "GET" ? Math.min(retries, RETRIES) : 0;
  let patience = WAIT_MS;
  for (;;) {
    try {
      return await attempt(to, method, text, signal, milliseconds(timeoutMs, 15_000));
    } catch (cause) {
      const wait = (cause as PillboxError).retryAfterMs;
      if (wait === undefined || wait > patience || !(tries-- > 0)) throw cause;
      patience -= wait;
      await sleep(wait, signal);
    }
  }
}

async function attempt(
  { fetch, turns, href }: Sender,
  method: string,
  body: string | undefined,
  outer: AbortSignal | undefined,
  timeoutMs: number,
): Promise<unknown> {
  if (outer?.aborted) throw aborted(outer.reason);
  // A timer and a listener of its own are taken down when the answer is here; AbortSignal.timeout and any are not.
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, timeoutMs);
  outer?.addEventListener("abort", stop);
  try {
    return await turns.take(method !== "GET", controller.signal, async () => {
      const response = await fetch(href, {
        method,
        credentials: "include",
        cache: "no-store",
        signal: controller.signal,
        headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
        ...(body === undefined ? {} : { body }),
      });
      return read(response, await response.text());
    });
  } catch (cause) {
    if (cause instanceof PillboxError) throw cause;
    if (outer?.aborted) throw aborted(cause);
    throw controller.signal.aborted
      ? new PillboxError(0, "timeout", "The server took too long to answer. Try again in a moment.", { cause })
      : new PillboxError(0, "offline", "The server cannot be reached. Try again in a moment.", { cause });
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", stop);
  }
}

function read(response: Response, text: string): unknown {
  const { status } = response;
  if (!text && (status === 204 || status === 205)) return undefined;
  const answer = parse(text);
  if (!response.ok) throw refusal(response, answer);
  if (answer === undefined) {
    throw new PillboxError(status, "bad_answer", "The server answered with something that is not JSON.");
  }
  return answer;
}

/** The error that an answer of status 300 or more stands for. The answer is its parsed body. */
export function refusal({ status, headers }: Response, answer: unknown): PillboxError {
  const error = isObject(answer) && isObject(answer.error) ? answer.error : {};
  const word = (value: unknown) => (typeof value === "string" && value ? value : undefined);
  return new PillboxError(status, word(error.code) ?? "bad_answer", word(error.message) ?? `The server answered with status ${status}.`, {
    field: word(error.field),
    retryAfterMs: status === 429 || status === 503 ? retryAfter(headers.get("Retry-After")) : undefined,
  });
}

/** Reads Retry-After: whole seconds, or an HTTP date (RFC 9110 §10.2.3). It is undefined for anything else. */
export function retryAfter(value: string | null): number | undefined {
  const ms = /^\d+$/.test((value ??= "")) ? Number(value) * 1000 : /^[A-Z][a-z]+,? .*GMT$/.test(value) ? Date.parse(value) - Date.now() : NaN;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST);
}

function aborted(cause: unknown): PillboxError {
  return new PillboxError(0, "aborted", "The request was stopped.", { cause });
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(aborted(signal.reason));
      else resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}
