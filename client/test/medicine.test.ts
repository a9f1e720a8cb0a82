import { afterEach, describe, expect, it } from "vitest";
import type { LiveSession, LiveState } from "../src/index.js";
import { failure, until } from "./support.js";
import { password, someone, visitor } from "./visitor.js";

const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

function watch(live: LiveSession): LiveState[] {
  const states: LiveState[] = [];
  stops.push(live.subscribe((state) => states.push(state)));
  return states;
}

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
});
