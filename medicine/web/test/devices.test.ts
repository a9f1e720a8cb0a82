import { beforeEach, describe, expect, it, vi } from "vitest";
import { Devices, type Device } from "../src/lib/devices.svelte.js";
import { json, later, settled } from "./support.js";

const device = (publicId: string, current = false): Device => ({
  publicId,
  current,
  browser: "Chromium 156",
  system: "Linux",
  address: "203.0.113.7",
  firstSeen: "2026-03-01T12:00:00Z",
  lastSeen: "2026-03-01T12:00:00Z",
});

let sent: { request: string; answer: (response: Response) => Promise<void> }[];
let signedOut: ReturnType<typeof vi.fn<() => void>>;
let devices: Devices;

beforeEach(() => {
  sent = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const response = later<Response>();
    sent.push({ request: `${init.method} ${url}`, answer: (answer) => (response.resolve(answer), settled()) });
    return response.promise;
  });
  signedOut = vi.fn<() => void>();
  devices = new Devices(signedOut);
  devices.list.set([device("a", true), device("b"), device("c")]);
});

const ids = () => devices.list.value?.map(({ publicId }) => publicId);
const requests = () => sent.map(({ request }) => request.replace(/https?:\/\/[^/]+/, ""));

describe("ending one", () => {
  it("marks it, and takes it out when the server has ended it", async () => {
    const done = devices.end(device("b"));
    await settled();
    expect([ids(), [...devices.ending]]).toEqual([["a", "b", "c"], ["b"]]);
    await sent[0]!.answer(json(200, { data: { ended: 1 } }));
    expect(await done).toBe(true);
    expect([ids(), devices.ending.size]).toEqual([["a", "c"], 0]);
    expect(requests()).toEqual(["DELETE /sessions/b"]);
  });

  it("leaves it where it is when the server refuses", async () => {
    const failed = expect(devices.end(device("b"))).rejects.toMatchObject({ status: 429 });
    await settled();
    await sent[0]!.answer(json(429, { error: { code: "too_many", message: "Later." } }));
    await failed;
    expect([ids(), devices.ending.size]).toEqual([["a", "b", "c"], 0]);
  });

  it("takes out what had ended already, and says that it had", async () => {
    const done = devices.end(device("b"));
    await settled();
    await sent[0]!.answer(json(404, { error: { code: "no_such_session", message: "Gone." } }));
    expect(await done).toBe(false);
    expect(ids()).toEqual(["a", "c"]);
  });

  it("asks for the list when no answer tells what became of it", async () => {
    const failed = expect(devices.end(device("b"))).rejects.toMatchObject({ status: 503 });
    await settled();
    await sent[0]!.answer(json(503, { error: { code: "store_unavailable", message: "Later." } }));
    await failed;
    await settled();
    await sent[1]!.answer(json(200, { data: [device("a", true)] }));
    expect([requests()[1], ids()]).toEqual(["GET /sessions", ["a"]]);
  });
});

it("ends all others, and says how many", async () => {
  const done = devices.endOthers();
  await settled();
  expect([...devices.ending]).toEqual(["b", "c"]);
  await sent[0]!.answer(json(200, { data: { ended: 2 } }));
  expect(await done).toBe(2);
  expect([requests(), ids(), devices.others]).toEqual([["DELETE /sessions"], ["a"], []]);
});

it("tells when the server knows nobody any more", async () => {
  void devices.list.load();
  await settled();
  await sent[0]!.answer(json(401, { error: { code: "signed_out", message: "You are not signed in." } }));
  expect(signedOut).toHaveBeenCalledOnce();
  expect(devices.list.error?.code).toBe("signed_out");
});
