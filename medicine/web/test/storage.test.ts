import { describe, expect, it, vi } from "vitest";
import { KEY, LocalList, read, StorageError } from "../src/lib/storage.svelte.js";
import { askAsStranger, measure, readBoth, sizes, smuggle, SMUGGLED, whereKept } from "../src/lib/storage-experiments.js";
import { json } from "./support.js";

/** Storage as browsers have it: texts by keys, and an error once it is full. */
class Drawer implements Storage {
  readonly #texts = new Map<string, string>();
  constructor(private readonly most = Infinity) {}
  get length() {
    return this.#texts.size;
  }
  key(index: number) {
    return [...this.#texts.keys()][index] ?? null;
  }
  getItem(key: string) {
    return this.#texts.get(key) ?? null;
  }
  setItem(key: string, text: string) {
    let size = key.length + text.length;
    for (const [other, held] of this.#texts) if (other !== key) size += other.length + held.length;
    if (size > this.most) throw new DOMException("full", "QuotaExceededError");
    this.#texts.set(key, text);
  }
  removeItem(key: string) {
    this.#texts.delete(key);
  }
  clear() {
    this.#texts.clear();
  }
}

const closed = () => {
  throw new DOMException("denied", "SecurityError");
};

function opened(text?: string, most?: number) {
  const drawer = new Drawer(most);
  if (text !== undefined) drawer.setItem(KEY, text);
  return { drawer, list: new LocalList(() => drawer) };
}

function failure(act: () => void): StorageError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(StorageError);
    return error as StorageError;
  }
  throw new Error("nothing was thrown");
}

describe("what is stored", () => {
  it.each([
    ["nothing", null, "ready"],
    ["a list", '[{"name":"A"},{"name":""}]', "ready"],
    ["an empty list", "[]", "ready"],
    ["half a list", '[{"name":"A"}', "damaged"],
    ["an empty text", "", "damaged"],
    ["an object", '{"name":"A"}', "damaged"],
    ["null", "null", "damaged"],
    ["a list with something else in it", '[{"name":"A"},7]', "damaged"],
    ["a list with null in it", "[null]", "damaged"],
    ["a pill whose name is a number", '[{"name":7}]', "damaged"],
  ])("as %s is read without an exception", (_, text, state) => {
    expect(read(text).state).toBe(state);
  });

  it("says where the first odd one is", () => {
    expect(read('[{"name":"A"},7]')).toMatchObject({ why: "Number 2 in the list is no pill with a name." });
  });
});

describe("the list in local storage", () => {
  it("adds, removes and clears, and keeps each change", () => {
    const { drawer, list } = opened();
    expect(list.pills).toEqual([]);
    list.add("  A ");
    list.add("B");
    list.add("A");
    expect(drawer.getItem(KEY)).toBe('[{"name":"A"},{"name":"B"},{"name":"A"}]');
    list.removeOne("A");
    expect(list.pills.map(({ name }) => name)).toEqual(["A", "B"]);
    expect(list.groups.map(({ name, count }) => [name, count])).toEqual([
      ["A", 1],
      ["B", 1],
    ]);
    list.clear();
    expect(drawer.getItem(KEY)).toBeNull();
    expect(list.pills).toEqual([]);
  });

  it("builds on what another tab has stored meanwhile", () => {
    const { drawer, list } = opened("[]");
    drawer.setItem(KEY, '[{"name":"theirs"}]');
    list.add("mine");
    expect(drawer.getItem(KEY)).toBe('[{"name":"theirs"},{"name":"mine"}]');
    drawer.setItem(KEY, "[]");
    expect(failure(() => list.removeOne("mine"))).toMatchObject({ code: "gone" });
  });

  it("keeps members of pills that it does not know", () => {
    const { drawer, list } = opened('[{"name":"A","dose":9007199254740991}]');
    list.add("B");
    expect(drawer.getItem(KEY)).toBe('[{"name":"A","dose":9007199254740991},{"name":"B"}]');
  });

  it("takes no name that the pharmacy does not take", () => {
    const { drawer, list } = opened();
    expect(failure(() => list.add(" "))).toMatchObject({ code: "invalid" });
    expect(failure(() => list.add("x".repeat(101)))).toMatchObject({ code: "invalid" });
    expect(drawer.length).toBe(0);
  });

  it("never writes over what it cannot read", () => {
    const { drawer, list } = opened("[oops");
    expect(list.content).toMatchObject({ state: "damaged" });
    expect(list.pills).toEqual([]);
    for (const act of [() => list.add("A"), () => list.removeOne("A"), () => list.clear()]) {
      expect(failure(act)).toMatchObject({ code: "damaged" });
    }
    expect(drawer.getItem(KEY)).toBe("[oops");
  });

  it("sets what it cannot read aside, each time under another key", () => {
    const { drawer, list } = opened("[oops");
    expect(list.setAside()).toBe("medicine-pills-damaged-1");
    list.write("again");
    expect(list.setAside()).toBe("medicine-pills-damaged-2");
    expect(list.content).toEqual({ state: "ready", pills: [] });
    expect([1, 2].map((n) => drawer.getItem(`medicine-pills-damaged-${n}`))).toEqual(["[oops", "again"]);
    expect(list.setAside()).toBe("");
  });

  it("leaves what it cannot read where it is when there is no room for another key", () => {
    const { drawer, list } = opened("[oops", KEY.length + 5);
    expect(failure(() => list.setAside())).toMatchObject({ code: "full" });
    expect(drawer.getItem(KEY)).toBe("[oops");
  });

  it("changes nothing when storage is full, and says so", () => {
    const { drawer, list } = opened('[{"name":"A"}]', KEY.length + 20);
    expect(failure(() => list.add("B"))).toMatchObject({ code: "full" });
    expect(drawer.getItem(KEY)).toBe('[{"name":"A"}]');
    expect(list.pills).toEqual([{ name: "A" }]);
    list.clear();
    list.add("B");
    expect(list.pills).toEqual([{ name: "B" }]);
  });

  it("lives without storage, and finds it once it is allowed", () => {
    const drawer = new Drawer();
    let allowed = false;
    const list = new LocalList(() => (allowed ? drawer : closed()));
    expect(list.content).toMatchObject({ state: "blocked" });
    expect(failure(() => list.add("A"))).toMatchObject({ code: "blocked" });
    expect(failure(() => list.write("[]"))).toMatchObject({ code: "blocked" });
    allowed = true;
    list.add("A");
    expect(list.content).toEqual({ state: "ready", pills: [{ name: "A" }] });
  });

  it("shows what was changed by hand", () => {
    const { list } = opened("[]");
    list.write('[{"name":"by hand"}]');
    expect(list.pills).toEqual([{ name: "by hand" }]);
  });
});

describe("reading both", () => {
  it("shows the stored text, and that the session's cookie is not among what scripts see", () => {
    const { list } = opened('[{"name":"A"}]');
    const result = readBoth(list, () => "theme=dark");
    expect(result.lines.map(({ got }) => got)).toEqual(['[{"name":"A"}]', '"theme=dark"']);
    expect(result.text).toContain("not among them");
  });

  it.each(["__Host-session=s%3Asecret", "a=b; session=s%3Asecret", "connect.sid=s%3Asecret"])(
    "says so if the cookie is readable, and does not show it: %s",
    (cookie) => {
      const result = readBoth(opened().list, () => cookie);
      expect(result.text).toContain("lacks HttpOnly");
      expect(JSON.stringify(result)).not.toContain("secret");
    },
  );

  it("says so if local storage is closed", () => {
    expect(readBoth(new LocalList(closed), () => "").text).toContain("closed");
  });
});

describe("changing both behind the program's back", () => {
  const serve = (answer: () => Response) => {
    const fetch = vi.fn(async (_url: string, _init: RequestInit) => answer());
    vi.stubGlobal("fetch", fetch);
    return fetch;
  };
  const refuse = () => json(400, { error: { code: "invalid_name", message: "The name is too long." } });

  it("succeeds with local storage, and asks the server, which refuses", async () => {
    const fetch = serve(refuse);
    const { list } = opened('[{"name":"A"}]');
    const result = await smuggle(list);
    expect(SMUGGLED.length).toBeGreaterThan(100);
    expect(list.pills).toEqual([{ name: "A" }, { name: SMUGGLED }]);
    expect(fetch.mock.calls.map(([url, init]) => [init.method, url, init.body])).toEqual([["POST", "/pills", JSON.stringify({ name: SMUGGLED })]]);
    expect(result.lines.map(({ got }) => got)).toEqual(["stored", "400 invalid_name"]);
    expect(result.text).toContain("The name is too long.");
  });

  it("says so if the server takes it", async () => {
    serve(() => json(200, { data: [] }));
    expect((await smuggle(opened().list)).text).toContain("should not have");
  });

  it("does not write over a damaged list", async () => {
    serve(refuse);
    const { drawer, list } = opened("[oops");
    expect((await smuggle(list)).lines[0]).toMatchObject({ got: "damaged" });
    expect(drawer.getItem(KEY)).toBe("[oops");
  });

  it("claims nothing of a server that cannot be reached", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(smuggle(opened().list)).rejects.toMatchObject({ code: "offline" });
  });
});

describe("asking the server", () => {
  const mine = { live: true, publicId: "mine", created: "2026-01-01T00:00:00Z", store: "sqlite", bytes: 1234 } as const;
  const told = (info: unknown) =>
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => json(200, { data: init.credentials === "omit" ? { live: false } : info }));

  it("as another browser shows the session to nobody but this one", async () => {
    told(mine);
    const result = await askAsStranger();
    expect(result.lines.map(({ got }) => got)).toEqual(["public id mine", "no session"]);
    expect(result.text).toContain("knows nothing of your session");
    told({ live: false });
    expect((await askAsStranger()).text).toContain("no session yet");
  });

  it("where it is kept tells the same session from another one, and from none", async () => {
    told(mine);
    const first = await whereKept(undefined);
    expect(first.result.text).toContain("outlives a restart");
    expect((await whereKept(first.info)).result.text).toContain("The same session");
    told({ ...mine, publicId: "other", store: "memory" });
    const moved = await whereKept(first.info);
    expect(moved.result.text).toContain("another session");
    expect(moved.result.text).toContain("a restart empties it");
    told({ live: false });
    expect((await whereKept(first.info)).result.text).toContain("is gone");
    expect((await whereKept(undefined)).result.text).toContain("no session yet");
  });

  it("for sizes measures local storage and leaves nothing behind", async () => {
    told(mine);
    const drawer = new Drawer(300_000);
    drawer.setItem("other", "x".repeat(95));
    const { used, room } = measure(() => drawer);
    expect(used).toBe(100);
    expect(300_000 - 100 - "medicine-measure".length - room).toBeLessThanOrEqual(1024);
    expect(drawer.length).toBe(1);
    const result = await sizes(() => drawer);
    expect(result.lines.map(({ got }) => got)).toEqual(["100 characters used, room for about 0.3 million more", "1,234 bytes"]);
    expect((await sizes(closed)).lines[0]).toMatchObject({ got: "forbidden by the browser" });
  });
});
