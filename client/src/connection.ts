import { PillboxError } from "./error.js";
import { isObject, parse } from "./json.js";
import { refusal } from "./request.js";
import { reader } from "./sse.js";
import { begun, changed, end, gone, moved, type LiveState } from "./state.js";

/** How long a connection waits for what, in milliseconds. */
export const TIMES = {
  /** For the answer to a request. */
  answer: 15_000,
  /** For the next byte of a stream: three heartbeats of the server. */
  silence: 60_000,
  /** Between two tries, at most. */
  longest: 30_000,
  /** For the wait that a server asked for, at most. */
  obedience: 300_000,
  /** Until a stream counts as one that works, after which the waits begin small again. */
  lived: 1000,
  /** For a new cookie that may be on its way, before a session counts as ended. */
  again: [100, 300, 600],
};

/** What to do when a stream is over. */
type Next = number; // milliseconds until the next try

const NEVER = Infinity; // or until something wakes the connection
const AT_ONCE = -1; // but not again and again

/**
 * Connection keeps one stream of a session open, until stop is called, and tells each state that follows from it.
 * It never tells one before its constructor has returned.
 */
export class Connection {
  #fetch: typeof fetch;
  #href: string;
  #state: LiveState;
  #tell: (state: LiveState) => void;
  #times: typeof TIMES;

  #stopped = false;
  #controller = new AbortController();
  #wake: (() => void) | undefined; // while it waits
  #begun = 0; // when the stream's first event came, or 0
  #heard = 0; // when its last byte came
  #once = false; // more: something happened while a request was under way that may be older
  #restart = false;
  #notBefore = 0;
  #retry = 2000;
  #attempts = 0; // streams in a row that did not work
  #asked = 0; // for a new cookie

  constructor(fetch: typeof globalThis.fetch, href: string, state: LiveState, tell: (state: LiveState) => void, times = TIMES) {
    this.#fetch = fetch;
    this.#href = href;
    this.#state = state;
    this.#tell = tell;
    this.#times = times;
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#controller.abort();
    this.#wake?.();
  }

  /**
   * Tries now instead of later, unless the server has asked for the wait. With force it does so whatever was asked,
   * and replaces a stream that works.
   */
  wake(force: boolean): void {
    if (this.#wake) {
      if (force || Date.now() >= this.#notBefore) this.#wake();
    } else if (force || (this.#begun && Date.now() - this.#heard > this.#times.silence)) {
      // Timers stand still while a computer sleeps, so a dead stream is noticed here first.
      this.#restart = true;
      this.#controller.abort();
    } else if (!this.#begun) {
      this.#once = true;
    }
  }

  async #run(): Promise<void> {
    await undefined; // or a fetch that throws would tell before the constructor has returned
    while (!this.#stopped) {
      let next = await this.#stream();
      if (this.#restart || (this.#once && next === NEVER)) next = 0;
      this.#restart = this.#once = false;
      if (this.#stopped) return;
      await new Promise<void>((resolve) => {
        const timer = next < NEVER ? setTimeout(resolve, next) : undefined;
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  /** Opens one stream and reads it to its end. */
  async #stream(): Promise<Next> {
    const { silence, answer, lived, longest, obedience } = this.#times;
    const controller = (this.#controller = new AbortController());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const within = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), ms);
    };
    let next: Next | undefined;
    let error = new PillboxError(0, "offline", "The connection to the server was lost.");
    this.#begun = 0;
    try {
      within(answer);
      const fetch = this.#fetch;
      const response = await fetch(this.#href, {
        credentials: "include",
        cache: "no-store",
        headers: { Accept: "text/event-stream" },
        signal: controller.signal,
      });
      if (!response.ok) throw refusal(response, parse(await response.text()));
      if (!response.body || !/^text\/event-stream *(;|$)/i.test(response.headers.get("Content-Type") ?? "")) {
        throw new PillboxError(response.status, "bad_answer", "The server answered with something that is not a stream of events.");
      }
      const read = reader({
        event: (type, data) => (next ??= this.#take(type, data)),
        retry: (ms) => (this.#retry = Math.min(Math.max(ms, 100), longest)),
      });
      const body = response.body.getReader();
      while (next === undefined) {
        within(silence);
        this.#heard = Date.now();
        const { done, value } = await body.read();
        if (done) break;
        read(value);
      }
    } catch (cause) {
      error =
        cause instanceof PillboxError
          ? cause
          : controller.signal.aborted
            ? new PillboxError(0, "timeout", "The server has fallen silent.", { cause })
            : new PillboxError(0, "offline", "The server cannot be reached.", { cause });
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
    if (this.#restart) return 0;
    if (next === NEVER || (this.#begun && Date.now() - this.#begun >= lived)) this.#attempts = 0;
    else if (this.#begun || next === undefined) this.#attempts++;
    if (next === AT_ONCE) return this.#attempts > 1 ? this.#backoff() : 0;
    if (next !== undefined) return next;

    const { status } = this.#state;
    if (status !== "none" && status !== "ended") this.#set({ ...this.#state, status: "offline", changed: [], error });
    const { retryAfterMs } = error;
    if (retryAfterMs !== undefined) {
      const wait = Math.min(retryAfterMs, obedience);
      this.#notBefore = Date.now() + wait;
      return wait + Math.random() * this.#retry;
    }
    // What the server gets wrong does not mend by itself soon.
    if (error.code === "bad_answer" || (error.status >= 400 && error.status < 500)) this.#attempts = 99;
    return this.#backoff();
  }

  /** Exponential, with full jitter: a server that comes back is not met by everybody at once. */
  #backoff(): Next {
    return Math.random() * Math.min(this.#times.longest, this.#retry * 2 ** Math.max(this.#attempts - 1, 0));
  }

  /** Takes in one event, and returns what comes next if the stream is over by it. */
  #take(type: string, data: string): Next | undefined {
    if (!/^(session|change|deadline|expiring|renewed|ended)$/.test(type)) return undefined;
    const said = parse(data);
    // An event that cannot be read may have been a change, so the state is asked for anew.
    if (!isObject(said) || (type === "session" && said.live && typeof said.session !== "string")) {
      throw new PillboxError(200, "bad_answer", "The server sent an event that cannot be read.");
    }
    const state = this.#state;
    switch (type) {
      case "session":
        if (!said.live) return this.#missing(said.cookie === true);
        this.#begun = Date.now();
        this.#asked = 0;
        this.#set(begun(state, said));
        return undefined;
      case "change":
        this.#set(changed(state, said));
        return undefined;
      case "ended":
        if (said.reason === "signed-out" || said.reason === "revoked" || said.reason === "expired") {
          this.#set(gone(state, said.reason));
          return NEVER;
        }
    }
    if (type === "deadline" || type === "expiring") {
      this.#set(moved(state, said, type === "expiring"));
      return undefined;
    }
    return AT_ONCE; // renewed, or ended by nobody knows whom
  }

  /** Tells what became of a session that is not there. */
  #missing(cookie: boolean): Next {
    const state = this.#state;
    if (state.session === undefined) {
      if (state.status !== "ended" && state.status !== "none") this.#set(gone(state, undefined));
      return NEVER;
    }
    const expired = end(state) <= Date.now();
    if (cookie && !expired && this.#asked < this.#times.again.length) return this.#times.again[this.#asked++]!;
    this.#asked = 0;
    this.#set(gone(state, expired ? "expired" : cookie ? "revoked" : "signed-out"));
    return NEVER;
  }

  #set(state: LiveState): void {
    if (this.#stopped) return;
    this.#state = state;
    this.#tell(state);
  }
}
