import type { LiveState } from "@pillbox/client";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Live } from "../src/lib/live.svelte.js";
import { Resource, type SessionInfo } from "../src/lib/resource.svelte.js";
import { Visitor } from "../src/lib/visitor.svelte.js";
import { json, later, settled } from "./support.js";

const base: LiveState = {
  status: "connecting",
  session: undefined,
  signedIn: false,
  keys: [],
  changed: [],
  values: {},
  idleDeadline: undefined,
  absoluteDeadline: undefined,
  expiring: false,
  reason: undefined,
  error: undefined,
};
const lives = (session: string, signedIn: boolean, more: Partial<LiveState> = {}): LiveState => ({ ...base, status: "live", session, signedIn, ...more });
const ended = (reason: LiveState["reason"]): LiveState => ({ ...base, status: "ended", reason });
const info = (publicId: string, user?: string): SessionInfo => ({
  live: true,
  publicId,
  created: "2026-03-01T12:00:00Z",
  store: "memory",
  idleTimeout: 1_800_000,
  ...(user ? { user } : {}),
});

/** What GET /session answers, and how often it was asked. */
let stored: SessionInfo;
let asked: number;
let visitor: Visitor;
let session: Resource<SessionInfo>;

beforeEach(() => {
  stored = { live: false };
  asked = 0;
  session = new Resource(() => (asked++, Promise.resolve(stored)));
  visitor = new Visitor(session);
});

/** Answers the next write by hand. */
function serve() {
  const answer = later<Response>();
  vi.stubGlobal("fetch", () => answer.promise);
  return answer;
}

describe("who the visitor is", () => {
  it("is unknown, then what the server says", async () => {
    expect(visitor.signedIn).toBeUndefined();
    stored = info("p1", "ilmer");
    await session.load();
    expect([visitor.signedIn, visitor.name]).toEqual([true, "ilmer"]);
  });

  it("follows a sign-in in another tab, and asks for the name", async () => {
    await session.load();
    stored = info("p2", "ilmer");
    visitor.follow(lives("p2", true));
    expect(visitor.signedIn).toBe(true);
    await settled();
    expect(visitor.name).toBe("ilmer");
  });

  it("is not asked for when only a deadline moved, since asking moves it", async () => {
    stored = info("p1", "ilmer");
    await session.load();
    for (let i = 0; i < 3; i++) visitor.follow(lives("p1", true, { idleDeadline: new Date(Date.now() + i) }));
    await settled();
    expect(asked).toBe(1);
  });

  it("stays as known while the connection is lost", async () => {
    stored = info("p1", "ilmer");
    await session.load();
    visitor.follow(lives("p1", true));
    visitor.follow({ ...lives("p1", true), status: "offline" });
    visitor.follow(base);
    expect([visitor.signedIn, visitor.name, visitor.ending]).toEqual([true, "ilmer", undefined]);
  });

  it("is nobody once there is no session, whatever was asked before", async () => {
    stored = info("p1", "ilmer");
    await session.load();
    visitor.follow({ ...base, status: "none" });
    expect([visitor.signedIn, session.value]).toEqual([false, { live: false }]);
  });
});

describe("a sign-in on this page", () => {
  it("is not undone by news of the session that it left", async () => {
    stored = info("p1");
    await session.load();
    visitor.follow(lives("p1", false));
    const answer = serve();
    const entered = visitor.enter("/login", "ilmer", "secret words", "/devices");
    visitor.follow(lives("p1", false, { changed: ["x"] })); // before the answer
    stored = info("p2", "Ilmer");
    answer.resolve(json(200, { data: { username: "Ilmer", next: "/devices" } }));
    expect(await entered).toBe("/devices");
    visitor.follow(lives("p1", false)); // and after it
    expect([visitor.signedIn, visitor.name]).toEqual([true, "Ilmer"]);
    await settled();
    visitor.follow(lives("p2", true));
    expect([visitor.signedIn, visitor.name, visitor.signIn]).toEqual([true, "Ilmer", { before: "p1" }]);
  });

  it("goes only to a path of this application, whatever the answer says", async () => {
    const answer = serve();
    answer.resolve(json(200, { data: { username: "ilmer", next: "//host" } }));
    expect(await visitor.enter("/login", "ilmer", "secret words", "/")).toBe("/dashboard");
  });

  it("that is refused changes nothing", async () => {
    await session.load();
    const answer = serve();
    answer.resolve(json(401, { error: { code: "wrong_credentials", message: "No." } }));
    await expect(visitor.enter("/login", "ilmer", "wrong words", "/")).rejects.toMatchObject({ status: 401 });
    expect([visitor.signedIn, visitor.signIn, visitor.busy]).toEqual([false, undefined, false]);
  });
});

describe("a sign-out on this page", () => {
  it("shows no notice, and tells before it turns the page", async () => {
    stored = info("p1", "ilmer");
    await session.load();
    visitor.follow(lives("p1", true));
    const answer = serve();
    const left = visitor.leave(() => expect(visitor.signedIn).toBe(true));
    visitor.follow(ended("signed-out")); // the stream is faster than the answer
    stored = { live: false };
    answer.resolve(json(200, { data: {} }));
    await left;
    visitor.follow(ended("signed-out")); // or slower
    expect([visitor.signedIn, visitor.ending]).toEqual([false, undefined]);
  });

  it("that fails leaves the visitor signed in", async () => {
    stored = info("p1", "ilmer");
    await session.load();
    const answer = serve();
    answer.resolve(json(503, { error: { code: "store_unavailable", message: "Later." } }));
    const done = vi.fn();
    await expect(visitor.leave(done)).rejects.toMatchObject({ status: 503 });
    expect([visitor.signedIn, done.mock.calls]).toEqual([true, []]);
  });
});

describe("a session that ends elsewhere", () => {
  async function signedIn(more: Partial<LiveState> = {}) {
    stored = info("p1", "ilmer");
    await session.load();
    visitor.follow(lives("p1", true, more));
  }

  it.each([
    ["signed-out", "another tab"],
    ["revoked", "another device"],
    ["expired", "not used for 30 minutes"],
  ] as const)("says so in its own words: %s", async (reason, words) => {
    await signedIn();
    visitor.follow(ended(reason));
    expect(visitor.ending?.text).toContain(words);
    expect(visitor.ending?.signedIn).toBe(true);
    expect([visitor.signedIn, session.value]).toEqual([false, { live: false }]);
  });

  it("tells the longest time from too little use", async () => {
    await signedIn({ idleDeadline: new Date(Date.now() + 60_000), absoluteDeadline: new Date(Date.now() + 10) });
    visitor.follow(ended("expired"));
    expect(visitor.ending?.text).toContain("longest time");
  });

  it("takes an anonymous visitor's pills along, and says so", async () => {
    stored = info("p1");
    await session.load();
    visitor.follow(lives("p1", false));
    visitor.follow(ended("expired"));
    expect(visitor.ending).toMatchObject({ signedIn: false, text: expect.stringContaining("is gone") as string });
  });

  it("is forgotten when somebody signs in again, and stays until then", async () => {
    await signedIn();
    visitor.follow(ended("revoked"));
    visitor.follow({ ...base, status: "none" });
    expect(visitor.ending).toBeDefined();
    visitor.follow(lives("p2", true));
    expect(visitor.ending).toBeUndefined();
  });
});

describe("the live session", () => {
  it("tells its listeners before the page, and knows the sooner of two deadlines", () => {
    let run!: (state: LiveState) => void;
    const live = new Live({ get: () => base, refresh: () => undefined, subscribe: (to) => ((run = to), to(base), () => undefined) });
    const heard: unknown[] = [];
    live.start((state) => heard.push([state.status, live.state.status]));
    const [soon, late] = [new Date(1_000), new Date(2_000)];
    run(lives("p1", false, { idleDeadline: late, absoluteDeadline: soon }));
    expect(heard).toEqual([
      ["connecting", "connecting"],
      ["live", "connecting"],
    ]);
    expect([live.following, live.deadline]).toEqual([true, soon]);
    run(lives("p1", false, { idleDeadline: late }));
    expect(live.deadline).toBe(late);
  });
});
