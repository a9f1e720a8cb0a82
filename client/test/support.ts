import { expect, inject } from "vitest";
import { PillboxError, type LiveSession, type LiveState } from "../src/index.js";
import type { Answer, Seen } from "./server/faults.js";

const faults = inject("faults");

/** A scenario of the server that answers as it is told. */
export interface Scenario {
  url: string;
  seen(): Promise<Seen[]>;
  push(text: string): Promise<void>;
  cut(): Promise<void>;
}

export async function scenario(...answers: Answer[]): Promise<Scenario> {
  const ask = async (path: string, init?: RequestInit) => (await fetch(faults + path, init)).text();
  const number = await ask("/scenarios", { method: "POST", body: JSON.stringify(answers) });
  return {
    url: `${faults}/s/${number}`,
    seen: async () => JSON.parse(await ask(`/seen/${number}`)) as Seen[],
    push: async (body) => void (await ask(`/push/${number}`, { method: "POST", body })),
    cut: async () => void (await ask(`/cut/${number}`, { method: "POST" })),
  };
}

const base64 = (text: string) => btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));

/** An answer of JSON. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  return { status, headers: { "Content-Type": "application/json", ...headers }, pieces: [base64(JSON.stringify(value))] };
}

/** An answer of another type. */
export function text(status: number, type: string, body: string): Answer {
  return { status, headers: { "Content-Type": type }, pieces: [base64(body)] };
}

/** One event of a stream. */
export function event(type: string, data: unknown): string {
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The first event of a session. */
export function session(id: string, values: Record<string, unknown> = {}, more: object = {}): string {
  return event("session", { live: true, session: id, signedIn: false, keys: Object.keys(values), values, idle: 60_000, absolute: null, ...more });
}

/** An answer that is a stream, held open unless said otherwise. It asks for quick reconnection. */
export function stream(body: string, then: "hold" | "end" | "cut" = "hold"): Answer {
  return { headers: { "Content-Type": "text/event-stream" }, pieces: [base64(`retry: 100\n\n${body}`)], then };
}

/** Resolves to the first state, from now on, that is as wished. */
export function until(live: LiveSession, wish: (state: LiveState) => boolean): Promise<LiveState> {
  return new Promise((resolve) => {
    const stop = live.subscribe((state) => {
      if (!wish(state)) return;
      queueMicrotask(() => stop());
      resolve(state);
    });
  });
}

/** The error that a promise rejects with, which has to be the package's. */
export async function failure(promise: Promise<unknown>): Promise<PillboxError> {
  const error: unknown = await promise.then(
    (value) => `resolved to ${JSON.stringify(value)}`,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(PillboxError);
  return error as PillboxError;
}
