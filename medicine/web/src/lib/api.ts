/**
 * Requests to Medicine's server, as the pages use them: a client of the package resolves to the whole answer, and
 * these to its `data`.
 */
import { createClient, PillboxError, type RequestOptions } from "@pillbox/client";

export { PillboxError, type RequestOptions };

const baseUrl = import.meta.env.VITE_BASE_URL ?? "";

/** Addresses begin with VITE_BASE_URL, or are on the page's own origin when that is not set. */
export const client = createClient({ baseUrl });

/** A fetch of its own, and so no turns to take: no cookie is sent or accepted. */
const anonymous = createClient({ baseUrl, fetch: (input, init) => fetch(input, { ...init, credentials: "omit" }) });

/** Fetches with the session's cookie. */
export function fetchGet<T>(path: string, options?: RequestOptions): Promise<T> {
  return dataOf(client.fetchGet<Answer<T>>(path, options));
}

/** Sends body as JSON with the session's cookie. */
export function fetchPost<T>(path: string, body: unknown, options?: RequestOptions): Promise<T> {
  return dataOf(client.fetchPost<Answer<T>>(path, body, options));
}

/** Deletes with the session's cookie. */
export function fetchDelete<T>(path: string, options?: RequestOptions): Promise<T> {
  return dataOf(client.fetchDelete<Answer<T>>(path, options));
}

/** Fetches what is the same for everybody, without a cookie. */
export function fetchPublic<T>(path: string): Promise<T> {
  return dataOf(anonymous.fetchGet<Answer<T>>(path));
}

/** What was thrown, as an error whose message can be shown to the visitor. */
export function toError(cause: unknown): PillboxError {
  return cause instanceof PillboxError ? cause : new PillboxError(0, "page", "Something went wrong in the page.", { cause });
}

interface Answer<T> {
  readonly data: T;
}

async function dataOf<T>(answer: Promise<Answer<T>>): Promise<T> {
  const got: unknown = await answer;
  if (typeof got === "object" && got !== null && "data" in got) return got.data as T;
  throw new PillboxError(200, "bad_answer", "The server answered with something that is not JSON with data in it.");
}
