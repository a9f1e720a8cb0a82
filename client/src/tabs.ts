import { Connection } from "./connection.js";
import { PillboxError } from "./error.js";
import { differing, kept, type LiveState } from "./state.js";

/** Where the states of a live session come from. */
export interface Source {
  /** As that of a {@link Connection}, whichever tab has it. */
  wake(force: boolean): void;
  close(): void;
}

/** What a source needs of its live session. */
export interface Owner {
  href: string;
  origin: string;
  state(): LiveState;
  set(state: LiveState): void;
  connect(tell: (state: LiveState) => void): Connection;
}

/** What tabs say to each other. The one with the stream posts states; all others ask. */
interface Message {
  href?: string;
  state?: Omit<LiveState, "error">;
  error?: [status: number, code: string, message: string] | undefined;
  since?: number; // when the tab took over the stream: the latest is believed
  count?: number; // of its states
  wake?: boolean; // with the value of force
}

const ASK_MS = 30_000;
const ANSWER_MS = 5000;

const direct = new Set<{ origin: string; wake(force: boolean): void }>();

/** The name has the version of what tabs say, for tabs that were opened before a release and after it. */
function channelOf(origin: string): BroadcastChannel | undefined {
  return globalThis.document && globalThis.BroadcastChannel && new BroadcastChannel(`pillbox 1 ${origin}`);
}

/** Makes live sessions of an origin look again, in all tabs, unless they have a stream that would tell them. */
export function poke(origin: string): void {
  for (const source of direct) if (source.origin === origin) source.wake(false);
  const channel = channelOf(origin);
  channel?.postMessage({} satisfies Message);
  channel?.close();
}

/** A source with a stream of its own. */
export function alone(owner: Owner): Source {
  const connection = owner.connect(owner.set);
  const source = {
    origin: owner.origin,
    wake: (force: boolean) => connection.wake(force),
    close() {
      direct.delete(source);
      connection.stop();
    },
  };
  direct.add(source);
  return source;
}

/**
 * A source that shares one stream among the tabs of a browser. The tab that holds a lock has the stream and posts each
 * state; the lock passes on when that tab goes away. A tab that is asked and does not answer, because the browser has
 * frozen it, loses the lock.
 */
export function shared(owner: Owner): Source {
  const { href, origin } = owner;
  const name = `pillbox 1 ${href}`;
  const channel = channelOf(origin)!;
  const post = (message: Message) => channel.postMessage({ ...message, href });

  let closed = false;
  let connection: Connection | undefined;
  let request = new AbortController();
  let release: (() => void) | undefined;
  let since = 0;
  let count = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const relay = () => {
    const { error, ...state } = owner.state();
    // An error of a class of its own would arrive as a plain one.
    post({ since, count, state, error: error && [error.status, error.code, error.message] });
  };

  const lead = () => {
    clearTimeout(timer);
    since = Math.max(Date.now(), since + 1);
    count = 0;
    connection = owner.connect((state) => {
      count++;
      owner.set(state);
      relay();
    });
  };

  const queue = (steal: boolean) => {
    request.abort();
    const mine = (request = new AbortController());
    navigator.locks
      .request(name, steal ? { steal } : { signal: mine.signal }, () => {
        if (mine !== request || closed) return undefined;
        lead();
        return new Promise<void>((resolve) => (release = resolve));
      })
      .catch(() => {
        if (mine !== request || closed) return;
        if (connection) {
          // Another tab took the stream over, for want of an answer.
          connection.stop();
          connection = undefined;
          queue(false);
          ask();
        } else {
          lead(); // locks are there and refused, as in a sandbox: then every page has its own stream
        }
      });
  };

  const ask = () => {
    if (connection) return;
    clearTimeout(timer);
    timer = setTimeout(() => queue(true), ANSWER_MS);
    post({});
  };

  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (!data.href) connection?.wake(false);
    if (data.href !== href) return;
    if (connection) {
      if (data.wake !== undefined) connection.wake(data.wake);
      else if (!data.state) relay();
      return;
    }
    const { state, error } = data;
    if (!state || data.since! < since) return;
    clearTimeout(timer);
    const next = data.since === since ? data.count! - count : NaN;
    since = data.since!;
    count = data.count!;
    if (next === 0) return; // it was for another tab
    const old = owner.state();
    const values = kept(old.values, state.values);
    owner.set({
      ...state,
      values,
      error: error && new PillboxError(...error),
      changed: next === 1 ? state.changed : differing(old, state.keys, values),
    });
  };

  const interval = setInterval(() => document.visibilityState === "visible" && ask(), ASK_MS);
  queue(false);
  ask();
  return {
    wake(force) {
      if (connection) return connection.wake(force);
      post({ wake: force });
      ask();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(interval);
      request.abort();
      release?.();
      connection?.stop();
      channel.close();
    },
  };
}
