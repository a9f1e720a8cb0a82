import { Connection, type TIMES } from "./connection.js";
import { START, type LiveState } from "./state.js";
import { alone, shared, type Source } from "./tabs.js";

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

/** What a client gives to its live sessions. */
export interface Line {
  fetch: typeof fetch;
  href: string;
  origin: string;
  share: boolean;
  times?: typeof TIMES;
}

export function follow({ fetch, href, origin, share, times }: Line): LiveSession {
  const subscribers = new Set<{ run: (state: LiveState) => void }>();
  let state = START;
  let source: Source | undefined;

  const get = () => state;
  const set = (next: LiveState) => {
    state = next;
    for (const subscriber of [...subscribers]) {
      if (!subscribers.has(subscriber)) continue; // another one has ended it
      try {
        subscriber.run(state);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
  const open = () => {
    const owner = { href, origin, state: get, set, connect: (tell: typeof set) => new Connection(fetch, href, state, tell, times) };
    const can = share && globalThis.document && globalThis.BroadcastChannel && globalThis.navigator?.locks;
    source ??= can ? shared(owner) : alone(owner);
  };
  const close = () => {
    source?.close();
    source = undefined;
    if (state.status === "live" || state.status === "offline") state = { ...state, status: "connecting", changed: [], error: undefined };
  };

  // A page that waits in the browser's history would hold the stream and the lock, or could not wait there at all.
  const events = (event: Event) => {
    if (event.type === "pagehide") close();
    else if (event.type === "pageshow") open();
    else if (event.type === "online" || document.visibilityState === "visible") source?.wake(false);
  };
  const listen = (change: "addEventListener" | "removeEventListener") => {
    if (!globalThis.document) return;
    for (const type of ["pagehide", "pageshow", "online"]) globalThis[change](type, events);
    document[change]("visibilitychange", events);
  };

  return {
    subscribe(run) {
      run(state);
      const subscriber = { run };
      subscribers.add(subscriber);
      if (subscribers.size === 1) {
        listen("addEventListener");
        open();
      }
      return () => {
        if (!subscribers.delete(subscriber) || subscribers.size) return;
        listen("removeEventListener");
        close();
      };
    },
    get,
    refresh: () => source?.wake(true),
  };
}
