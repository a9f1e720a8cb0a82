/**
 * Turns keeps one visitor in one session.
 *
 * Nothing ties the parallel requests of a visitor without a cookie together: a server makes a session for each of
 * them, and the last cookie wins. So a request that finds none of its kind under way goes alone. Those made
 * meanwhile wait for its answer, by which time the cookie is there, and then go together.
 *
 * A read is not enough to lead a write, because a read makes no session on a server that stores nothing without
 * cause. The rule holds for every burst, not only for the first request of a page: the session may have ended since.
 */
export class Turns {
  #alone: { answered: Promise<boolean>; write: boolean } | undefined;
  #reads = 0;
  #writes = 0;

  /**
   * Runs send when its turn has come. When signal is aborted before that, send runs at once: it has the same signal
   * and fails by it, without a request and without leading others.
   */
  async take<T>(write: boolean, signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    const stopped = new Promise<boolean>((resolve) => {
      signal.addEventListener("abort", () => resolve(false), { once: true });
    });
    while (this.#alone && !signal.aborted) {
      const { answered, write: led } = this.#alone;
      if ((await Promise.race([answered, stopped])) && (led || !write)) return this.#count(write, send);
    }
    if (signal.aborted || this.#writes > 0 || (!write && this.#reads > 0)) return this.#count(write, send);

    let settle!: (answered: boolean) => void;
    this.#alone = { answered: new Promise<boolean>((resolve) => (settle = resolve)), write };
    let ok = false;
    try {
      const value = await this.#count(write, send);
      ok = true;
      return value;
    } finally {
      this.#alone = undefined;
      settle(ok);
    }
  }

  async #count<T>(write: boolean, send: () => Promise<T>): Promise<T> {
    if (write) this.#writes++;
    else this.#reads++;
    try {
      return await send();
    } finally {
      if (write) this.#writes--;
      else this.#reads--;
    }
  }
}
