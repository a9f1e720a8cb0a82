export interface Toast {
  readonly id: number;
  readonly kind: "info" | "error";
  readonly text: string;
  readonly action?: { label: string; run: () => void };
}

/** How long a message stays. One with a button stays longer, so that the button can be reached. */
const STAY_MS = 7_000;
const STAY_WITH_ACTION_MS = 12_000;
const MOST = 3;

/** Short messages at the edge of the page. */
export class Toasts {
  list = $state.raw<readonly Toast[]>([]);
  #next = 1;
  #timers = new Map<number, ReturnType<typeof setTimeout>>();

  /** Shows a message. One that says the same takes the place of the older one. */
  show(kind: Toast["kind"], text: string, action?: Toast["action"]): void {
    for (const old of this.list) if (old.kind === kind && old.text === text) this.dismiss(old.id);
    const toast: Toast = { id: this.#next++, kind, text, ...(action ? { action } : {}) };
    const list = [...this.list, toast];
    for (const old of list.slice(0, -MOST)) this.#stop(old.id);
    this.list = list.slice(-MOST);
    this.#start(toast);
  }

  dismiss(id: number): void {
    this.#stop(id);
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  /** Keeps all messages while the visitor points at one or has the focus in one. */
  hold(): void {
    for (const id of [...this.#timers.keys()]) this.#stop(id);
  }

  release(): void {
    this.hold();
    for (const toast of this.list) this.#start(toast);
  }

  #start(toast: Toast): void {
    this.#timers.set(
      toast.id,
      setTimeout(() => this.dismiss(toast.id), toast.action ? STAY_WITH_ACTION_MS : STAY_MS),
    );
  }

  #stop(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }
}

export const toasts = new Toasts();
