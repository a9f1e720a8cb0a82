import type { Connection } from "./connection.js";
import type { Target } from "./request.js";
import { differing, kept, type LiveState } from "./state.js";

/** What tabs say to each other: a poke, which names no stream; a state; a wish to be woken; else a question. */
interface Message {
  href?: string;
  state?: LiveState;
  count?: number; // of the state: one more than of the state before, and far more when another tab has taken over
  force?: boolean; // of Connection.wake
}

const ASK_MS = 30_000;
const ANSWER_MS = 5000;

/** What pokes in this page go to directly. */
const direct = new Set<(origin: string) => void>();

/** The name has the version of what tabs say, for tabs that were opened before a release and after it. */
function channelOf(origin: string): BroadcastChannel | undefined {
  return globalThis.document && globalThis.BroadcastChannel && new BroadcastChannel(`pillbox 1 ${origin}`);
}

/** Makes live sessions of an origin look again, in all tabs, unless they have a stream that tells them. */
export function poke(origin: string): void {
  for (const look of direct) look(origin);
  const channel = channelOf(origin);
  channel?.postMessage({} satisfies Message);
  channel?.close();
}

/**
 * Makes what gives a live session its states.
 *
 * To share one stream among the tabs of a browser, the tab that holds a lock has it and posts each state; the lock
 * passes on when that tab goes away. A tab that is asked and does not answer, because the browser has frozen it, loses
 * the lock. Without sharing this is a plain connection.
 */
export function source(
  { href, origin }: Target,
  share: boolean,
  get: () => LiveState,
  set: (state: LiveState) => void,
  connect: (tell: (state: LiveState) => void) => Connection,
): Connection {
  const locks = globalThis.navigator?.locks;
  const channel = share && locks ? channelOf(origin) : undefined;
  const name = `pillbox 1 ${href}`;
  let request = new AbortController();
  let connection: Connection | undefined;
  let release: (() => void) | undefined;
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const post = (message: Message) => channel?.postMessage({ ...message, href });

  const relay = () => post({ count, state: get() });

  const lead = () => {
    clearTimeout(timer);
    count = Math.max(Date.now() * 1000, count);
    connection = connect((state) => {
      count++;
      set(state);
      relay();
    });
  };

  const queue = (steal: boolean) => {
    request.abort();
    const { signal } = (request = new AbortController());
    locks
      .request(name, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return undefined;
        lead();
        return new Promise<void>((resolve) => (release = resolve));
      })
      .catch(() => {
        if (signal.aborted) return;
        if (!connection) return lead(); // locks are there and refused, as in a sandbox: each page has its own stream
        // Another tab took the stream over, for want of an answer.
        connection.stop();
        connection = undefined;
        queue(false);
        ask();
      });
  };

  const ask = () => {
    if (connection) return;
    clearTimeout(timer);
    timer = setTimeout(queue, ANSWER_MS, true);
    post({});
  };

  const look = (poked: string) => {
    if (poked === origin) connection?.wake(false);
  };

  const hear = ({ data }: MessageEvent<Message>) => {
    const { state, force } = data;
    if (!data.href) connection?.wake(false);
    if (data.href !== href) return;
    if (connection) {
      if (force !== undefined) connection.wake(force);
      else if (!state) relay();
    } else if (state) {
      clearTimeout(timer);
      timer = setTimeout(ask, ASK_MS);
      const missed = data.count! - count - 1;
      if (missed < 0) return; // the answer was for another tab, or is from one that has lost the stream unawares
      count = data.count!;
      const old = get();
      const values = kept(old.values, state.values);
      set({
        ...state,
        values,
        changed: missed ? differing(old, state.keys, values) : state.changed,
      });
    }
  };

  if (channel) {
    channel.onmessage = hear;
    queue(false);
    ask();
  } else {
    direct.add(look);
    lead();
  }

  return {
    wake(force) {
      if (connection) return connection.wake(force);
      post({ force });
      ask();
    },
    stop() {
      direct.delete(look);
      clearTimeout(timer);
      request.abort();
      release?.();
      connection?.stop();
      channel?.close();
    },
  };
}
