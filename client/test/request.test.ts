import { describe, expect, it, vi } from "vitest";
import { createClient, fetchDelete, fetchGet, fetchPost, fetchPut, PillboxError } from "../src/index.js";
import { failure, json, scenario, text } from "./support.js";

describe("a request", () => {
  it("resolves to the whole answer", async () => {
    const { url } = await scenario(json(200, { data: [{ name: "Ibuprofen" }] }));
    expect(await fetchGet(url)).toEqual({ data: [{ name: "Ibuprofen" }] });
    expect((await fetchGet<{ data: { name: string }[] }>(url)).data[0]?.name).toBe("Ibuprofen");
  });

  it("sends its body as JSON in UTF-8, and no content type without one", async () => {
    const { url, seen } = await scenario(json(200, { data: [] }));
    await fetchPost(url, { name: "Pénicilline 💊" });
    await fetchPut(url, null);
    await fetchPost(url);
    await fetchDelete(url);
    await fetchGet(url);
    expect((await seen()).map(({ method, body, headers }) => [method, body, headers["content-type"], headers.accept])).toEqual([
      ["POST", '{"name":"Pénicilline 💊"}', "application/json", "application/json"],
      ["PUT", "null", "application/json", "application/json"],
      ["POST", "", undefined, "application/json"],
      ["DELETE", "", undefined, "application/json"],
      ["GET", "", undefined, "application/json"],
    ]);
  });

  it("always includes the cookie and never the cache", async () => {
    const fetch = vi.fn(async (..._: Parameters<typeof globalThis.fetch>) => Response.json({}));
    const client = createClient({ fetch, baseUrl: "http://x.test" });
    await client.fetchGet("/");
    await client.fetchPost("/", {});
    expect(fetch.mock.calls.map(([, init]) => [init?.credentials, init?.cache])).toEqual([
      ["include", "no-store"],
      ["include", "no-store"],
    ]);
  });

  it("resolves to undefined for 204", async () => {
    const { url } = await scenario({ status: 204 });
    expect(await fetchDelete(url)).toBeUndefined();
  });

  it("fails with the server's own code, message and field", async () => {
    const { url } = await scenario(json(400, { error: { code: "invalid_name", message: "A name has 1 to 100 characters.", field: "name" } }));
    const error = await failure(fetchPost(url, {}));
    expect({ ...error, message: error.message }).toEqual({
      name: "PillboxError",
      status: 400,
      code: "invalid_name",
      message: "A name has 1 to 100 characters.",
      field: "name",
    });
    expect(error.unsure).toBe(false);
  });

  it.each([
    ["HTML", text(502, "text/html", "<h1>Bad Gateway</h1>")],
    ["nothing", { status: 502 }],
    ["a list", json(502, [])],
    ["null", json(502, null)],
    ["an error of another form", json(502, { error: "no" })],
    ["an error that is null", json(502, { error: null })],
    ["wrong types", json(502, { error: { code: 7, message: {}, field: [] } })],
  ])("has a readable message when the error is %s", async (_, answer) => {
    const { url } = await scenario(answer);
    const error = await failure(fetchGet(url));
    expect(error).toMatchObject({ status: 502, code: "bad_answer", message: "The server answered with status 502.", unsure: true });
    expect(error).not.toHaveProperty("field");
    expect(error).not.toHaveProperty("retryAfterMs");
  });

  it.each([
    ["HTML", text(200, "text/html", "<!doctype html>")],
    ["HTML that says it is JSON", text(200, "application/json", "<!doctype html>")],
    ["nothing", { status: 200 }],
    ["half a text", text(200, "application/json", '{"data":[')],
  ])("fails when a good answer is %s", async (_, answer) => {
    const { url } = await scenario(answer);
    expect(await failure(fetchGet(url))).toMatchObject({ status: 200, code: "bad_answer" });
  });

  it("follows a redirect, and fails when it leads to a page", async () => {
    const page = await scenario(text(200, "text/html", "<!doctype html>"));
    const data = await scenario(json(200, { data: 1 }));
    const to = async (url: string) => (await scenario({ status: 303, headers: { Location: url } })).url;
    expect(await failure(fetchPost(await to(page.url), {}))).toMatchObject({ status: 200, code: "bad_answer" });
    expect(await fetchGet(await to(data.url))).toEqual({ data: 1 });
    const loop = await scenario({ status: 302, headers: { Location: "?again" } });
    expect(await failure(fetchGet(loop.url))).toMatchObject({ status: 0, code: "offline" });
  });

  it("fails with offline when nobody answers, or the answer is cut", async () => {
    expect(await failure(fetchGet("http://localhost:1/"))).toMatchObject({ status: 0, code: "offline", unsure: true });
    const cut = await scenario({ pieces: ["eyI="], then: "cut" });
    expect(await failure(fetchGet(cut.url))).toMatchObject({ status: 0, code: "offline" });
  });

  it("fails with a PillboxError for what cannot be sent", async () => {
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const { url, seen } = await scenario(json(200, {}));
    for (const body of [loop, 1n]) expect(await failure(fetchPost(url, body))).toMatchObject({ status: 0, code: "bad_request" });
    for (const bad of ["http://", "http://[/"]) expect(await failure(fetchGet(bad))).toMatchObject({ code: "bad_request" });
    expect(await seen()).toEqual([]);
  });

  it("never leaves the origin of the base by a relative address", async () => {
    const fetch = vi.fn(async (..._: Parameters<typeof globalThis.fetch>) => Response.json({}));
    const ask = async (baseUrl: string, url: string) => {
      fetch.mockClear();
      await createClient({ fetch, baseUrl }).fetchGet(url);
      return fetch.mock.calls[0]?.[0];
    };
    expect(await ask("https://a.test", "/pills")).toBe("https://a.test/pills");
    expect(await ask("https://a.test/api///", "pills?x=1")).toBe("https://a.test/api/pills?x=1");
    expect(await ask("https://a.test", "//b.test/x")).toBe("https://a.test//b.test/x");
    expect(await ask("https://a.test", "/\\b.test/x")).toBe("https://a.test//b.test/x");
    expect(await ask("https://a.test", "HTTPS://b.test/x")).toBe("https://b.test/x");
    expect(await ask("https://a.test", "javascript:alert(1)")).toBe("https://a.test/javascript:alert(1)");
    for (const url of ["//b.test/x", "/\\b.test/x", "\\\\b.test/x", "data:,1", "mailto:x@b.test"]) {
      const bare = createClient({ fetch });
      expect(await failure(bare.fetchGet(url)), url).toMatchObject({ code: "bad_request" });
      expect(() => bare.live(url), url).toThrow(PillboxError);
    }
  });
});

describe("a limit of time", () => {
  const never: typeof fetch = (_, init) =>
    new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));

  it("ends a request without an answer, and one whose answer does not end", async () => {
    const slow = await scenario({ pieces: [], then: "hold" });
    for (const client of [createClient({ timeoutMs: 50 }), createClient({ fetch: never, timeoutMs: 50 })]) {
      expect(await failure(client.fetchGet(slow.url))).toMatchObject({ status: 0, code: "timeout" });
    }
    expect(await failure(fetchPost(slow.url, {}, { timeoutMs: 50 }))).toMatchObject({ status: 0, code: "timeout", unsure: true });
    await slow.cut();
  });

  it.each([0, -1, NaN, undefined])("is 15 seconds for %s", async (timeoutMs) => {
    vi.useFakeTimers();
    try {
      const settled = vi.fn();
      const asked = failure(createClient({ fetch: never }).fetchGet("http://x.test", { timeoutMs })).then(settled);
      await vi.advanceTimersByTimeAsync(14_999);
      expect(settled).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      await asked;
      expect(settled).toHaveBeenCalledWith(expect.objectContaining({ code: "timeout" }));
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([Infinity, 2 ** 31, 1e300])("may be as long as %s", async (timeoutMs) => {
    const { url } = await scenario({ ...json(200, { data: 1 }), pieces: [100, "MQ=="] });
    expect(await fetchGet(url, { timeoutMs })).toBe(1);
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers();
    try {
      await createClient({ fetch: async () => Response.json({}) }).fetchGet("http://x.test");
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a signal", () => {
  it("stops a request on its way, and one that has not begun", async () => {
    const slow = await scenario({ then: "hold" });
    const controller = new AbortController();
    const asked = failure(fetchGet(slow.url, { signal: controller.signal }));
    setTimeout(() => controller.abort(new Error("enough")), 50);
    expect(await asked).toMatchObject({ status: 0, code: "aborted" });
    expect(await failure(fetchPost(slow.url, {}, { signal: AbortSignal.abort() }))).toMatchObject({ code: "aborted" });
    expect((await slow.seen()).map(({ method }) => method)).not.toContain("POST");
  });
});

describe("a second try", () => {
  const busy = (status: number, after: string) => json(status, { error: { code: "too_many", message: "Wait." } }, { "Retry-After": after });

  it.each([429, 503])("is made for a GET that was answered with %d and a time", async (status) => {
    const { url, seen } = await scenario(busy(status, "1"), busy(status, "0"), json(200, { data: "at last" }));
    expect(await fetchGet(url)).toEqual({ data: "at last" });
    const [first, second] = await seen();
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990);
    expect(await seen()).toHaveLength(3);
  });

  it("understands a date", async () => {
    const { url, seen } = await scenario(busy(503, new Date(Date.now() + 2500).toUTCString()), json(200, {}));
    const began = Date.now();
    await fetchGet(url);
    expect(Date.now() - began).toBeGreaterThan(500);
    expect(await seen()).toHaveLength(2);
  });

  it.each([
    ["a third time in vain", busy(503, "0"), 0, 3],
    ["no time", json(503, {}), undefined, 1],
    ["a time that is none", busy(503, "soon"), undefined, 1],
    ["a negative time", busy(503, "-5"), undefined, 1],
    ["a fraction", busy(503, "1.5"), undefined, 1],
    ["a wait that is too long", busy(429, "31"), 31_000, 1],
    ["an endless wait", busy(429, "9".repeat(400)), Infinity, 1],
    ["another status", busy(500, "0"), undefined, 1],
  ])("is not made after %s", async (_, answer, retryAfterMs, tries) => {
    const { url, seen } = await scenario(answer);
    const error = await failure(fetchGet(url));
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(await seen()).toHaveLength(tries);
  });

  it("is never made for what changes something", async () => {
    const { url, seen } = await scenario(busy(503, "0"));
    for (const write of [fetchPost(url, {}), fetchPut(url, {}), fetchDelete(url)]) {
      expect(await failure(write)).toMatchObject({ status: 503, code: "too_many", retryAfterMs: 0 });
    }
    expect(await seen()).toHaveLength(3);
  });

  it.each([
    [0, 1],
    [1, 2],
    [9, 3],
    [NaN, 1],
  ])("is made as often as asked: retries %d", async (retries, tries) => {
    const { url, seen } = await scenario(busy(503, "0"));
    await failure(createClient({ retries }).fetchGet(url));
    await failure(fetchGet(url, { retries }));
    expect(await seen()).toHaveLength(2 * tries);
  });

  it("is stopped by the signal while it waits", async () => {
    const { url, seen } = await scenario(busy(503, "20"));
    const controller = new AbortController();
    const asked = failure(fetchGet(url, { signal: controller.signal }));
    await vi.waitFor(async () => expect(await seen()).toHaveLength(1), 10_000);
    setTimeout(() => controller.abort(), 20);
    expect(await asked).toMatchObject({ code: "aborted" });
    expect(await seen()).toHaveLength(1);
  });
});

describe("requests at once", () => {
  /** A fetch whose answers are given by hand. */
  function gate() {
    const waiting: { what: string; answer: (status: number) => void }[] = [];
    const fetch: typeof globalThis.fetch = (url, init) =>
      new Promise((resolve, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        if (init?.signal?.aborted) return reject(init.signal.reason);
        waiting.push({
          what: `${init?.method} ${new URL(String(url)).pathname}`,
          answer: (status) => resolve(Response.json({}, { status })),
        });
      });
    /** Waits until these requests are under way, and sees that no others join them. */
    const under = async (...want: string[]) => {
      for (let n = 0; n < 2; n++) {
        await vi.waitFor(() => expect(waiting.map(({ what }) => what)).toEqual(want), 5000);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    const answer = (status = 200) => waiting.shift()!.answer(status);
    return { client: createClient({ fetch, baseUrl: "http://x.test" }), under, answer };
  }

  it("let the first one go alone, so that they share its session", async () => {
    const { client, under, answer } = gate();
    const all = ["/a", "/b", "/c"].map((url) => client.fetchPost(url, {}));
    await under("POST /a");
    answer();
    await under("POST /b", "POST /c");
    answer();
    answer();
    await Promise.all(all);
  });

  it("let a write lead reads, but no read a write", async () => {
    const { client, under, answer } = gate();
    const all = [client.fetchGet("/a"), client.fetchGet("/b"), client.fetchPost("/c", {}), client.fetchPut("/d", {})];
    await under("GET /a");
    answer();
    await under("GET /b", "POST /c");
    answer();
    answer();
    await under("PUT /d");
    answer();
    await Promise.all(all);
  });

  it("let the next one lead when the first fails or is stopped", async () => {
    const { client, under, answer } = gate();
    const controller = new AbortController();
    const all = [
      failure(client.fetchPost("/a", {})),
      failure(client.fetchPost("/b", {}, { signal: controller.signal })),
      client.fetchPost("/c", {}),
      client.fetchPost("/d", {}),
    ];
    await under("POST /a");
    answer(500);
    await under("POST /b");
    controller.abort();
    await under("POST /b", "POST /c");
    answer();
    answer();
    await under("POST /d");
    answer();
    await Promise.all(all);
  });

  it("do not wait for each other beyond their own limits", async () => {
    const { client, under, answer } = gate();
    const controller = new AbortController();
    const first = client.fetchPost("/a", {});
    const stopped = failure(client.fetchPost("/b", {}, { signal: controller.signal }));
    const late = failure(client.fetchPost("/c", {}, { timeoutMs: 30 }));
    await under("POST /a");
    controller.abort();
    expect((await stopped).code).toBe("aborted");
    expect((await late).code).toBe("timeout");
    await under("POST /a");
    answer();
    await first;
  });

  it("wait only for those of the same origin", async () => {
    const { client, under, answer } = gate();
    const all = [client.fetchPost("/a", {}), client.fetchPost("http://y.test/b", {})];
    await under("POST /a", "POST /b");
    answer();
    answer();
    await Promise.all(all);
  });
});
