import { connect, type Connection } from "./connection.js";
import type { Target } from "./request.js";
import { START, type LiveState } from "./state.js";
import { source } from "./tabs.js";

/** How a live session is followed. */
export interface LiveOptions {
  /**
   * Whether the tabs of this browser share one stream. Absent means yes in pages, unless the client has a fetch of its
   * own, which may stand for another visitor. Where the browser has no Web Locks or no BroadcastChannel (insecure
   * origins, workers, Node) each has its own stream whatever this says.
   */
  share?: boolean | undefined;
}

/** This browser's session, followed as it changes: a store as Svelte understands it, which plain JavaScript can use. */
export interface LiveSession {
  /**
   * Calls run with the current state before it returns, and then with each new one. It returns what ends that, which
   * may be called more than once. The first subscriber opens the connection, the last one to go closes it. What run
   * throws in the first call goes to the caller; later it goes to the page as an uncaught error, and neither the
   * other subscribers nor the connection notice.
   */
  subscribe(run: (state: LiveState) => void): () => void;

  /** The current state: the last known one when nobody is subscribed. */
  get(): LiveState;

  /** Asks the server anew, at once. Without subscribers it does nothing. */
  refresh(): void;
}

/** Makes a live session. With share it is one that may be shared. */
export function follow(fetch: typeof globalThis.fetch, { href, origin }: Target, share: boolean): LiveSession {
  const subscribers = new Set<{ run: (state: LiveState) => void }>();
  let state = START;
  let states: Connection | undefined;
  let listening: AbortController | undefined;

  const get = () => state;
  const set = (next: LiveState) => {
    state = next;
    for (const subscriber of [...subscribers]) {
      if (!subscribers.has(subscriber)) continue; // another one has ended it
      try {
        subscriber.run(next);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
  const open = () => {
    states ??= source({ href, origin }, share, get, set, (tell) => connect(fetch, href, state, tell));
  };
  const close = () => {
    states?.stop();
    states = undefined;
    if (/live|offline/.test(state.status)) state = { ...state, status: "connecting", changed: [], error: undefined };
  };

  // A page that waits in the browser's history would hold the stream and the lock, or could not wait there at all.
  const events = (event: Event) => {
    if (event.type === "pagehide") close();
    else if (event.type === "pageshow") open();
    else if (event.type === "online" || document.visibilityState === "visible") states?.wake(false);
  };
  return {
    get,
    refresh: () => states?.wake(true),
    subscribe(run) {
      run(state);
      const subscriber = { run };
      subscribers.add(subscriber);
      if (subscribers.size === 1) {
        listening = new AbortController();
        const { signal } = listening;
        if (globalThis.document) {
          // visibilitychange bubbles up to here.
          for (const type of ["pagehide", "pageshow", "online", "visibilitychange"]) addEventListener(type, events, { signal });
        }
        open();
      }
      return () => {
        if (!subscribers.delete(subscriber) || subscribers.size) return;
        listening!.abort();
        close();
      };
    },
  };
}
