import { describe, expect, it, vi } from "vitest";
import { ApiError, fetchDelete, fetchGet, fetchPost, fetchPublic, Turns } from "../src/lib/api.js";
import { json, later, settled } from "./support.js";

function serveWith(answer: (url: string, init: RequestInit) => Promise<Response> | Response) {
  const fetch = vi.fn(async (url: string, init: RequestInit) => answer(url, init));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe("a request", () => {
  it("resolves to the data of the answer", async () => {
    serveWith(() => json(200, { data: [1, 2] }));
    expect(await fetchGet("/pills")).toEqual([1, 2]);
  });

  it("carries the session's cookie, except where the answer is the same for everybody", async () => {
    const fetch = serveWith(() => json(200, { data: [] }));
    await fetchGet("/pills");
    await fetchPost("/pills", { name: "Ibuprofen" });
    await fetchDelete("/pills");
    await fetchPublic("/employees");
    expect(fetch.mock.calls.map(([url, init]) => [init.method, url, init.credentials])).toEqual([
      ["GET", "/pills", "include"],
      ["POST", "/pills", "include"],
      ["DELETE", "/pills", "include"],
      ["GET", "/employees", "omit"],
    ]);
  });

  it("sends its body as JSON, and no content type without one", async () => {
    const fetch = serveWith(() => json(200, { data: [] }));
    await fetchPost("/pills", { name: "Pénicilline" });
    await fetchDelete("/pills");
    const [post, del] = fetch.mock.calls.map(([, init]) => init);
    expect(post).toMatchObject({ body: '{"name":"Pénicilline"}', headers: { "Content-Type": "application/json" } });
    expect(del).not.toHaveProperty("body");
    expect(del?.headers).not.toHaveProperty("Content-Type");
  });

  it("fails with the server's own code and message", async () => {
    serveWith(() => json(400, { error: { code: "invalid_name", message: "A name has 1 to 100 characters." } }));
    const error = await failure(fetchPost("/pills", { name: "" }));
    expect(error).toMatchObject({ status: 400, code: "invalid_name", message: "A name has 1 to 100 characters.", unsure: false });
  });

  it.each([
    ["HTML", 502, () => new Response("<h1>Bad Gateway</h1>", { status: 502 })],
    ["an empty body", 500, () => new Response(null, { status: 500 })],
    ["JSON of another form", 500, () => json(500, { error: "no" })],
  ])("has a readable message when the error is %s", async (_, status, answer) => {
    serveWith(answer);
    const error = await failure(fetchGet("/pills"));
    expect(error).toMatchObject({ status, code: "unknown", message: `The server answered with status ${status}.`, unsure: true });
  });

  it.each([
    ["HTML", () => new Response("<!doctype html>")],
    ["JSON without data", () => json(200, { pills: [] })],
    ["a JSON list", () => json(200, [])],
    ["nothing", () => new Response(null, { status: 204 })],
  ])("does not take %s for an answer", async (_, answer) => {
    serveWith(answer);
    expect(await failure(fetchGet("/pills"))).toMatchObject({ code: "bad_answer" });
  });

  it("tells offline, timeout and abort apart", async () => {
    serveWith(() => Promise.reject(new TypeError("Failed to fetch")));
    expect(await failure(fetchGet("/pills"))).toMatchObject({ status: 0, code: "offline", unsure: true });

    const hang = (_: string, { signal }: RequestInit) =>
      new Promise<Response>((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error)));
    serveWith(hang);
    expect(await failure(fetchGet("/pills", { timeoutMs: 10 }))).toMatchObject({ status: 0, code: "timeout" });

    const control = new AbortController();
    const stopped = failure(fetchGet("/pills", { signal: control.signal }));
    control.abort();
    expect(await stopped).toMatchObject({ status: 0, code: "aborted" });
  });
});

describe("turns", () => {
  /** Starts n requests of one kind; each is a promise to settle by hand, and is in `sent` once it goes out. */
  function starter(turns: Turns) {
    const sent: ReturnType<typeof later<string>>[] = [];
    const send = () => {
      const answer = later<string>();
      sent.push(answer);
      return answer.promise;
    };
    const results: Promise<unknown>[] = [];
    return {
      sent,
      results,
      start(kind: "read" | "write", n: number) {
        for (let i = 0; i < n; i++) results.push(turns[kind](send).catch((error: unknown) => error));
      },
    };
  }

  it("sends the first write alone, and the others together after its answer", async () => {
    const t = starter(new Turns());
    t.start("write", 10);
    await settled();
    expect(t.sent).toHaveLength(1);
    t.sent[0]!.resolve("made");
    await settled();
    expect(t.sent).toHaveLength(10);
  });

  it("sends the first read alone, and the others together after its answer", async () => {
    const t = starter(new Turns());
    t.start("read", 3);
    await settled();
    expect(t.sent).toHaveLength(1);
    t.sent[0]!.resolve("");
    await settled();
    expect(t.sent).toHaveLength(3);
  });

  it("does not let a read lead writes, since a read may make no session", async () => {
    const t = starter(new Turns());
    t.start("read", 1);
    t.start("write", 3);
    await settled();
    expect(t.sent).toHaveLength(1);
    t.sent[0]!.resolve("");
    await settled();
    expect(t.sent).toHaveLength(2);
    t.sent[1]!.resolve("made");
    await settled();
    expect(t.sent).toHaveLength(4);
  });

  it("lets the next one lead when the first fails", async () => {
    const t = starter(new Turns());
    t.start("write", 3);
    await settled();
    t.sent[0]!.reject(new Error("store down"));
    await settled();
    expect(t.sent).toHaveLength(2);
    t.sent[1]!.resolve("made");
    await settled();
    expect(t.sent).toHaveLength(3);
    t.sent[2]!.resolve("");
    expect(await Promise.all(t.results)).toEqual([new Error("store down"), "made", ""]);
  });

  it("keeps writes together while one is under way, and begins anew after that", async () => {
    const t = starter(new Turns());
    t.start("write", 2);
    await settled();
    t.sent[0]!.resolve("made");
    await settled();
    t.start("write", 2);
    await settled();
    expect(t.sent).toHaveLength(4);
    for (const answer of t.sent) answer.resolve("");
    await settled();
    // The session may have ended meanwhile: the next burst is led again.
    t.start("write", 2);
    await settled();
    expect(t.sent).toHaveLength(5);
  });
});
