import { afterEach, describe, expect, it, vi } from "vitest";
import { createClient, fetchGet, fetchPost, type LiveSession, type LiveState } from "../src/index.js";
import { event, json, scenario, session, stream, text, until } from "./support.js";

/** Each test has streams of its own; that tabs share one has its own tests. */
const follow = (url: string): LiveSession => createClient().live(url, { share: false });

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  vi.restoreAllMocks();
});

/** Follows a session for as long as the test runs, and keeps its states. */
function watch(live: LiveSession): LiveState[] {
  const states: LiveState[] = [];
  stops.push(live.subscribe((state) => states.push(state)));
  return states;
}

/** Makes waits between tries as short as chance may. */
const lucky = () => vi.spyOn(Math, "random").mockReturnValue(0);

describe("a live session", () => {
  it("has the state as a store: at once, and then each change", async () => {
    const { url, push, seen } = await scenario(stream(session("p1", { pills: ["a"], theme: 1 }, { absolute: 90_000, signedIn: true })));
    const live = follow(url);
    const states = watch(live);
    expect(states).toHaveLength(1);
    expect(states[0]).toBe(live.get());
    expect(states[0]).toMatchObject({ status: "connecting", signedIn: false, keys: [], changed: [], values: {}, expiring: false });

    const began = await until(live, ({ status }) => status === "live");
    expect(began).toMatchObject({ session: "p1", signedIn: true, keys: ["pills", "theme"], changed: ["pills", "theme"], values: { pills: ["a"], theme: 1 } });
    expect(began.idleDeadline!.getTime() - Date.now()).toBeGreaterThan(50_000);
    expect(began.absoluteDeadline!.getTime() - Date.now()).toBeGreaterThan(80_000);
    const [asked] = await seen();
    expect(asked).toMatchObject({ method: "GET", headers: { accept: "text/event-stream" } });

    await push(event("change", { keys: ["pills", "theme", "secret"], removed: ["theme"], values: { pills: ["a", "b"] }, idle: 30_000, absolute: null }));
    const after = await until(live, ({ changed }) => changed.includes("secret"));
    expect(after).toMatchObject({ status: "live", keys: ["pills", "secret"], changed: ["pills", "theme", "secret"], values: { pills: ["a", "b"] } });
    expect(after.values).not.toHaveProperty("theme");
    expect(after.absoluteDeadline).toBeUndefined();
    expect(began.values).toEqual({ pills: ["a"], theme: 1 });
  });

  it("keeps what is the same, so that === tells a change", async () => {
    const { url, push } = await scenario(stream(session("p1", { a: { n: 1 }, b: { n: 2 } })));
    const live = follow(url);
    const states = watch(live);
    const before = await until(live, ({ status }) => status === "live");
    await push(event("change", { keys: ["a", "b"], removed: [], values: { a: { n: 1 }, b: { n: 3 } }, idle: 1, absolute: null }));
    const after = await until(live, (state) => state !== before);
    expect(after.values.a).toBe(before.values.a);
    expect(after.values.b).not.toBe(before.values.b);
    expect(states).toHaveLength(3);
  });

  it("takes names that objects have of their own", async () => {
    const values = JSON.parse('{"__proto__":{"x":1},"constructor":"c","toString":1}') as Record<string, unknown>;
    const { url, push } = await scenario(stream(session("p1", values)));
    const live = follow(url);
    watch(live);
    const began = await until(live, ({ status }) => status === "live");
    expect(Object.entries(began.values)).toEqual(Object.entries(values));
    expect(began.changed).toEqual(["__proto__", "constructor", "toString"]);
    expect({}).not.toHaveProperty("x");
    await push(`event: change\ndata: {"keys":["__proto__"],"removed":[],"values":{"__proto__":{}}}\n\n`);
    const after = await until(live, ({ changed }) => changed.length === 1);
    expect(Object.keys(after.values).sort()).toEqual(["__proto__", "constructor", "toString"]);
  });

  it("warns before the end, and takes it back", async () => {
    const { url, push } = await scenario(stream(session("p1")));
    const live = follow(url);
    watch(live);
    await until(live, ({ status }) => status === "live");
    await push(event("expiring", { idle: 1000, absolute: null }));
    expect((await until(live, ({ expiring }) => expiring)).idleDeadline!.getTime()).toBeLessThan(Date.now() + 2000);
    await push(event("deadline", { idle: 60_000, absolute: null }));
    const after = await until(live, ({ expiring }) => !expiring);
    expect(after.idleDeadline!.getTime()).toBeGreaterThan(Date.now() + 30_000);
    expect(after).toMatchObject({ status: "live", changed: [] });
  });

  it("reads a stream that comes byte by byte, and ignores what it does not know", async () => {
    const body = `: hi\r\n\r\nevent: toString\r\ndata: x\r\n\r\nevent: other\r\ndata: {not json\r\n\r\ndata: {}\r\n\r\n${session("é💊", { pills: ["é💊"] })}`;
    const pieces = Array.from(new TextEncoder().encode(body), (byte) => [btoa(String.fromCharCode(byte)), 1]).flat();
    const { url } = await scenario({ headers: { "Content-Type": "text/event-stream; charset=utf-8" }, pieces, then: "hold" });
    const live = follow(url);
    const states = watch(live);
    expect(await until(live, ({ status }) => status === "live")).toMatchObject({ session: "é💊", values: { pills: ["é💊"] } });
    expect(states).toHaveLength(2);
  });

  it("connects with the first subscriber and closes with the last", async () => {
    const { url, seen } = await scenario(stream(session("p1", { a: 1 })));
    const live = follow(url);
    live.refresh();
    expect(await seen()).toHaveLength(0);
    const one = live.subscribe(() => undefined);
    const two = live.subscribe(() => undefined);
    await until(live, ({ status }) => status === "live");
    expect(await seen()).toHaveLength(1);
    one();
    one();
    expect(live.get().status).toBe("live");
    two();
    expect(live.get()).toMatchObject({ status: "connecting", session: "p1", values: { a: 1 } });
    await until(live, ({ status }) => status === "live");
    expect(await seen()).toHaveLength(2);
  });

  it("is not broken by subscribers that throw, leave or come meanwhile", async () => {
    const { url, push } = await scenario(stream(session("p1", { n: 0 })));
    const live = follow(url);
    expect(() => live.subscribe(() => { throw new Error("first call"); })).toThrow("first call");
    const thrown = vi.spyOn(globalThis, "queueMicrotask").mockImplementation((task) => void Promise.resolve().then(task).catch(() => undefined));
    const got: string[] = [];
    let second: (() => void) | undefined;
    const third: LiveState[] = [];
    stops.push(
      live.subscribe(({ status, values }) => {
        if (status !== "live") return;
        got.push(`one ${values.n}`);
        second?.();
        if (third.length === 0) stops.push(live.subscribe((state) => third.push(state)));
        throw new Error("later");
      }),
    );
    second = live.subscribe(({ status }) => status === "live" && got.push("two"));
    await until(live, ({ values }) => values.n === 0);
    await push(event("change", { keys: ["n"], values: { n: 1 } }));
    await until(live, ({ values }) => values.n === 1);
    expect(got).toEqual(["one 0", "one 1"]);
    expect(third.map(({ values }) => values.n)).toEqual([0, 1]);
    expect(thrown).toHaveBeenCalled();
  });
});

describe("without a session", () => {
  it("is none, and looks again after a write", async () => {
    const { url, seen } = await scenario(
      stream(event("session", { live: false, cookie: false }), "end"),
      json(200, { data: {} }),
      stream(session("p1")),
    );
    const live = follow(url);
    const states = watch(live);
    await until(live, ({ status }) => status === "none");
    await fetchPost(url, {});
    expect(await until(live, ({ status }) => status === "live")).toMatchObject({ session: "p1" });
    expect(states.map(({ status }) => status)).toEqual(["connecting", "none", "live"]);
    expect(await seen()).toHaveLength(3);
  });

  it("does not look again after a read, or a write elsewhere", async () => {
    const { url, seen } = await scenario(stream(event("session", { live: false, cookie: true }), "end"));
    const live = follow(url);
    watch(live);
    await until(live, ({ status }) => status === "none");
    await createClient({ fetch: async () => Response.json({}) }).fetchPost("http://elsewhere.test", {});
    const other = await scenario(json(200, {}));
    await fetchGet(other.url);
    expect(await seen()).toHaveLength(1);
    live.refresh();
    await vi.waitFor(async () => expect(await seen()).toHaveLength(2), 10_000);
  });
});

describe("the end", () => {
  const none = (cookie: boolean) => stream(event("session", { live: false, cookie }), "end");

  it.each(["signed-out", "revoked", "expired"] as const)("is told: %s", async (reason) => {
    const { url, seen } = await scenario(stream(session("p1", { pills: [1] }, { signedIn: true }) + event("ended", { reason }), "end"));
    const live = follow(url);
    watch(live);
    const state = await until(live, ({ status }) => status === "ended");
    expect(state).toMatchObject({ reason, signedIn: false, keys: [], changed: ["pills"], values: {} });
    expect(state.idleDeadline).toBeUndefined();
    expect(state.session).toBeUndefined();
    expect(await seen()).toHaveLength(1);
  });

  it("stays told when it is looked at again, and is over with a new session", async () => {
    const { url, seen } = await scenario(
      stream(session("p1") + event("ended", { reason: "revoked" }), "end"),
      json(200, {}),
      none(false),
      json(200, {}),
      stream(session("p2")),
    );
    const live = follow(url);
    const states = watch(live);
    await until(live, ({ status }) => status === "ended");
    await fetchPost(url, {});
    await vi.waitFor(async () => expect(await seen()).toHaveLength(3), 10_000); // the look that changes nothing
    await fetchPost(url, {});
    await until(live, ({ status }) => status === "live");
    expect(states.map(({ status, reason }) => reason ?? status)).toEqual(["connecting", "live", "revoked", "live"]);
  });

  it.each([
    ["the cookie is gone: signed out", [none(false)], "signed-out", 2, 60_000],
    ["the cookie stays: revoked", [none(true)], "revoked", 5, 60_000],
    ["the cookie stays and its time was over: expired", [none(true)], "expired", 2, 0],
    ["the cookie goes at last: signed out", [none(true), none(true), none(false)], "signed-out", 4, 60_000],
  ])("is found out when nobody knows: %s", async (_, after, reason, requests, idle) => {
    const { url, seen } = await scenario(stream(session("p1", {}, { idle }) + event("ended", { reason: "unknown" }), "end"), ...after);
    const live = follow(url);
    const states = watch(live);
    expect(await until(live, ({ status }) => status === "ended")).toMatchObject({ reason });
    expect(states.map(({ status }) => status)).toEqual(["connecting", "live", "ended"]);
    const asked = await seen();
    expect(asked).toHaveLength(requests);
    if (requests === 5) expect(asked[4]!.at - asked[1]!.at).toBeGreaterThanOrEqual(950);
  });

  it("is found out after a lost connection, too", async () => {
    lucky();
    const { url, cut } = await scenario(stream(session("p1")), none(false));
    const live = follow(url);
    watch(live);
    await until(live, ({ status }) => status === "live");
    await cut();
    expect(await until(live, ({ status }) => status === "ended")).toMatchObject({ reason: "signed-out" });
  });

  it.each([
    ["at once", []],
    ["when the cookie comes late", [none(true), none(true), none(true)]],
  ])("is none when the session goes on under a new id: %s", async (_, late) => {
    const { url } = await scenario(
      stream(session("p1", { pills: [1] }) + event("renewed", { signedIn: true }), "end"),
      ...late,
      stream(session("p2", { pills: [1] }, { signedIn: true })),
    );
    const live = follow(url);
    const states = watch(live);
    const state = await until(live, ({ session }) => session === "p2");
    expect(state).toMatchObject({ status: "live", signedIn: true, changed: [] });
    expect(states.map(({ status }) => status)).toEqual(["connecting", "live", "live"]);
    expect(state.values.pills).toBe(states[1]!.values.pills);
  });

  it("does not ask without pause when the server says renewed again and again", async () => {
    const { url, seen } = await scenario(stream(session("p1") + event("renewed", { signedIn: false }), "end"));
    watch(follow(url));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await seen()).length).toBeLessThan(30);
  });
});

describe("a fault", () => {
  it.each([
    ["a stream that ends without a word", stream(session("p1"), "end"), "offline"],
    ["a connection that is cut", stream(session("p1"), "cut"), "offline"],
    ["a bad gateway", text(502, "text/html", "<h1>502</h1>"), "bad_answer"],
    ["half an event", stream(`${session("p1")}event: change\ndata: {"keys":`, "end"), "offline"],
    ["data that is not JSON", stream(`${session("p1")}event: change\ndata: {"keys":\n\n`), "bad_answer"],
    ["data that is no object", stream(`${session("p1")}event: change\ndata: null\n\n`), "bad_answer"],
    ["a page", text(200, "text/html", "<!doctype html>"), "bad_answer"],
    ["no content", { status: 204 }, "bad_answer"],
    ["not found", json(404, { error: { code: "not_found", message: "There is nothing here." } }), "not_found"],
    ["an event without end", stream(`${session("p1")}data: ${"x".repeat(5 << 20)}`), "bad_answer"],
  ])("is got over: %s", async (_, answer, code) => {
    lucky();
    const { url } = await scenario(answer, stream(session("p2")));
    const live = follow(url);
    const states = watch(live);
    const { error } = await until(live, ({ status }) => status === "offline");
    expect(error).toMatchObject({ code, message: expect.any(String) as string });
    await until(live, ({ session, status }) => session === "p2" && status === "live");
    expect(states.at(-1)!.error).toBeUndefined();
  });

  it("waits as long as the server asks", async () => {
    const { url, seen } = await scenario(json(503, {}, { "Retry-After": "1" }), stream(session("p1")));
    lucky();
    const live = follow(url);
    watch(live);
    await until(live, ({ status }) => status === "live");
    const [first, second] = await seen();
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990);
  });
});
