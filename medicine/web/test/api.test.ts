import { describe, expect, it, vi } from "vitest";
import { fetchDelete, fetchGet, fetchPost, fetchPublic, PillboxError, toError } from "../src/lib/api.js";
import { json } from "./support.js";

function serveWith(answer: (url: string, init: RequestInit) => Promise<Response> | Response) {
  const fetch = vi.fn(async (url: string, init: RequestInit) => answer(url, init));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

async function failure(promise: Promise<unknown>): Promise<PillboxError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(PillboxError);
  return error as PillboxError;
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

  it("fails with the server's own code and message", async () => {
    serveWith(() => json(400, { error: { code: "invalid_name", message: "A name has 1 to 100 characters." } }));
    const error = await failure(fetchPost("/pills", { name: "" }));
    expect(error).toMatchObject({ status: 400, code: "invalid_name", message: "A name has 1 to 100 characters.", unsure: false });
  });

  it("names the input at fault, and when to try again", async () => {
    serveWith(() => json(409, { error: { code: "username_taken", message: "This name is taken.", field: "username" } }));
    expect(await failure(fetchPost("/register", {}))).toMatchObject({ status: 409, field: "username" });
    serveWith(() => Response.json({ error: { code: "too_many_attempts", message: "Wait." } }, { status: 429, headers: { "Retry-After": "60" } }));
    expect(await failure(fetchPost("/login", {}))).toMatchObject({ status: 429, retryAfterMs: 60_000 });
  });

  it("shows whatever else is thrown as one sentence", () => {
    expect(toError(new TypeError("x is undefined"))).toMatchObject({ status: 0, message: "Something went wrong in the page." });
    const error = new PillboxError(503, "store_unavailable", "Later.");
    expect(toError(error)).toBe(error);
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
});
