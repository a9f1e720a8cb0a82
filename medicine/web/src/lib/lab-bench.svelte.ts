import { toError } from "./api.js";
import { SilentFrame } from "./lab-frame.js";
import { attacks, type AttackName, type Outcome, type Step } from "./lab.js";

/** How far an attack is, on this page. */
export interface Trial {
  readonly running: boolean;
  /** Of the last run. It stays until the next one has an outcome, but for the steps. */
  readonly outcome: Outcome | undefined;
  /** Why the last run has no outcome, or "". */
  readonly problem: string;
  /** How many of the steps are shown. */
  readonly shown: number;
}

const untried: Trial = { running: false, outcome: undefined, problem: "", shown: 0 };

/** The trials of the page. One runs at a time, so that none is in the way of another. */
export class Bench {
  trials = $state.raw<Readonly<Record<AttackName, Trial>>>({
    fixation: untried,
    tampered: untried,
    replayed: untried,
    forgery: untried,
    foreign: untried,
  });

  /** Whether all attacks are being run, one after the other. */
  runningAll = $state(false);

  readonly busy: boolean = $derived(this.runningAll || Object.values(this.trials).some(({ running }) => running));
  readonly refused: number = $derived(this.#count("refused"));
  readonly succeeded: number = $derived(this.#count("succeeded"));
  readonly unclear: number = $derived(this.#count("unclear"));
  readonly done: number = $derived(Object.values(this.trials).filter(({ outcome }) => outcome).length);

  #left = false;

  /**
   * @param attempt runs an attack
   * @param pause waits before a step is shown
   */
  constructor(
    private readonly attempt: (name: AttackName) => Promise<Outcome>,
    private readonly pause: () => Promise<void>,
  ) {}

  /** Runs one attack, and shows its steps one after the other and then its outcome. It never rejects. */
  async run(name: AttackName): Promise<void> {
    if (this.busy) return;
    await this.#run(name);
  }

  /** Runs all of them. One that cannot be carried out does not keep the next from it. */
  async runAll(): Promise<void> {
    if (this.busy) return;
    this.runningAll = true;
    try {
      for (const { name } of attacks) {
        if (this.#left) return;
        await this.#run(name);
      }
    } finally {
      this.runningAll = false;
    }
  }

  /** The page goes away: nothing more is begun. */
  leave(): void {
    this.#left = true;
  }

  /** The steps of an attack that are shown so far. */
  steps(name: AttackName): readonly Step[] {
    const { outcome, shown } = this.trials[name];
    return outcome?.steps.slice(0, shown) ?? [];
  }

  async #run(name: AttackName): Promise<void> {
    this.#set(name, { running: true, outcome: undefined, problem: "", shown: 0 });
    try {
      const outcome = await this.attempt(name);
      this.#set(name, { outcome });
      for (let shown = 1; shown <= outcome.steps.length && !this.#left; shown++) {
        this.#set(name, { shown });
        await this.pause();
      }
    } catch (cause) {
      this.#set(name, { outcome: undefined, problem: cause instanceof SilentFrame ? cause.message : toError(cause).message });
    } finally {
      this.#set(name, { running: false });
    }
  }

  #set(name: AttackName, change: Partial<Trial>): void {
    this.trials = { ...this.trials, [name]: { ...this.trials[name], ...change } };
  }

  #count(verdict: Outcome["verdict"]): number {
    return Object.values(this.trials).filter(({ outcome, running }) => !running && outcome?.verdict === verdict).length;
  }
}
