import { describe, expect, it, vi } from "vitest";
import { compare, excerpt, explain, type Comparison, type Exchange } from "../src/lib/demo.js";
import type { SessionInfo } from "../src/lib/resource.svelte.js";
import { json } from "./support.js";

const live: SessionInfo = { live: true, publicId: "p", created: "2026-01-01T00:00:00Z", store: "memory" };
const none: SessionInfo = { live: false };

const answer = (body: string, status = 200): Exchange => ({ status, statusText: "", type: "application/json", body });
const list = (n: number) => answer(JSON.stringify({ data: Array.from({ length: n }, () => ({ name: "A" })) }));

describe("the comparison", () => {
  it("asks for the session first, then twice for the pills: with credentials and without", async () => {
    const fetch = vi.fn(async (url: string, init: RequestInit) =>
      url === "/session" ? json(200, { data: none }) : json(200, { data: init.credentials === "include" ? [{ name: "A" }] : [] }),
    );
    vi.stubGlobal("fetch", fetch);
    const got = await compare();
    expect(fetch.mock.calls.map(([url, init]) => [init.method ?? "GET", url, init.credentials])).toEqual([
      ["GET", "/session", "include"],
      ["GET", "/pills", "include"],
      ["GET", "/pills", "omit"],
      ["GET", "/session", "include"],
    ]);
    expect(got.began).toBe(false);
    expect(got.included).toMatchObject({ status: 200, body: '{"data":[{"name":"A"}]}' });
    expect(got.omitted).toMatchObject({ status: 200, body: '{"data":[]}' });
  });

  it("shows an answer that is an error as it is", async () => {
    vi.stubGlobal("fetch", async (url: string) =>
      url === "/session" ? json(200, { data: none }) : new Response("<h1>Bad Gateway</h1>", { status: 502 }),
    );
    const got = await compare();
    expect(got.included).toMatchObject({ status: 502, body: "<h1>Bad Gateway</h1>" });
    expect(explain(got).kind).toBe("wrong");
  });
});

describe("the explanation", () => {
  it.each<[string, Comparison, ReturnType<typeof explain>["kind"], string, boolean]>([
    ["differs where there are pills", { session: live, included: list(3), omitted: list(0), began: false }, "different", "your 3 pills", false],
    ["speaks of one pill as one", { session: live, included: list(1), omitted: list(0), began: false }, "different", "your pill;", false],
    [
      "says that a visitor without a session is no exception",
      { session: none, included: list(0), omitted: list(0), began: false },
      "same",
      "you have no session yet",
      true,
    ],
    ["says so when asking has begun a session", { session: none, included: list(0), omitted: list(0), began: true }, "same", "began one", true],
    [
      "does not take an empty session for none",
      { session: live, included: list(0), omitted: list(0), began: false },
      "same",
      "found your session",
      true,
    ],
    [
      "says so when the server gives pills to a stranger",
      { session: live, included: list(2), omitted: list(2), began: false },
      "wrong",
      "should not happen",
      false,
    ],
    ["claims nothing of an error", { session: live, included: list(2), omitted: answer("{}", 503), began: false }, "wrong", "says nothing", false],
    [
      "claims nothing of what is no list",
      { session: live, included: answer("null"), omitted: list(0), began: false },
      "wrong",
      "says nothing",
      false,
    ],
  ])("%s", (_, comparison, kind, text, fill) => {
    const reading = explain(comparison);
    expect(reading).toMatchObject({ kind, fill });
    expect(reading.text).toContain(text);
  });
});

describe("an excerpt", () => {
  it("is the whole of a short body, and says how much of a long one is missing", () => {
    expect(excerpt('{"data":[]}')).toBe('{"data":[]}');
    expect(excerpt("")).toBe("(empty)");
    expect(excerpt("💊".repeat(1_240))).toBe(`${"💊".repeat(240)}… and 1,000 more characters`);
  });
});
