import { afterEach, describe, expect, inject, it } from "vitest";
import { createClient, type Client, type LiveSession, type LiveState } from "../src/index.js";
import { failure, until } from "./support.js";

const baseUrl = inject("medicine");
const inBrowser = "document" in globalThis;
const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** Node's fetch keeps no cookies, so a visitor there has a jar. */
function jar(): typeof fetch {
  const cookies = new Map<string, string>();
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    if (cookies.size) headers.set("Cookie", Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(input, { ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
      if (/;\s*max-age=(0|-\d+)/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
}

/** A visitor's client. In the browser they are all one visitor, who begins anew each time. */
async function visitor(): Promise<Client> {
  if (!inBrowser) return createClient({ baseUrl, fetch: jar() });
  const client = createClient({ baseUrl });
  await client.fetchPost("/logout", {});
  return client;
}

function watch(live: LiveSession): LiveState[] {
  const states: LiveState[] = [];
  stops.push(live.subscribe((state) => states.push(state)));
  return states;
}

const someone = () => `visitor-${Math.random().toString(36).slice(2)}`;
const password = "a long enough pass phrase";

describe("with Medicine", () => {
  it("requests carry the session", async () => {
    const { fetchGet, fetchPost, fetchDelete } = await visitor();
    expect(await fetchGet("/employees")).toEqual({ data: ["Ilmer", "Homer"] });
    expect(await fetchGet("/pills")).toEqual({ data: [] });
    await fetchPost("/pills", { name: "Ibuprofen" });
    expect(await fetchGet("/pills")).toEqual({ data: [{ name: "Ibuprofen" }] });
    await fetchDelete("/pills");
    expect(await failure(fetchPost("/pills", { name: "" }))).toMatchObject({ status: 400 });
    expect(await failure(fetchGet("/me"))).toMatchObject({ status: 401, code: "signed_out" });
  });

  it("ten first requests at once are one visitor's, and all are kept", async () => {
    const { fetchGet, fetchPost } = await visitor();
    await Promise.all(Array.from({ length: 10 }, (_, n) => fetchPost("/pills", { name: `pill ${n}` })));
    expect((await fetchGet<{ data: unknown[] }>("/pills")).data).toHaveLength(10);
  });

  it("a session is followed from its beginning to its end", async () => {
    const client = await visitor();
    const live = client.live();
    const states = watch(live);
    await until(live, ({ status }) => status === "none");

    await client.fetchPost("/pills", { name: "Ibuprofen" });
    const began = await until(live, ({ status }) => status === "live");
    expect(began).toMatchObject({ signedIn: false, keys: expect.arrayContaining(["pills"]) as string[] });
    await until(live, ({ values }) => JSON.stringify(values.pills) === '[{"name":"Ibuprofen"}]');
    expect(began.idleDeadline!.getTime()).toBeGreaterThan(Date.now());

    await client.fetchPost("/pills", { name: "Aspirin" });
    await until(live, ({ values }) => (values.pills as unknown[]).length === 2);

    const username = someone();
    await client.fetchPost("/register", { username, password });
    const signedIn = await until(live, (state) => state.status === "live" && state.signedIn);
    expect(signedIn.session).not.toBe(began.session);
    expect(signedIn.values.pills).toHaveLength(2);

    await client.fetchPost("/logout", {});
    const ended = await until(live, ({ status }) => status === "ended");
    expect(ended).toMatchObject({ reason: "signed-out", signedIn: false, values: {} });

    await client.fetchPost("/login", { username, password });
    await until(live, (state) => state.status === "live" && state.signedIn);
    expect(states.map(({ status }) => status)).not.toContain("offline");
  });

  it.skipIf(inBrowser)("a session that is ended on another device says so", async () => {
    const [one, two] = [await visitor(), await visitor()];
    const username = someone();
    await one.fetchPost("/register", { username, password });
    await two.fetchPost("/login", { username, password });
    const live = one.live();
    watch(live);
    await until(live, ({ signedIn }) => signedIn);
    expect(await two.fetchDelete("/sessions")).toEqual({ data: { ended: 1 } });
    expect(await until(live, ({ status }) => status === "ended")).toMatchObject({ reason: "revoked" });
  });
});
