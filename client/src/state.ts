import type { PillboxError } from "./error.js";
import { isObject, type Fields } from "./json.js";

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
  readonly error: PillboxError | undefined;
}

export const START: LiveState = {
  status: "connecting",
  session: undefined,
  signedIn: false,
  keys: [],
  changed: [],
  values: {},
  idleDeadline: undefined,
  absoluteDeadline: undefined,
  expiring: false,
  reason: undefined,
  error: undefined,
};

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

/** The state after a change of what the session holds. */
export function changed(old: LiveState, said: Fields): LiveState {
  const changed = names(said.keys);
  const removed = new Set(names(said.removed));
  const later = deadlines(said);
  return {
    ...old,
    keys: union(old.keys, changed).filter((key) => !removed.has(key)),
    changed,
    values: kept(old.values, {
      ...without(old.values, changed),
      ...(isObject(said.values) ? said.values : {}),
    }),
    ...later,
    // A second of difference is the time that the event took to get here.
    expiring: old.expiring && !(end({ ...old, ...later }) > end(old) + 1000),
  };
}

/** The state after its deadlines moved, or came near. */
export function moved(old: LiveState, said: Fields, expiring: boolean): LiveState {
  return { ...old, changed: [], ...deadlines(said), expiring };
}

/** The state without a session. */
export function gone(old: LiveState, reason: LiveState["reason"]): LiveState {
  return { ...START, status: reason ? "ended" : "none", changed: old.keys, reason };
}

/** When the session ends if nothing is done. */
export function end({ idleDeadline, absoluteDeadline }: LiveState): number {
  return Math.min(idleDeadline?.getTime() ?? Infinity, absoluteDeadline?.getTime() ?? Infinity);
}

/** The fresh values, each as the old object where both say the same. */
export function kept(old: LiveState["values"], fresh: unknown): LiveState["values"] {
  return Object.fromEntries(
    Object.entries(isObject(fresh) ? fresh : {}).map(([key, value]) => {
      // An own property only: a key may be called "constructor".
      const before = Object.hasOwn(old, key) ? old[key] : undefined;
      return [key, JSON.stringify(before) === JSON.stringify(value) ? before : value];
    }),
  );
}

/** The names that may hold something else now: those whose values are not told may always. */
export function differing(old: LiveState, keys: readonly string[], values: LiveState["values"]): string[] {
  return union(old.keys, keys).filter((key) => !Object.hasOwn(values, key) || !Object.hasOwn(old.values, key) || values[key] !== old.values[key]);
}

function without(values: LiveState["values"], keys: readonly string[]): LiveState["values"] {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !keys.includes(key)));
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

function names(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : [];
}

function deadlines(said: Fields): Pick<LiveState, "idleDeadline" | "absoluteDeadline"> {
  return { idleDeadline: deadline(said.idle), absoluteDeadline: deadline(said.absolute) };
}

function deadline(left: unknown): Date | undefined {
  const date = new Date(typeof left === "number" ? Date.now() + left : NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
