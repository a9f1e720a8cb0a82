import { sleep } from "./request.js";

/** Runs send when its turn has come. */
export type Turns = <T>(write: boolean, signal: AbortSignal, send: () => Promise<T>) => Promise<T>;

/**
 * Turns keep one visitor in one session.
 *
 * Nothing ties the parallel requests of a visitor without a cookie together: a server makes a session for each of
 * them, and the last cookie wins. So a request that finds none of its kind under way goes alone. Those made
 * meanwhile wait for its answer, by which time the cookie is there, and then go together.
 *
 * A read is not enough to lead a write, because a read makes no session on a server that stores nothing without
 * cause. The rule holds for every burst, not only for the first request of a page: the session may have ended since.
 *
 * A request whose signal is aborted while it waits goes at once: it fails by the same signal, and leads nobody. Each signal
 * has to be aborted at some time.
 */
export function makeTurns(): Turns {
  let alone: { write: boolean; answered: Promise<boolean> } | undefined;
  const running: [reads: number, writes: number] = [0, 0];

  return async (write, signal, send) => {
    const stopped = sleep(Infinity, signal);
    let led = false;
    while (alone && !led && !signal.aborted) {
      const leader = alone;
      led = (await Promise.race([leader.answered, stopped])) === true && (leader.write || !write);
    }
    let settle: ((answered: boolean) => void) | undefined;
    if (!led && !signal.aborted && !running[1] && (write || !running[0])) {
      alone = { write, answered: new Promise((resolve) => (settle = resolve)) };
    }
    const kind = write ? 1 : 0;
    let answered = false;
    running[kind]++;
    try {
      const answer = await send();
      answered = true;
      return answer;
    } finally {
      running[kind]--;
      if (settle) {
        alone = undefined;
        settle(answered);
      }
    }
  };
}
