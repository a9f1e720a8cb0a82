import type { LiveState } from "@pillbox/client";
import { fetchDelete, fetchGet, fetchPost, toError, type PillboxError } from "./api.js";

export interface Pill {
  readonly name: string;
}

/** The pills of one name. */
export interface Group {
  readonly name: string;
  readonly count: number;
  /** Where the last of them stands in the whole list. */
  readonly last: number;
}

export const MAX_NAME = 100;

/** Says what is wrong with a name before it is sent, or "" for a name that the server takes. */
export function nameProblem(name: string): string {
  const length = [...name.trim()].length;
  if (length === 0) return "Write the name of a medicine.";
  if (length > MAX_NAME) return `The name has ${length} characters; ${MAX_NAME} are the most.`;
  return "";
}

/** How long after a change of this page the live session may still be telling what was stored before it. */
const LAG_MS = 250;

/**
 * The pills of this visitor's session, as the server last told them.
 *
 * Each answer holds the whole list as it was stored by that request. Requests may overlap, and then neither the order
 * of sending nor the order of arrival says which list is the newest. So while changes overlap, the page shows what
 * cannot be older than what it shows already, and once all have settled it asks for the list once.
 *
 * The live session tells the list too, in the order in which it was stored, but on a way of its own: it may be behind
 * the answers. So it is what the page shows, except during changes of this page and a moment after them. What was
 * heard then, and is another list than the one shown, only says that asking is worth it.
 */
export class Pharmacy {
  /** The list, or undefined until the server has told it. */
  pills = $state.raw<readonly Pill[] | undefined>();

  /** Why the list could not be fetched, the last time that it was asked for. */
  error = $state.raw<PillboxError | undefined>();

  /** How many changes are on their way. */
  changing = $state(0);

  readonly total: number = $derived(this.pills?.length ?? 0);
  readonly groups: readonly Group[] = $derived(group(this.pills ?? []));

  #sent = 0; // changes ever sent
  #applied = 0; // the latest sent of the changes whose answer is shown
  #burst: { overlapped: boolean; unsure: boolean; onlyAdds: boolean } | undefined;
  #refreshing: { promise: Promise<void>; sent: number; heard: number } | undefined;
  #told: readonly Pill[] | undefined; // by the live session, since this page began to change the list
  #heard = 0; // lists ever told by the live session
  #lag: ReturnType<typeof setTimeout> | undefined;

  /** Fetches the list. It never rejects: what goes wrong is in `error`. */
  refresh(): Promise<void> {
    // A refresh during a change would race it; the change's own answer is as new.
    if (this.#burst) {
      this.#burst.unsure = true;
      return Promise.resolve();
    }
    if (this.#refreshing?.sent === this.#sent) return this.#refreshing.promise;
    const asked = { sent: this.#sent, heard: this.#heard, promise: Promise.resolve() };
    asked.promise = this.#fetch(asked);
    this.#refreshing = asked;
    return asked.promise;
  }

  async #fetch(asked: { sent: number; heard: number }): Promise<void> {
    let list: readonly Pill[] | undefined;
    let error: PillboxError | undefined;
    try {
      list = await fetchGet<Pill[]>("/pills");
    } catch (cause) {
      error = toError(cause);
    }
    if (this.#refreshing === asked) this.#refreshing = undefined;
    // A change was sent or told of since: this answer may be from before it.
    if (asked.sent !== this.#sent) return this.refresh();
    if (asked.heard !== this.#heard && list && !same(list, this.pills)) return this.refresh();
    if (list) this.pills = list;
    this.error = error;
  }

  /** Hears what the live session tells. */
  follow(state: LiveState): void {
    if (state.status === "live") this.#hear(listOf(state.values.pills));
    else if (state.status === "none" || state.status === "ended") this.#hear([]);
  }

  #hear(list: readonly Pill[]): void {
    this.#heard++;
    if (this.#burst || this.#lag !== undefined) {
      this.#told = list;
      return;
    }
    if (!same(list, this.pills)) this.pills = list;
    this.error = undefined;
  }

  /** Waits for what the live session has yet to tell of changes that are made. */
  #settle(): void {
    clearTimeout(this.#lag);
    this.#lag = setTimeout(() => {
      this.#lag = undefined;
      const told = this.#told;
      if (this.#burst) return;
      this.#told = undefined;
      if (told && !same(told, this.pills)) void this.refresh();
    }, LAG_MS);
  }

  /** Adds a pill. It rejects with a PillboxError, and then the caller still has the name. */
  add(name: string): Promise<void> {
    return this.#change(true, () => fetchPost<Pill[]>("/pills", { name: name.trim() }));
  }

  /** Removes the last pill of this name. */
  removeOne(name: string): Promise<void> {
    const last = (this.pills ?? []).findLastIndex((pill) => pill.name === name);
    return this.#change(false, () => fetchDelete<Pill[]>(`/pills/${Math.max(last, 0)}?name=${encodeURIComponent(name)}`));
  }

  /** Removes all pills. */
  clear(): Promise<void> {
    return this.#change(false, () => fetchDelete<Pill[]>("/pills"));
  }

  async #change(adds: boolean, send: () => Promise<readonly Pill[]>): Promise<void> {
    const number = ++this.#sent;
    const burst = (this.#burst ??= { overlapped: false, unsure: false, onlyAdds: true });
    if (this.changing > 0) burst.overlapped = true;
    if (!adds) burst.onlyAdds = false;
    this.changing++;
    try {
      const list = await send();
      // A list only grows while pills are only added, so the longer one is the newer one.
      const newer = burst.onlyAdds ? list.length >= this.total : number > this.#applied;
      if (!burst.overlapped || newer) {
        this.pills = list;
        this.#applied = Math.max(number, this.#applied);
        this.error = undefined;
      }
    } catch (cause) {
      const error = toError(cause);
      if (error.unsure || error.status === 404) burst.unsure = true;
      throw error;
    } finally {
      this.changing--;
      if (this.changing === 0) {
        this.#burst = undefined;
        this.#settle();
        if (burst.overlapped || burst.unsure) void this.refresh();
      }
    }
  }
}

/** The name of a pill. One that another client left without a name, or that is no object, has the name "". */
export function nameOf(pill: Pill | null): string {
  return typeof pill?.name === "string" ? pill.name : "";
}

/** Gathers the pills of one name, in the order in which each name came first. */
export function group(pills: readonly (Pill | null)[]): Group[] {
  const groups = new Map<string, Group>();
  pills.forEach((pill, last) => {
    const name = nameOf(pill);
    groups.set(name, { name, count: (groups.get(name)?.count ?? 0) + 1, last });
  });
  return [...groups.values()];
}

/** The value of the session's key, which another client may have set to anything. */
function listOf(value: unknown): readonly Pill[] {
  return Array.isArray(value) ? (value as Pill[]) : [];
}

function same(a: readonly (Pill | null)[], b: readonly (Pill | null)[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((pill, i) => nameOf(pill) === nameOf(b[i] ?? null));
}

export const pharmacy = new Pharmacy();
