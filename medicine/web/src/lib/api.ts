/**
 * Requests to Medicine's server: JSON in, JSON out, one class of error.
 *
 * An address begins with VITE_BASE_URL, or is on the page's own origin when that is not set.
 */
export const BASE_URL: string = (import.meta.env.VITE_BASE_URL ?? "").replace(/\/+$/, "");

const TIMEOUT_MS = 15_000;

/** What went wrong with a request. The message can be shown to the visitor. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  /**
   * @param status the HTTP status, or 0 when no answer arrived
   * @param code the server's own word for the error, or "offline", "timeout", "aborted" or "bad_answer"
   */
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the server may have done what was asked, although no answer says so. */
  get unsure(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

export interface Options {
  /** Ends the request early. It then fails with the code "aborted". */
  signal?: AbortSignal;
  /** How long to wait for the whole answer. Zero and absent mean 15 seconds. */
  timeoutMs?: number;
}

/** Fetches with the session's cookie. It resolves to the answer's `data`. */
export function fetchGet<T>(path: string, options?: Options): Promise<T> {
  return turns.read(() => request<T>("GET", path, "include", undefined, options));
}

/** Sends body as JSON with the session's cookie. It resolves to the answer's `data`. */
export function fetchPost<T>(path: string, body: unknown, options?: Options): Promise<T> {
  return turns.write(() => request<T>("POST", path, "include", body, options));
}

/** Deletes with the session's cookie. It resolves to the answer's `data`. */
export function fetchDelete<T>(path: string, options?: Options): Promise<T> {
  return turns.write(() => request<T>("DELETE", path, "include", undefined, options));
}

/** Fetches what is the same for everybody. No cookie is sent or accepted, so it needs no turn. */
export function fetchPublic<T>(path: string, options?: Options): Promise<T> {
  return request<T>("GET", path, "omit", undefined, options);
}

async function request<T>(
  method: string,
  path: string,
  credentials: RequestCredentials,
  body: unknown,
  { signal, timeoutMs }: Options = {},
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs || TIMEOUT_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(BASE_URL + path, {
      method,
      credentials,
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      headers: body === undefined ? { Accept: "application/json" } : { Accept: "application/json", "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (cause) {
    if (signal?.aborted) throw new ApiError(0, "aborted", "The request was stopped.", { cause });
    if (timeout.aborted) throw new ApiError(0, "timeout", "The server took too long to answer. Try again in a moment.", { cause });
    throw new ApiError(0, "offline", "The server cannot be reached. Is it running?", { cause });
  }

  const answer = parse(text);
  if (!response.ok) {
    const error = isObject(answer?.error) ? answer.error : {};
    throw new ApiError(
      response.status,
      typeof error.code === "string" ? error.code : "unknown",
      typeof error.message === "string" && error.message !== "" ? error.message : `The server answered with status ${response.status}.`,
    );
  }
  if (answer === undefined || !("data" in answer)) {
    throw new ApiError(response.status, "bad_answer", "The server answered with something that is not JSON with data in it.");
  }
  return answer.data as T;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Turns keeps one visitor in one session.
 *
 * Nothing ties the parallel requests of a visitor without a cookie together: a server makes a session for each of
 * them, and the last cookie wins. So a request that finds none of its kind under way goes alone. Those made
 * meanwhile wait for its answer, by which time the cookie is there, and then go together.
 *
 * A read is not enough to lead a write, because a read makes no session on a server that stores nothing without
 * cause. The rule holds for every burst, not only for the first request of a page: the session may have ended since.
 */
export class Turns {
  #alone: { answered: Promise<boolean>; write: boolean } | undefined;
  #reads = 0;
  #writes = 0;

  read<T>(send: () => Promise<T>): Promise<T> {
    return this.#take(send, false);
  }

  write<T>(send: () => Promise<T>): Promise<T> {
    return this.#take(send, true);
  }

  async #take<T>(send: () => Promise<T>, write: boolean): Promise<T> {
    while (this.#alone) {
      const { answered, write: led } = this.#alone;
      if ((await answered) && (led || !write)) return this.#count(send, write);
    }
    if (this.#writes > 0 || (!write && this.#reads > 0)) return this.#count(send, write);

    let settle!: (answered: boolean) => void;
    this.#alone = { answered: new Promise<boolean>((resolve) => (settle = resolve)), write };
    let ok = false;
    try {
      const value = await this.#count(send, write);
      ok = true;
      return value;
    } finally {
      this.#alone = undefined;
      settle(ok);
    }
  }

  async #count<T>(send: () => Promise<T>, write: boolean): Promise<T> {
    if (write) this.#writes++;
    else this.#reads++;
    try {
      return await send();
    } finally {
      if (write) this.#writes--;
      else this.#reads--;
    }
  }
}

const turns = new Turns();
