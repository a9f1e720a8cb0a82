import type { LiveSession, LiveState } from "@pillbox/client";
import { client } from "./api.js";

/** The session as the server tells it the moment that something happens. There is one for the whole page. */
export class Live {
  state: LiveState = $state.raw() as LiveState;

  /** Whether the server's word arrives by itself, so that nobody needs to ask for what it tells. */
  readonly following: boolean = $derived(this.state.status === "live");

  /** The sooner of the two limits, while the session lives and has one. */
  readonly deadline: Date | undefined = $derived(sooner(this.state.idleDeadline, this.state.absoluteDeadline));

  constructor(readonly source: LiveSession) {
    this.state = source.get();
  }

  /** Begins to listen. Each state goes to the listeners too, in their order, before the page shows it. */
  start(...listeners: ((state: LiveState) => void)[]): () => void {
    return this.source.subscribe((state) => {
      for (const listen of listeners) listen(state);
      this.state = state;
    });
  }
}

function sooner(a: Date | undefined, b: Date | undefined): Date | undefined {
  return a && b ? (a < b ? a : b) : (a ?? b);
}

export const live = new Live(client.live("/live"));
