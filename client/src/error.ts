/**
 * What went wrong with a request, the only error that this package throws. The message is one or two plain sentences
 * for people; programs go by `code`.
 */
export class PillboxError extends Error {
  override readonly name = "PillboxError";

  /** The HTTP status of the answer, or 0 when none arrived. */
  declare readonly status: number;

  /**
   * The server's own word for the error, or one of this package's:
   *
   * - `"offline"`: the server cannot be reached, or the browser kept its answer back (CORS)
   * - `"timeout"`: the whole answer did not arrive in time
   * - `"aborted"`: the caller's signal stopped the request
   * - `"bad_answer"`: the answer is not what was agreed, such as an HTML page where JSON should be
   * - `"bad_request"`: nothing was sent, because the address or the body cannot be
   */
  declare readonly code: string;

  /** The input that is at fault, where the server names one. */
  declare readonly field?: string;

  /** How many milliseconds the server asks to wait before the next try, where it does. */
  declare readonly retryAfterMs?: number;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { field?: string | undefined; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, more); // of which it takes the cause
    this.status = status;
    this.code = code;
    // An absent member stays absent, so that the error compares and prints as it was told.
    if (more.field) this.field = more.field;
    if (more.retryAfterMs! >= 0) this.retryAfterMs = more.retryAfterMs!;
  }

  /** Whether the server may have done what was asked, although no answer says so. */
  get unsure(): boolean {
    return !this.status || this.status >= 500;
  }
}

/** The error of an answer that is not what was agreed. */
export function bad(status: number, what: string): PillboxError {
  return new PillboxError(status, "bad_answer", `The server's answer is ${what}.`);
}
