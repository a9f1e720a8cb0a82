import { afterEach, expect, it } from "vitest";
import { until } from "../support.js";
import { password, someone, visitor } from "../visitor.js";

const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

it("a session that is ended on another device says so", async () => {
  const [one, two] = [await visitor(), await visitor()];
  const username = someone();
  await one.fetchPost("/register", { username, password });
  await two.fetchPost("/login", { username, password });
  const live = one.live();
  stops.push(live.subscribe(() => undefined));
  await until(live, ({ signedIn }) => signedIn);
  expect(await two.fetchDelete("/sessions")).toEqual({ data: { ended: 1 } });
  expect(await until(live, ({ status }) => status === "ended")).toMatchObject({ reason: "revoked" });
});
