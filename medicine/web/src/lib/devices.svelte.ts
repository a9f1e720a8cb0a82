import { fetchDelete, fetchGet, toError } from "./api.js";
import { Resource } from "./resource.svelte.js";
import { visitor } from "./visitor.svelte.js";

/** A session of the user, as the user sees it. */
export interface Device {
  readonly publicId: string;
  /** Whether it is the one that asks. */
  readonly current: boolean;
  readonly browser: string;
  readonly system: string;
  readonly address: string;
  readonly firstSeen: string;
  readonly lastSeen: string;
}

/** The sessions of the user. What is being ended stays in the list, marked, until the server says that it has ended. */
export class Devices {
  readonly list = new Resource<readonly Device[]>(() => this.#ask(() => fetchGet<Device[]>("/sessions")));

  /** The public ids of those that are being ended. */
  ending = $state.raw<ReadonlySet<string>>(new Set());

  readonly others: readonly Device[] = $derived((this.list.value ?? []).filter((device) => !device.current));

  /** @param signedOut is called when the server says that nobody is signed in */
  constructor(private readonly signedOut: () => void) {}

  /** Ends one. It resolves to whether it was there to be ended, and rejects with a PillboxError. */
  async end(device: Device): Promise<boolean> {
    let was = true;
    await this.#end([device.publicId], async () => {
      try {
        await fetchDelete(`/sessions/${encodeURIComponent(device.publicId)}`);
      } catch (cause) {
        // It ended by itself, or from elsewhere: that is what was asked for.
        if (toError(cause).code !== "no_such_session") throw cause;
        was = false;
      }
      this.list.set((this.list.value ?? []).filter(({ publicId }) => publicId !== device.publicId));
    });
    return was;
  }

  /** Ends all but the one that asks, and resolves to how many they were. It rejects with a PillboxError. */
  async endOthers(): Promise<number> {
    let ended = 0;
    const ids = this.others.map(({ publicId }) => publicId);
    await this.#end(ids, async () => {
      ({ ended } = await fetchDelete<{ ended: number }>("/sessions"));
      this.list.set((this.list.value ?? []).filter(({ current }) => current));
    });
    return ended;
  }

  async #end(ids: readonly string[], act: () => Promise<void>): Promise<void> {
    this.ending = new Set([...this.ending, ...ids]);
    try {
      await this.#ask(act);
    } catch (cause) {
      // What is stored now is not known.
      if (toError(cause).unsure) void this.list.load();
      throw cause;
    } finally {
      this.ending = new Set([...this.ending].filter((id) => !ids.includes(id)));
    }
  }

  async #ask<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (cause) {
      if (toError(cause).code === "signed_out") this.signedOut();
      throw cause;
    }
  }
}

export const devices = new Devices(() => visitor.refused());
