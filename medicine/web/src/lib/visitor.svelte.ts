import type { LiveState } from "@pillbox/client";
import { fetchPost } from "./api.js";
import { localPath } from "./next.js";
import { session, type Resource, type SessionInfo } from "./resource.svelte.js";
import { span } from "./words.js";

/** A session that has ended although this page did not ask for it. */
export interface Ending {
  readonly title: string;
  readonly text: string;
  /** Whether somebody was signed in. */
  readonly signedIn: boolean;
}

/**
 * Who the visitor is.
 *
 * Two sources tell it: GET /session, asked for, and the live session, unasked. Both may speak of the time before a
 * sign-in or sign-out of this page itself, so they are not heard while one is under way, and a live session that was
 * left by it is not heard afterwards either.
 */
export class Visitor {
  /** Whether somebody is signed in, or undefined until the server has told it. */
  signedIn = $state<boolean | undefined>();

  /** The name of who is signed in. It comes a moment after the news that somebody is. */
  name = $state<string | undefined>();

  /** The session that ended last, until the visitor has read of it or signs in again. */
  ending = $state.raw<Ending | undefined>();

  /** What the last sign-in on this page did: the public id that the session had before, if there was one. */
  signIn = $state.raw<{ readonly before: string | undefined } | undefined>();

  /** Whether a sign-in or sign-out of this page is under way. */
  busy = $state(false);

  #left: string | undefined; // the public id of the session that this page left
  #last: LiveState | undefined; // the last state in which the session lived

  constructor(private readonly session: Resource<SessionInfo>) {
    session.onvalue = (info) => this.#told(info);
  }

  /** Signs in or up, and resolves to the path to go to. It rejects with a PillboxError. */
  async enter(address: "/login" | "/register", username: string, password: string, next: string): Promise<string> {
    return this.#own(async () => {
      const before = this.#publicId;
      const answer = await fetchPost<{ username: string; next: string }>(address, { username, password, next });
      this.ending = undefined;
      this.signIn = { before };
      this.#set(true, answer.username);
      return localPath(answer.next);
    });
  }

  /**
   * Signs out. It calls done when the server has answered, before the page turns to the signed-out state. It rejects
   * with a PillboxError, and then nothing has changed for this page.
   */
  async leave(done?: () => void): Promise<void> {
    await this.#own(async () => {
      await fetchPost("/logout", {});
      done?.();
      this.signIn = undefined;
      this.#set(false);
    });
  }

  /** Asks for more time before the session ends unused. It rejects with a PillboxError. */
  async stay(): Promise<void> {
    this.session.set(await fetchPost<SessionInfo>("/session", {}));
  }

  /** Takes it from an answer of the server that nobody is signed in. */
  refused(): void {
    this.#set(false);
    void this.session.load();
  }

  /** Hears what the live session tells. */
  follow(state: LiveState): void {
    if (this.busy) return;
    switch (state.status) {
      case "live": {
        if (state.session === this.#left) return;
        const known = this.session.value;
        const same = known?.live && known.publicId === state.session && state.signedIn === this.signedIn;
        this.#last = state;
        if (state.signedIn) this.ending = undefined;
        if (state.signedIn !== this.signedIn) this.#set(state.signedIn);
        // The name is not in the stream. A deadline that moved is no reason to ask: asking moves it.
        if (!same) void this.session.load();
        break;
      }
      case "ended":
        // One that this page ended itself is no news.
        if (this.signedIn || this.#last?.signedIn || (state.reason !== "signed-out" && this.#last)) this.ending = this.#why(state);
        this.#gone();
        break;
      case "none":
        this.#gone();
        break;
    }
  }

  #gone(): void {
    this.#last = undefined;
    this.#set(false);
    if (this.session.value?.live !== false) this.session.set({ live: false });
  }

  #told(info: SessionInfo): void {
    if (!this.busy) this.#set(info.live && info.user !== undefined, info.live ? info.user : undefined);
  }

  #set(signedIn: boolean, name?: string): void {
    this.signedIn = signedIn;
    this.name = signedIn ? name : undefined;
  }

  get #publicId(): string | undefined {
    return this.#last?.session ?? (this.session.value?.live ? this.session.value.publicId : undefined);
  }

  async #own<T>(act: () => Promise<T>): Promise<T> {
    const left = this.#publicId;
    this.busy = true;
    try {
      const result = await act();
      this.#left = left;
      this.#last = undefined;
      return result;
    } finally {
      this.busy = false;
      void this.session.load();
    }
  }

  #why(state: LiveState): Ending {
    const signedIn = this.signedIn === true || this.#last?.signedIn === true;
    switch (state.reason) {
      case "signed-out":
        return { signedIn, title: "You are signed out.", text: "You signed out in another tab or window of this browser." };
      case "revoked":
        return {
          signedIn,
          title: "Your session was ended.",
          text: "It was ended from another device, or by those who run this site. If you did not expect that, sign in and look at your devices.",
        };
      default: {
        const { absoluteDeadline } = this.#last ?? state;
        const info = this.session.value;
        const pills = signedIn ? "" : " What it held is gone.";
        if (absoluteDeadline && absoluteDeadline.getTime() <= Date.now() + 1_000) {
          return { signedIn, title: "Your session has ended.", text: `It had reached its longest time, which no use extends.${pills}` };
        }
        const idle = info?.live && info.idleTimeout ? `for ${span(info.idleTimeout)}` : "for too long";
        return { signedIn, title: "Your session has ended.", text: `It was not used ${idle}.${pills}` };
      }
    }
  }
}

export const visitor = new Visitor(session);
