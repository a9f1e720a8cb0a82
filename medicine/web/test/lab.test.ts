import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Bench } from "../src/lib/lab-bench.svelte.js";
import { reportFrom, SilentFrame } from "../src/lib/lab-frame.js";
import { attacks, judge, runInFrame, runOnServer, type AttackName, type Outcome } from "../src/lib/lab.js";
import { json, later, settled } from "./support.js";

const frame = {} as Window;
const report = { attack: "forgery", read: null, error: "kept" } as const;

/** A message as browsers deliver it. */
function message(source: unknown, data: unknown): Event {
  return Object.assign(new Event("message"), { source, data, origin: "null" });
}

describe("the frame's report", () => {
  it("is taken from the frame, and from nobody else", async () => {
    const target = new EventTarget();
    const got = reportFrom(() => frame, "forgery", 10_000, target);
    target.dispatchEvent(message({}, { ...report, read: "from another window" }));
    target.dispatchEvent(message(null, { ...report, read: "from nobody" }));
    target.dispatchEvent(message(frame, { ...report, attack: "foreign" }));
    for (const odd of [undefined, null, "forgery", {}, { ...report, read: 7 }, { ...report, error: undefined }])
      target.dispatchEvent(message(frame, odd));
    target.dispatchEvent(message(frame, report));
    expect(await got).toEqual(report);
  });

  it("does not come from a frame that could not be opened", async () => {
    const target = new EventTarget();
    const got = reportFrom(() => null, "forgery", 20, target);
    target.dispatchEvent(message(null, report));
    await expect(got).rejects.toBeInstanceOf(SilentFrame);
  });

  it("is not waited for without end, and is not heard afterwards", async () => {
    vi.useFakeTimers();
    try {
      const target = new EventTarget();
      const remove = vi.spyOn(target, "removeEventListener");
      const got = reportFrom(() => frame, "forgery", undefined, target);
      const refused = expect(got).rejects.toBeInstanceOf(SilentFrame);
      await vi.advanceTimersByTimeAsync(9_999);
      expect(remove).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      await refused;
      expect(remove).toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("the judgement", () => {
  const pills = (...names: string[]) => names.map((name) => ({ name }));

  it.each<[string, Parameters<typeof judge>, Outcome["verdict"], string]>([
    ["refused where nothing changed", ["forgery", true, pills("A"), report, pills("A")], "refused", "as they were"],
    ["refused where nothing was read", ["foreign", true, pills("A"), { ...report, attack: "foreign" }, pills("A")], "refused", "kept the answer"],
    ["refused, with a word on what that proves, where there is no session", ["forgery", false, [], report, []], "refused", "nothing of yours"],
    ["a success where there is a forged pill", ["forgery", true, pills("A"), report, pills("A", "Forged")], "succeeded", "forged pill"],
    ["a success where there is one more of them", ["forgery", true, pills("Forged"), report, pills("Forged", "Forged")], "succeeded", "forged pill"],
    ["refused where an older forged pill is still there", ["forgery", true, pills("Forged"), report, pills("Forged")], "refused", "as they were"],
    [
      "a success where something was read",
      ["foreign", true, pills("A"), { attack: "foreign", read: "secret", error: "" }, pills("A")],
      "succeeded",
      "could read",
    ],
    ["unclear where something else changed", ["forgery", true, pills("A"), report, pills("A", "B")], "unclear", "Run it again"],
    ["made of odd lists as well", ["forgery", true, [null, {}], report, [null, {}]], "refused", "as they were"],
  ])("is %s", (_, args, verdict, why) => {
    const outcome = judge(...args);
    expect(outcome.verdict).toBe(verdict);
    expect(outcome.why).toContain(why);
    expect(outcome.steps.map(({ who }) => who)).toEqual(["visitor", "attacker", "visitor"]);
  });
});

describe("an attack", () => {
  it("by the server is what the server says of it", async () => {
    const fetch = vi.fn(async (_url: string, _init: RequestInit) => json(200, { data: { refused: false, why: "It succeeded.", steps: [] } }));
    vi.stubGlobal("fetch", fetch);
    expect(await runOnServer("tampered")).toEqual({ verdict: "succeeded", why: "It succeeded.", steps: [] });
    expect(fetch.mock.calls.map(([url, init]) => [init.method, url])).toEqual([["POST", "/lab/tampered"]]);
  });

  it("by the frame looks at the pills before and after", async () => {
    const order: string[] = [];
    let stored = [{ name: "A" }];
    vi.stubGlobal("fetch", async (url: string) => {
      order.push(url);
      return json(200, { data: url === "/session" ? { live: true } : stored });
    });
    const target = new EventTarget();
    vi.stubGlobal("window", target);
    const outcome = await runInFrame("forgery", () => {
      order.push("frame");
      stored = [...stored, { name: "Forged" }];
      queueMicrotask(() => target.dispatchEvent(message(frame, report)));
      return frame;
    });
    expect(order).toEqual(["/session", "/pills", "frame", "/pills"]);
    expect(outcome.verdict).toBe("succeeded");
  });
});

describe("the bench", () => {
  const step = { who: "attacker", did: "tries.", request: "GET /pills", cookie: "none", status: 200, answer: "No pills." };
  const refused: Outcome = { verdict: "refused", why: "No.", steps: [step, step] };
  let answers: Record<AttackName, ReturnType<typeof later<Outcome>>>;
  let begun: AttackName[];
  let pauses: ReturnType<typeof later<void>>[];

  beforeEach(() => {
    begun = [];
    pauses = [];
    answers = { fixation: later(), tampered: later(), replayed: later(), forgery: later(), foreign: later() };
  });

  afterEach(() => {
    for (const pause of pauses) pause.resolve();
  });

  const bench = (waits = false) =>
    new Bench(
      (name) => (begun.push(name), answers[name].promise),
      () => {
        const pause = later<void>();
        pauses.push(pause);
        if (!waits) pause.resolve();
        return pause.promise;
      },
    );

  it("shows the steps one after the other, and the outcome after the last", async () => {
    const b = bench(true);
    void b.run("fixation");
    expect(b.busy).toBe(true);
    answers.fixation.resolve(refused);
    await settled();
    expect(b.steps("fixation")).toHaveLength(1);
    expect(b.refused).toBe(0);
    pauses[0]!.resolve();
    await settled();
    expect(b.steps("fixation")).toHaveLength(2);
    pauses[1]!.resolve();
    await settled();
    expect(b.busy).toBe(false);
    expect([b.refused, b.succeeded, b.unclear, b.done]).toEqual([1, 0, 0, 1]);
  });

  it("runs one at a time", async () => {
    const b = bench();
    void b.run("fixation");
    void b.run("tampered");
    void b.runAll();
    await settled();
    expect(begun).toEqual(["fixation"]);
  });

  it("runs all in their order, and goes on after one that could not be carried out", async () => {
    const b = bench();
    const all = b.runAll();
    for (const { name } of attacks) {
      expect(begun.at(-1)).toBe(name);
      if (name === "tampered") answers[name].reject(new SilentFrame());
      else answers[name].resolve(name === "foreign" ? { ...refused, verdict: "succeeded" } : refused);
      await settled();
    }
    await all;
    expect([b.refused, b.succeeded, b.done, b.busy]).toEqual([3, 1, 4, false]);
    expect(b.trials.tampered).toMatchObject({ running: false, outcome: undefined, problem: new SilentFrame().message });
  });

  it("says nothing of an error's cause that is not for the visitor", async () => {
    const b = bench();
    void b.run("replayed");
    answers.replayed.reject(new TypeError("undefined is not a function"));
    await settled();
    expect(b.trials.replayed.problem).toBe("Something went wrong in the page.");
  });

  it("forgets the last outcome when it runs again", async () => {
    const b = bench();
    void b.run("fixation");
    answers.fixation.resolve(refused);
    await settled();
    answers.fixation = later();
    void b.run("fixation");
    expect([b.done, b.steps("fixation").length]).toEqual([0, 0]);
  });

  it("begins nothing more once the page is left", async () => {
    const b = bench();
    const all = b.runAll();
    b.leave();
    answers.fixation.resolve(refused);
    await all;
    expect(begun).toEqual(["fixation"]);
  });
});
