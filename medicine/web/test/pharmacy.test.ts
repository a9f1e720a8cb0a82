import type { LiveState } from "@pillbox/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PillboxError } from "../src/lib/api.js";
import { group, nameProblem, Pharmacy, type Pill } from "../src/lib/pharmacy.svelte.js";
import { json, later, settled } from "./support.js";

const pills = (...names: string[]) => names.map((name) => ({ name }));

/** The requests that went out, each to be answered by hand. */
let sent: { method: string; url: string; answer: (names: string[]) => Promise<void>; fail: (status: number, code?: string) => Promise<void> }[];

beforeEach(() => {
  sent = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const response = later<Response>();
    sent.push({
      method: init.method ?? "",
      url,
      answer: (names) => (response.resolve(json(200, { data: pills(...names) })), settled()),
      fail: (status, code = "store_unavailable") => (
        status
          ? response.resolve(json(status, { error: { code, message: `Status ${status}.` } }))
          : response.reject(new TypeError("Failed to fetch")),
        settled()
      ),
    });
    return response.promise;
  });
});

// The turns are the module's, so no test leaves a request behind.
afterEach(async () => {
  for (let i = 0; i < sent.length; i++) await sent[i]!.fail(400);
});

const requests = () => sent.map(({ method, url }) => `${method} ${url}`);

/** Three adds under way at once, the first of them answered. */
async function threeAdds() {
  const pharmacy = new Pharmacy();
  const done = [pharmacy.add("A"), pharmacy.add("B"), pharmacy.add("C")].map((promise) => promise.catch((error: unknown) => error));
  await settled();
  expect(sent).toHaveLength(1); // a new visitor's first request goes alone
  await sent[0]!.answer(["A"]);
  expect(sent).toHaveLength(3);
  return { pharmacy, done: Promise.all(done) };
}

describe("the list", () => {
  it("is unknown, then what the server says", async () => {
    const pharmacy = new Pharmacy();
    expect(pharmacy.pills).toBeUndefined();
    void pharmacy.refresh();
    await sent[0]!.answer(["A", "B", "A"]);
    expect(pharmacy.pills).toEqual(pills("A", "B", "A"));
    expect(pharmacy.total).toBe(3);
    expect(pharmacy.groups).toEqual([
      { name: "A", count: 2, last: 2 },
      { name: "B", count: 1, last: 1 },
    ]);
  });

  it("keeps what it has when a refresh fails, and says so until one succeeds", async () => {
    const pharmacy = new Pharmacy();
    void pharmacy.refresh();
    await sent[0]!.answer(["A"]);
    void pharmacy.refresh();
    await sent[1]!.fail(503);
    expect(pharmacy.pills).toEqual(pills("A"));
    expect(pharmacy.error).toMatchObject({ status: 503, message: "Status 503." });
    void pharmacy.refresh();
    await sent[2]!.answer(["A"]);
    expect(pharmacy.error).toBeUndefined();
  });

  it("asks once for refreshes that coincide", async () => {
    const pharmacy = new Pharmacy();
    const all = [pharmacy.refresh(), pharmacy.refresh(), pharmacy.refresh()];
    await sent[0]!.answer([]);
    await Promise.all(all);
    expect(requests()).toEqual(["GET /pills"]);
  });
});

describe("one change", () => {
  it("shows its answer without asking again", async () => {
    const pharmacy = new Pharmacy();
    const done = pharmacy.add("  A ");
    await sent[0]!.answer(["A"]);
    await done;
    expect(pharmacy.pills).toEqual(pills("A"));
    expect(requests()).toEqual(["POST /pills"]);
    expect(pharmacy.changing).toBe(0);
  });

  it("removes the last pill of a name, and names it in the address", async () => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A & B/C", "D", "A & B/C", "D");
    void pharmacy.removeOne("A & B/C");
    await sent[0]!.answer(["A & B/C", "D", "D"]);
    expect(requests()).toEqual(["DELETE /pills/2?name=A%20%26%20B%2FC"]);
    void pharmacy.clear();
    await sent[1]!.answer([]);
    expect(requests()[1]).toBe("DELETE /pills");
    expect(pharmacy.pills).toEqual([]);
  });

  it("that the server refuses leaves the list as it was", async () => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A");
    const done = pharmacy.add("B");
    const refused = expect(done).rejects.toMatchObject({ status: 400, code: "invalid_name" });
    await sent[0]!.fail(400, "invalid_name");
    await refused;
    expect(pharmacy.pills).toEqual(pills("A"));
    expect(requests()).toEqual(["POST /pills"]);
  });

  it.each([
    ["no answer arrives", 0],
    ["the server fails", 503],
    ["the pill is gone already", 404],
  ])("asks for the list when %s, since that does not tell what is stored", async (_, status) => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A", "B");
    const failed = expect(pharmacy.removeOne("B")).rejects.toBeInstanceOf(PillboxError);
    await sent[0]!.fail(status);
    await failed;
    await sent[1]!.answer(["A"]);
    expect(requests()).toEqual(["DELETE /pills/1?name=B", "GET /pills"]);
    expect(pharmacy.pills).toEqual(pills("A"));
  });
});

describe("changes that overlap", () => {
  it("never show an older list after a newer one, and end with one refetch", async () => {
    const { pharmacy, done } = await threeAdds();
    await sent[2]!.answer(["A", "B", "C"]);
    expect(pharmacy.total).toBe(3);
    await sent[1]!.answer(["A", "B"]);
    expect(pharmacy.total).toBe(3);
    await done;
    expect(requests().slice(3)).toEqual(["GET /pills"]);
    await sent[3]!.answer(["A", "B", "C"]);
    expect(pharmacy.pills).toEqual(pills("A", "B", "C"));
    expect(sent).toHaveLength(4);
  });

  it("are right when the server stored them in another order than they were sent", async () => {
    const { pharmacy, done } = await threeAdds();
    await sent[1]!.answer(["A", "C", "B"]); // C was stored before B
    expect(pharmacy.total).toBe(3);
    await sent[2]!.answer(["A", "C"]);
    expect(pharmacy.total).toBe(3);
    await done;
    await sent[3]!.answer(["A", "C", "B"]);
    expect(pharmacy.pills).toEqual(pills("A", "C", "B"));
  });

  it("end with what is stored when adds and removals are mixed", async () => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A", "B");
    const first = pharmacy.add("C");
    const second = pharmacy.removeOne("A");
    const third = pharmacy.removeOne("B");
    await settled();
    await sent[0]!.answer(["A", "B", "C"]);
    await sent[2]!.answer(["C"]);
    await sent[1]!.answer(["B", "C"]);
    expect(pharmacy.pills).toEqual(pills("C"));
    await Promise.all([first, second, third]);
    await sent[3]!.answer(["C"]);
    expect(pharmacy.pills).toEqual(pills("C"));
  });

  it("report the one that fails, and show the others", async () => {
    const { pharmacy, done } = await threeAdds();
    await sent[1]!.fail(503);
    await sent[2]!.answer(["A", "C"]);
    expect((await done).map((error) => (error instanceof PillboxError ? error.status : 0))).toEqual([0, 503, 0]);
    await sent[3]!.answer(["A", "C"]);
    expect(pharmacy.pills).toEqual(pills("A", "C"));
  });

  it("count down to none", async () => {
    const { pharmacy } = await threeAdds();
    expect(pharmacy.changing).toBe(2);
    await sent[1]!.answer(["A", "B"]);
    await sent[2]!.answer(["A", "B", "C"]);
    expect(pharmacy.changing).toBe(0);
  });
});

describe("a refresh and a change", () => {
  it("that cross do not bring the list from before the change back", async () => {
    const pharmacy = new Pharmacy();
    void pharmacy.refresh();
    const done = pharmacy.add("A");
    await settled();
    expect(requests()).toEqual(["GET /pills"]); // the change waits: the refresh goes alone
    await sent[0]!.answer([]);
    expect(pharmacy.pills).toBeUndefined(); // from before the change, so it is not shown
    await sent[1]!.answer(["A"]);
    await done;
    expect(pharmacy.pills).toEqual(pills("A"));
    await sent[2]!.answer(["A"]);
    expect(pharmacy.pills).toEqual(pills("A"));
  });

  it("that cross still end with a list when the change is refused", async () => {
    const pharmacy = new Pharmacy();
    void pharmacy.refresh();
    const refused = expect(pharmacy.add("A")).rejects.toMatchObject({ status: 400 });
    await sent[0]!.answer(["B"]);
    await sent[1]!.fail(400, "invalid_name");
    await refused;
    await sent[2]!.answer(["B"]);
    expect(pharmacy.pills).toEqual(pills("B"));
  });

  it("asked for during a change waits for its end", async () => {
    const pharmacy = new Pharmacy();
    const done = pharmacy.add("A");
    void pharmacy.refresh();
    await sent[0]!.answer(["A"]);
    await done;
    await sent[1]!.answer(["A", "B"]);
    expect(requests()).toEqual(["POST /pills", "GET /pills"]);
    expect(pharmacy.pills).toEqual(pills("A", "B"));
  });
});

describe("the live session", () => {
  const tell = (pharmacy: Pharmacy, names: string[] | undefined, status: LiveState["status"] = "live") =>
    pharmacy.follow({ status, values: names ? { pills: pills(...names) } : {} } as unknown as LiveState);

  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  /** Lets everything run that waits for promises, while the timers are faked. */
  const promises = async () => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };

  it("is what the page shows", () => {
    const pharmacy = new Pharmacy();
    tell(pharmacy, ["A", "B"]);
    expect(pharmacy.pills).toEqual(pills("A", "B"));
    tell(pharmacy, undefined);
    expect(pharmacy.pills).toEqual([]);
    expect(sent).toHaveLength(0);
  });

  it.each(["none", "ended"] as const)("empties the tray when it is %s", (status) => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A");
    tell(pharmacy, undefined, status);
    expect(pharmacy.pills).toEqual([]);
  });

  it.each(["connecting", "offline"] as const)("leaves the tray as it is while it is %s", (status) => {
    const pharmacy = new Pharmacy();
    pharmacy.pills = pills("A");
    tell(pharmacy, undefined, status);
    expect(pharmacy.pills).toEqual(pills("A"));
  });

  it("takes what is no list for none", () => {
    const pharmacy = new Pharmacy();
    pharmacy.follow({ status: "live", values: { pills: "A" } } as unknown as LiveState);
    expect(pharmacy.pills).toEqual([]);
  });

  it("that is behind the answers does not bring an older list back", async () => {
    const pharmacy = new Pharmacy();
    const done = pharmacy.add("A");
    await promises();
    tell(pharmacy, []);
    void sent[0]!.answer(["A"]);
    await done;
    tell(pharmacy, []); // still behind
    expect(pharmacy.pills).toEqual(pills("A"));
    tell(pharmacy, ["A"]);
    vi.advanceTimersByTime(1_000);
    await promises();
    expect(requests()).toEqual(["POST /pills"]); // both say the same, so nobody needs to ask
    tell(pharmacy, ["A", "B"]);
    expect(pharmacy.pills).toEqual(pills("A", "B"));
  });

  it("is asked about when it told another list during a change of this page", async () => {
    const pharmacy = new Pharmacy();
    const done = pharmacy.add("A");
    await promises();
    tell(pharmacy, ["A", "B"]); // B was added in another tab
    void sent[0]!.answer(["A"]);
    await done;
    expect(pharmacy.pills).toEqual(pills("A"));
    vi.advanceTimersByTime(1_000);
    await promises();
    expect(requests()).toEqual(["POST /pills", "GET /pills"]);
    void sent[1]!.answer(["A", "B"]);
    await promises();
    expect(pharmacy.pills).toEqual(pills("A", "B"));
  });

  it("that tells something while the list is asked for has it asked for again", async () => {
    const pharmacy = new Pharmacy();
    void pharmacy.refresh();
    await promises();
    tell(pharmacy, ["A", "B"]);
    void sent[0]!.answer(["A"]); // from before, or from after: nobody knows
    await promises();
    expect(pharmacy.pills).toEqual(pills("A", "B"));
    void sent[1]!.answer(["A", "B"]);
    await promises();
    expect(requests()).toEqual(["GET /pills", "GET /pills"]);
    expect(pharmacy.pills).toEqual(pills("A", "B"));
  });
});

describe("a name", () => {
  it("has 1 to 100 characters after trimming, counted as code points", () => {
    expect(nameProblem("Ibuprofen")).toBe("");
    expect(nameProblem(` ${"💊".repeat(100)} `)).toBe("");
    expect(nameProblem("💊".repeat(101))).toContain("101");
    expect(nameProblem(" \t ")).not.toBe("");
  });

  it("gathers what has no name under an empty one", () => {
    const odd = [null, { name: "A" }, {}, { name: 7 }, "x"] as unknown as Pill[];
    expect(group(odd)).toEqual([
      { name: "", count: 4, last: 4 },
      { name: "A", count: 1, last: 1 },
    ]);
  });

  it("may be one that objects have by themselves", () => {
    expect(group(pills("__proto__", "constructor", "__proto__"))).toEqual([
      { name: "__proto__", count: 2, last: 2 },
      { name: "constructor", count: 1, last: 1 },
    ]);
  });
});
