import type { Fields } from "./json.js";

/** What went wrong with a connection: as in a PillboxError, but plain data that tabs can hand on. */
export interface LiveError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/**
 * What is known of this browser's session. A state is never changed: a new one takes its place, and in `values` what
 * is the same stays the same object, so that `===` tells a change.
 */
export interface LiveState {
  /**
   * - `"connecting"`: nothing is known yet, or nobody has asked for a while; what is there is the last known
   * - `"live"`: there is a session, and its changes arrive as they are made
   * - `"none"`: there is no session
   * - `"ended"`: there was one; `reason` says what became of it
   * - `"offline"`: the server cannot be reached or does not answer as agreed (`error`); what is there is the last
   *   known, and the connection is tried again
   */
  readonly status: "connecting" | "live" | "none" | "ended" | "offline";

  /** The session's public id, by which lists of sessions name it. It opens nothing. Undefined where there is none. */
  readonly session: string | undefined;

  /** Whether somebody is signed in. */
  readonly signedIn: boolean;

  /** The names of all that the session holds, in no certain order. */
  readonly keys: readonly string[];

  /** The names that may hold something else than in the state before: set, removed, or changed while cut off. */
  readonly changed: readonly string[];

  /** The values by name, of those that the server lets out. */
  readonly values: Readonly<Record<string, unknown>>;

  /** When the session ends if nothing is done, by this computer's clock. Undefined for never. */
  readonly idleDeadline: Date | undefined;

  /** When the session ends whatever is done, by this computer's clock. Undefined for never. */
  readonly absoluteDeadline: Date | undefined;

  /** Whether the server has warned that the end is near. */
  readonly expiring: boolean;

  /** Why the session ended: by its visitor here, by somebody who may, or by time. Undefined unless `"ended"`. */
  readonly reason: "signed-out" | "revoked" | "expired" | undefined;

  /** What went wrong with the connection. Undefined unless `"offline"`. */
  readonly error: LiveError | undefined;
}

/** What is absent is undefined. */
export const START = {
  status: "connecting",
  signedIn: false,
  keys: [],
  changed: [],
  values: {},
  expiring: false,
} as Partial<LiveState> as LiveState;

/** The state after a session's first event, by which all is told anew. */
export function begun(old: LiveState, said: Fields): LiveState {
  const keys = names(said.keys);
  const values = kept(old.values, said.values);
  return {
    ...START,
    status: "live",
    session: said.session as string,
    signedIn: said.signedIn === true,
    keys,
    values,
    changed: differing(old, keys, values),
    ...deadlines(said),
  };
}

/** The state after a change of what the session holds. Whether it is about to end, the server says by itself. */
export function changed(old: LiveState, said: Fields): LiveState {
  const changed = names(said.keys);
  const removed = new Set(names(said.removed));
  const different = new Set(changed);
  return {
    ...old,
    keys: union(old.keys, changed).filter((key) => !removed.has(key)),
    changed,
    values: {
      ...Object.fromEntries(Object.entries(old.values).filter(([key]) => !different.has(key))),
      ...kept(old.values, said.values),
    },
    ...deadlines(said),
  };
}

/** The state without a session. */
export function gone(old: LiveState, reason?: LiveState["reason"]): LiveState {
  return { ...START, status: reason ? "ended" : "none", changed: old.keys, reason };
}

/** The fresh values, each as the old object where both say the same. */
export function kept(old: LiveState["values"], fresh: unknown): LiveState["values"] {
  return Object.fromEntries(
    Object.entries(fresh ?? {}).map(([key, value]) => {
      const before = own(old, key);
      return [key, JSON.stringify(before) === JSON.stringify(value) ? before : value];
    }),
  );
}

/** The names that may hold something else now: those whose values are not told may always. */
export function differing(old: LiveState, keys: readonly string[], values: LiveState["values"]): string[] {
  return union(old.keys, keys).filter((key) => own(values, key) === undefined || own(values, key) !== own(old.values, key));
}

/** A value of this name; a name may be "constructor". */
function own(values: LiveState["values"], key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

function names(value: unknown): string[] {
  return Array.isArray(value) ? value : [];
}

/** The deadlines that are told by the time that is left. */
export function deadlines({ idle, absolute }: Fields): Pick<LiveState, "idleDeadline" | "absoluteDeadline"> {
  return { idleDeadline: deadline(idle), absoluteDeadline: deadline(absolute) };
}

function deadline(left: unknown): Date | undefined {
  const date = new Date(Date.now() + ((left as number) ?? NaN));
  return +date ? date : undefined;
}
