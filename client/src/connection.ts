import { bad, type PillboxError } from "./error.js";
import { parse, type Fields } from "./json.js";
import { open, sleep, within } from "./request.js";
import { reader } from "./sse.js";
import { begun, changed, deadlines, gone, type LiveState } from "./state.js";

// How long a connection waits for what, in milliseconds.
const ANSWER = 15_000; // for the answer to a request
const SILENCE = 60_000; // for the next byte of a stream; a server sends one every 20 seconds
const LONGEST = 30_000; // between two tries, at most
const LIVED = 1000; // until a stream counts as one that works, after which the waits begin small again

/** The waits for a new cookie that may be on its way, before a session counts as ended. */
const AGAIN = [100, 300, 600];

/** The longest that a server may ask to wait for: it may be wrong about that, too. */
const OBEDIENCE = 300_000;

// What comes after a stream, beside a number of milliseconds until the next.
const NEVER = Infinity; // or until something wakes the connection
const AT_ONCE = 0; // but not again and again

/** One stream of a session after the other, until it is stopped. */
export interface Connection {
  /**
   * Tries now instead of later, unless the server has asked for the wait. With force it does so whatever was asked,
   * and replaces a stream that works.
   */
  wake(force: boolean): void;
  stop(): void;
}

/**
 * Makes a connection that goes on from a state, and tells each state that follows. It tells none before it is
 * returned.
 */
export function connect(
  fetch: typeof globalThis.fetch,
  href: string,
  state: LiveState,
  tell: (state: LiveState) => void,
): Connection {
  let stopped = false;
  let controller = new AbortController(); // of the stream, or of the wait for the next
  let waiting = false;
  let since = 0; // when the stream's first event came, or 0
  let heard = 0; // when its last byte came
  let older = false; // whether a request is under way that is from before something happened
  let notBefore = 0;
  let retry = 2000;
  let failures = 0; // streams in a row that did not work
  let asked = 0; // for a new cookie

  const set = (next: LiveState) => {
    if (!stopped) tell((state = next));
  };

  /** Whether there is no session, and no hurry to see one. */
  const settled = () => /none|ended/.test(state.status);

  /** Exponential, with full jitter: a server that comes back is not met by everybody at once. */
  const backoff = () => Math.random() * Math.min(LONGEST, retry * 2 ** (failures - 1));

  /** Tells what became of a session that is not there. */
  const missing = (cookie: boolean) => {
    if (state.session) {
      const { idleDeadline, absoluteDeadline } = state;
      const expired = [idleDeadline, absoluteDeadline].some((deadline) => +deadline! <= Date.now());
      if (cookie && !expired && asked < AGAIN.length) return AGAIN[asked++]!;
      set(gone(state, expired ? "expired" : cookie ? "revoked" : "signed-out"));
    } else if (!settled()) {
      set(gone(state));
    }
    asked = 0;
    return NEVER;
  };

  /** Takes in an event of each type, and returns what comes next if the stream is over by it. */
  const on: Record<string, (said: Fields, expiring?: boolean) => number | void> = {
    session(said) {
      if (!said.live) return missing(said.cookie === true);
      since = Date.now();
      asked = 0;
      return set(begun(state, said));
    },
    change: (said) => set(changed(state, said)),
    deadline: (said, expiring = false) => set({ ...state, changed: [], ...deadlines(said), expiring }),
    expiring: (said) => on.deadline!(said, true),
    renewed: () => AT_ONCE,
    ended({ reason }) {
      if (reason !== "signed-out" && reason !== "revoked" && reason !== "expired") return AT_ONCE; // nobody knows by whom
      set(gone(state, reason));
      return NEVER;
    },
  };

  const take = (type: string, data: string) => {
    if (!Object.hasOwn(on, type)) return undefined;
    const said = parse(data);
    // An event that cannot be read may have been a change, so the state is asked for anew.
    if (!(said instanceof Object)) throw bad(200, "not JSON");
    return on[type]!(said as Fields) as number | undefined;
  };

  /** Opens one stream, reads it to its end, and returns what comes next. */
  const stream = async (): Promise<number> => {
    let next: number | undefined;
    let error: PillboxError | undefined;
    since = 0;
    try {
      await within(ANSWER, controller.signal, async (signal, more) => {
        const response = await open(fetch, href, signal, { headers: { accept: "text/event-stream" } });
        if (!response.body || !/^text\/event-stream *(;|$)/i.test(response.headers.get("content-type") ?? "")) {
          throw bad(response.status, "not a stream of events");
        }
        const read = reader(
          (type, data) => (next ??= take(type, data)),
          (ms) => (retry = Math.max(ms, 100)),
        );
        const body = response.body.getReader();
        while (next === undefined) {
          more(SILENCE);
          heard = Date.now();
          const { done, value } = await body.read();
          if (done) throw undefined; // as from a lost connection
          read(value);
        }
      });
    } catch (cause) {
      error = cause as PillboxError;
    }
    if (controller.signal.aborted) return 0;
    if (next === NEVER || (since && Date.now() - since >= LIVED)) failures = 0;
    else if (since || !next) failures++; // also where it is over as soon as it begins
    if (next === AT_ONCE) return failures > 1 ? backoff() : 0;
    if (next !== undefined) return next;

    const { status, code, message, retryAfterMs } = error!;
    if (!settled()) {
      set({ ...state, status: "offline", changed: [], error: { status, code, message } });
    }
    if (retryAfterMs === undefined) {
      // What the server gets wrong does not mend by itself soon.
      if (status && status < 500) failures = 99;
      return backoff();
    }
    const wait = Math.min(retryAfterMs, OBEDIENCE);
    notBefore = Date.now() + wait;
    return wait + backoff();
  };

  const run = async () => {
    for (;;) {
      waiting = older = false;
      const next = await stream();
      if (stopped) return;
      waiting = true;
      controller = new AbortController();
      await sleep(older && Date.now() >= notBefore ? 0 : next, controller.signal);
      controller = new AbortController();
      if (stopped) return;
    }
  };
  queueMicrotask(run); // a fetch may throw at once

  return {
    stop() {
      stopped = true;
      controller.abort();
    },
    wake(force) {
      // Timers stand still while a computer sleeps, so here a dead stream is noticed first.
      if (force || (waiting ? Date.now() >= notBefore : since && Date.now() - heard > SILENCE)) controller.abort();
      else if (!since) older = true;
    },
  };
}
