/** The same request, sent with the session's cookie and without it. */
import { fetchGet } from "./api.js";
import type { SessionInfo } from "./resource.svelte.js";

const BASE = (import.meta.env.VITE_BASE_URL ?? "").replace(/\/+$/, "");
const PATH = "/pills";
const TIMEOUT_MS = 15_000;

/** One request, and the answer as it came. */
export interface Exchange {
  readonly status: number;
  readonly statusText: string;
  readonly type: string;
  readonly body: string;
}

export interface Comparison {
  /** What the server said of this browser's session just before. */
  readonly session: SessionInfo;
  readonly included: Exchange;
  readonly omitted: Exchange;
  /** Whether asking has begun a session. On the page's own server it never does. */
  readonly began: boolean;
}

/** Sends both. It rejects with an error whose message can be shown to the visitor. */
export async function compare(): Promise<Comparison> {
  // First, and alone: what the two answers mean depends on it.
  const session = await fetchGet<SessionInfo>("/session");
  const [included, omitted] = await Promise.all([exchange("include"), exchange("omit")]);
  // What is said of it is to be known, and not believed.
  const began = !session.live && (await fetchGet<SessionInfo>("/session")).live;
  return { session, included, omitted, began };
}

/** A plain fetch, and not the client of the package: its answer is to be shown whatever it is. */
async function exchange(credentials: RequestCredentials): Promise<Exchange> {
  const response = await fetch(BASE + PATH, {
    credentials,
    cache: "no-store",
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const type = response.headers.get("Content-Type") ?? "";
  return { status: response.status, statusText: response.statusText, type, body: await response.text() };
}

/** What a comparison shows, in a sentence that is true for what came back. */
export interface Reading {
  readonly kind: "different" | "same" | "wrong";
  readonly text: string;
  /** Whether there is something to see once the visitor has filled a prescription. */
  readonly fill: boolean;
}

export function explain({ session, included, omitted, began }: Comparison): Reading {
  const mine = pillsIn(included);
  const stranger = pillsIn(omitted);
  if (mine === undefined || stranger === undefined) {
    return {
      kind: "wrong",
      fill: false,
      text: "Not both answers are lists of pills, so this says nothing about the cookie. Read them, and try again.",
    };
  }
  if (stranger > 0) {
    return {
      kind: "wrong",
      fill: false,
      text: "The server handed out pills to a request without a cookie. That should not happen: it could not know whose they are.",
    };
  }
  if (mine > 0) {
    return {
      kind: "different",
      fill: false,
      text: `Only the cookie differs. With it the server found your session and your ${mine === 1 ? "pill" : `${mine.toLocaleString("en")} pills`}; without it you are somebody it has never seen, and the list is empty.`,
    };
  }
  if (session.live) {
    return {
      kind: "same",
      fill: true,
      text: "Both lists are empty, each for a reason of its own: with the cookie the server found your session, in which there are no pills; without it, it found none.",
    };
  }
  return {
    kind: "same",
    fill: true,
    text: began
      ? "Both are the same, since you had no session. The server began one when the first of them asked, as it does for pages of other addresses that it trusts."
      : "Both are the same: you have no session yet, so there is no cookie that could make a difference. Asking has not made one either.",
  };
}

/** How many pills an answer has, or undefined if it is no list. */
function pillsIn({ status, body }: Exchange): number | undefined {
  if (status !== 200) return undefined;
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null || !("data" in answer) || !Array.isArray(answer.data)) return undefined;
    return answer.data.length;
  } catch {
    return undefined;
  }
}

const MOST = 240;

/** A body as it came, cut where it would fill the page. */
export function excerpt(body: string): string {
  if (body === "") return "(empty)";
  const characters = [...body];
  if (characters.length <= MOST) return body;
  return `${characters.slice(0, MOST).join("")}… and ${(characters.length - MOST).toLocaleString("en")} more characters`;
}
