import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createClient, type LiveState } from "../../src/index.js";
import { failure, session } from "../support.js";

// In Node only: a browser does part of its work outside of the clock that is faked here.

const stops: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a second try", () => {
  it("waits 30 seconds in all at most", async () => {
    const fetch = vi.fn(async () => new Response("{}", { status: 503, headers: { "Retry-After": "20" } }));
    const asked = failure(createClient({ fetch }).fetchGet("http://x.test"));
    await vi.advanceTimersByTimeAsync(20_000);
    expect((await asked).retryAfterMs).toBe(20_000);
    expect(fetch).toHaveBeenCalledTimes(2);
  });
});

describe("a fault", () => {
  it("is waited out longer and longer, by chance, 30 seconds at most, and less again after a stream that worked", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999_999);
    let lives = 0;
    const fetch = vi.fn(async () => {
      if (lives <= 0) throw new TypeError("refused");
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(session("p1")));
            setTimeout(() => controller.close(), lives);
          },
        }),
        { headers: { "Content-Type": "text/event-stream" } },
      );
    });
    stops.push(createClient({ fetch }).live("http://x.test/live").subscribe(() => undefined));
    const waits: number[] = [];
    const wait = async () => {
      const before = fetch.mock.calls.length;
      const began = Date.now();
      while (fetch.mock.calls.length === before) await vi.advanceTimersByTimeAsync(100);
      waits.push(Math.round((Date.now() - began) / 1000));
    };
    await vi.advanceTimersByTimeAsync(0);
    for (let n = 0; n < 7; n++) await wait();
    expect(waits).toEqual([2, 4, 8, 16, 30, 30, 30]);
    lives = 10;
    await wait(); // the try that gives a stream too short to count
    waits.length = 0;
    await wait();
    expect(waits).toEqual([30]);
    lives = 5000;
    await wait();
    waits.length = 0;
    await wait();
    expect(waits[0]).toBeLessThanOrEqual(7); // it lived for five seconds
  });

  it("is a silence of a minute", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    let send!: (text: string) => void;
    const fetch = vi.fn(async (_: unknown, init?: RequestInit) => {
      const body = new ReadableStream({
        start(controller) {
          send = (text) => controller.enqueue(new TextEncoder().encode(text));
          init?.signal?.addEventListener("abort", () => controller.error(init.signal?.reason));
        },
      });
      return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    });
    const live = createClient({ fetch }).live("http://x.test/live");
    const states: LiveState[] = [];
    stops.push(live.subscribe((state) => states.push(state)));
    await vi.advanceTimersByTimeAsync(0);
    send(session("p1"));
    for (let n = 0; n < 10; n++) {
      await vi.advanceTimersByTimeAsync(59_000);
      send(":\n");
    }
    expect(states.map(({ status }) => status)).toEqual(["connecting", "live"]);
    await vi.advanceTimersByTimeAsync(59_900);
    expect(fetch).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(states.at(-1)).toMatchObject({ status: "offline", error: { code: "timeout" } });
    expect(fetch).toHaveBeenCalledTimes(2);
    send(session("p1"));
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toMatchObject({ status: "live" });
  });
});

describe("a server that is wrong again and again", () => {
  const streamOf = (text: string) => () => new Response(text, { headers: { "Content-Type": "text/event-stream" } });

  it.each([
    ["says at once that the session goes on elsewhere", streamOf('event: renewed\ndata: {"signedIn":false}\n\n')],
    ["says at once that it ended, and not why", streamOf('event: ended\ndata: {"reason":"unknown"}\n\n')],
    ["asks for no pause at all", () => new Response("{}", { status: 429, headers: { "Retry-After": "0" } })],
    ["asks for a pause until a time that has passed", () => new Response("{}", { status: 503, headers: { "Retry-After": "Thu, 01 Jan 1970 00:00:01 GMT" } })],
  ])("is asked less and less often: one that %s", async (_, answer) => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0.5);
    const fetch = vi.fn(async () => answer());
    const stop = createClient({ fetch }).live("http://x.test/live").subscribe(() => {});
    await vi.advanceTimersByTimeAsync(600_000);
    stop();
    expect(fetch.mock.calls.length).toBeGreaterThan(10);
    expect(fetch.mock.calls.length).toBeLessThan(60); // at most every 15 seconds on average, after the first few
  });
});

describe("a change of very many keys", () => {
  it("does not hold up the page", async () => {
    const name = (prefix: string) => Array.from({ length: 50_000 }, (_, i) => prefix + i);
    const text = `event: session\ndata: {"live":true,"session":"p","keys":[]}\n\nevent: change\ndata: ${JSON.stringify({ keys: name("k"), removed: name("r") })}\n\n`;
    const fetch = async () => new Response(text, { headers: { "Content-Type": "text/event-stream" } });
    const live = createClient({ fetch }).live("http://x.test/live");
    const begun = performance.now();
    await new Promise<void>((resolve) => live.subscribe(({ keys }) => keys.length > 0 && resolve()));
    expect(performance.now() - begun).toBeLessThan(1000); // some 20 ms; looking through lists takes seconds
  });
});
