import { afterEach, expect, it, vi } from "vitest";
import { createClient, type LiveSession, type LiveState } from "../../src/index.js";
import type * as Package from "../../src/index.js";
import { event, json, scenario, session, stream, until } from "../support.js";

/** A page of its own, as another tab of the same origin is. */
interface Tab {
  package: typeof Package;
  window: Window;
  close(): void;
}

const tabs: Tab[] = [];
const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  for (const tab of tabs.splice(0)) tab.close();
});

async function openTab(): Promise<Tab> {
  const frame = document.createElement("iframe");
  const loaded = new Promise<typeof Package>((resolve) => {
    const name = `tab${crypto.randomUUID().replaceAll("-", "")}`;
    Object.assign(window, { [name]: resolve });
    frame.srcdoc = `<script type="module">import * as all from "${new URL("../../src/index.ts", import.meta.url).href}"; parent.${name}(all);</script>`;
  });
  document.body.append(frame);
  const tab = { package: await loaded, window: frame.contentWindow!, close: () => frame.remove() };
  tabs.push(tab);
  return tab;
}

function watch(live: LiveSession): LiveState[] {
  const states: LiveState[] = [];
  stops.push(live.subscribe((state) => states.push(state)));
  return states;
}

const isLive = ({ status }: LiveState) => status === "live";

it("tabs share one stream, and one that comes later has the state at once", async () => {
  const { url, seen, push } = await scenario(stream(session("p1", { n: 0 })));
  const first = await openTab();
  const one = first.package.live(url);
  watch(one);
  await until(one, isLive);
  const second = (await openTab()).package.live(url);
  const third = createClient().live(url);
  for (const live of [second, third]) {
    const states = watch(live);
    expect(await until(live, isLive)).toMatchObject({ session: "p1", values: { n: 0 }, changed: ["n"] });
    expect(states).toHaveLength(2);
  }
  await push(event("change", { keys: ["n", "m"], removed: [], values: { n: 1 }, idle: 1000, absolute: null }));
  for (const live of [one, second, third]) {
    expect(await until(live, ({ values }) => values.n === 1)).toMatchObject({ keys: ["n", "m"], changed: ["n", "m"] });
  }
  expect(await seen()).toHaveLength(1);
});

it("states that other tabs were asked for are not told again", async () => {
  const { url } = await scenario(stream(session("p1", { n: { deep: 0 } })));
  const one = (await openTab()).package.live(url);
  watch(one);
  await until(one, isLive);
  const two = (await openTab()).package.live(url);
  const states = watch(two);
  const before = await until(two, isLive);
  const three = (await openTab()).package.live(url);
  watch(three);
  await until(three, isLive);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(states).toHaveLength(2);
  expect(two.get()).toBe(before);
});

it("values that are the same stay the same objects in every tab", async () => {
  const { url, push } = await scenario(stream(session("p1", { a: { n: 1 }, b: { n: 1 } })));
  const one = (await openTab()).package.live(url);
  watch(one);
  await until(one, isLive);
  const two = createClient().live(url);
  watch(two);
  const before = await until(two, isLive);
  await push(event("change", { keys: ["b"], removed: [], values: { b: { n: 2 } }, idle: 1000, absolute: null }));
  const after = await until(two, ({ values }) => (values.b as { n: number }).n === 2);
  expect(after.values.a).toBe(before.values.a);
});

it("another tab takes the stream over when the one that has it goes away", async () => {
  const { url, seen, push } = await scenario(stream(session("p1", { n: 0 })), stream(session("p1", { n: 1 })));
  const first = await openTab();
  watch(first.package.live(url));
  await until(first.package.live(url), isLive);
  const second = (await openTab()).package.live(url);
  const states = watch(second);
  await until(second, isLive);
  first.close();
  const after = await until(second, ({ values }) => values.n === 1);
  expect(after.changed).toEqual(["n"]);
  expect(states.map(({ status }) => status)).toEqual(["connecting", "live", "live"]);
  expect(await seen()).toHaveLength(2);
  await push(event("change", { keys: ["n"], values: { n: 2 } }));
  await until(second, ({ values }) => values.n === 2);
});

it("another tab takes the stream over when the last subscriber of the first leaves", async () => {
  const { url, seen } = await scenario(stream(session("p1", { n: 0 })));
  const first = (await openTab()).package.live(url);
  const leave = first.subscribe(() => undefined);
  await until(first, isLive);
  const second = (await openTab()).package.live(url);
  watch(second);
  await until(second, isLive);
  leave();
  await vi.waitFor(async () => expect(await seen()).toHaveLength(2), 10_000);
  expect(first.get().status).toBe("connecting");
});

it("an end is known in every tab, and so is what comes after it", async () => {
  const { url, push } = await scenario(stream(session("p1", {}, { signedIn: true })), json(200, {}), stream(session("p2")));
  const first = await openTab();
  const second = await openTab();
  const one = first.package.live(url);
  const two = second.package.live(url);
  watch(one);
  watch(two);
  await Promise.all([until(one, isLive), until(two, isLive)]);
  await push(event("ended", { reason: "signed-out" }));
  for (const live of [one, two]) {
    expect(await until(live, ({ status }) => status === "ended")).toMatchObject({ reason: "signed-out", signedIn: false, values: {} });
  }
  // The write is made by a tab that follows nothing.
  await (await openTab()).package.fetchPost(url, {});
  for (const live of [one, two]) expect((await until(live, isLive)).session).toBe("p2");
});

it("what goes wrong is known in every tab", async () => {
  const { url } = await scenario(json(503, { error: { code: "closed", message: "Later." } }, { "Retry-After": "60" }), stream(session("p1")));
  const lives = [(await openTab()).package.live(url), (await openTab()).package.live(url)];
  for (const live of lives) watch(live);
  for (const live of lives) {
    expect((await until(live, ({ status }) => status === "offline")).error).toEqual({ status: 503, code: "closed", message: "Later." });
  }
  lives[1]!.refresh();
  lives[0]!.refresh();
  for (const live of lives) await until(live, isLive);
});

it("a tab that does not answer loses the stream", async () => {
  const { url, seen } = await scenario(stream(session("p1")));
  // A frozen tab holds the lock and says nothing.
  let stolen = false;
  const held = navigator.locks.request(`pillbox 1 ${url}`, () => new Promise(() => undefined)).catch(() => (stolen = true));
  const live = (await openTab()).package.live(url);
  watch(live);
  await until(live, isLive);
  await held;
  expect(stolen).toBe(true);
  expect(await seen()).toHaveLength(1);
});

it("a tab that lost the stream follows the one that has it", async () => {
  const { url, seen, push } = await scenario(stream(session("p1", { n: 0 })), stream(session("p1", { n: 1 })), stream(session("p1", { n: 2 })));
  const live = (await openTab()).package.live(url);
  watch(live);
  await until(live, isLive);
  let release!: () => void;
  const stolen = navigator.locks.request(`pillbox 1 ${url}`, { steal: true }, () => new Promise<void>((resolve) => (release = resolve)));
  await vi.waitFor(async () => expect((await navigator.locks.query()).pending?.map(({ name }) => name)).toContain(`pillbox 1 ${url}`), 10_000);
  await push(event("change", { keys: ["n"], values: { n: 9 } }));
  release();
  await stolen;
  await until(live, ({ values }) => values.n === 1);
  expect(await seen()).toHaveLength(2);
});

it("a page that goes into the browser's history lets go, and comes back", async () => {
  const { url, seen } = await scenario(stream(session("p1", { n: 0 })), stream(session("p1", { n: 1 })));
  const { package: all, window } = await openTab();
  const live = all.live(url);
  const states = watch(live);
  await until(live, isLive);
  window.dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
  expect(live.get().status).toBe("connecting");
  await vi.waitFor(async () => expect((await navigator.locks.query()).held?.map(({ name }) => name)).not.toContain(`pillbox 1 ${url}`), 10_000);
  window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
  await until(live, ({ values }) => values.n === 1);
  expect(await seen()).toHaveLength(2);
  expect(states.map(({ status }) => status)).toEqual(["connecting", "live", "live"]);
});

it.each(["online", "visibilitychange"])("a page tries again at once when the browser says %s", async (type) => {
  const { url } = await scenario(json(500, {}), stream(session("p1")));
  const tab = await openTab();
  const chance = vi.spyOn((tab.window as Window & typeof globalThis).Math, "random").mockReturnValue(1e6); // as long as it may
  const live = tab.package.live(url);
  watch(live);
  await until(live, ({ status }) => status === "offline");
  tab.window.document.dispatchEvent(new Event(type, { bubbles: true }));
  await until(live, isLive);
  chance.mockRestore();
});

it("a wait that the server asked for is not cut short by that", async () => {
  const { url, seen } = await scenario(json(429, {}, { "Retry-After": "60" }));
  const tab = await openTab();
  const live = tab.package.live(url);
  watch(live);
  await until(live, ({ status }) => status === "offline");
  tab.window.dispatchEvent(new Event("online"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await seen()).toHaveLength(1);
});

it("where locks are refused, each page has its own stream", async () => {
  const { url, seen } = await scenario(stream(session("p1")));
  const tab = await openTab();
  vi.spyOn(tab.window.navigator.locks, "request").mockRejectedValue(new DOMException("no", "SecurityError"));
  const live = tab.package.live(url);
  watch(live);
  await until(live, isLive);
  expect(await seen()).toHaveLength(1);
});
