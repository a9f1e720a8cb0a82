/** The attacks of the security lab: what they are, and how each is run and judged. */
import { fetchGet, fetchPost } from "./api.js";
import { reportFrom, type Report } from "./lab-frame.js";
import type { SessionInfo } from "./resource.svelte.js";
import { count } from "./words.js";

export type AttackName = "fixation" | "tampered" | "replayed" | "forgery" | "foreign";

/** One request of an attack, and what came back. */
export interface Step {
  readonly who: string;
  /** What was done, as a sentence without its subject. */
  readonly did: string;
  readonly request: string;
  /** Which cookie went along, in words. */
  readonly cookie: string;
  /** Of the answer, or null where nobody here can see it. */
  readonly status: number | null;
  readonly answer: string;
}

/** What became of an attack. "unclear": nothing is known, because something came between. */
export interface Outcome {
  readonly verdict: "refused" | "succeeded" | "unclear";
  readonly why: string;
  readonly steps: readonly Step[];
}

export interface Attack {
  readonly name: AttackName;
  readonly title: string;
  readonly wants: string;
  /** What stands against it. */
  readonly defences: readonly { readonly what: string; readonly how: string }[];
  /** Where to read it. */
  readonly code: { readonly folder: string; readonly look: string };
  /** Whether it is run by a frame in the page rather than by the server. */
  readonly framed: boolean;
}

export const attacks: readonly Attack[] = [
  {
    name: "fixation",
    title: "Session fixation",
    wants:
      "To know your session’s id before you do. The attacker plants a cookie of his own in your browser, waits until you sign in, and then uses it as you.",
    defences: [
      { what: "New id at sign-in", how: "Signing in or up moves the visitor to an id that was never seen before, and ends the old one." },
      { what: "No id from outside", how: "An id that the server did not draw is never taken on, signed or not." },
    ],
    code: { folder: "session", look: "Session.SignIn" },
    framed: false,
  },
  {
    name: "tampered",
    title: "Tampered cookie",
    wants: "To open somebody else’s session by changing a cookie: another id, half a signature, the signature of a cookie of his own.",
    defences: [
      {
        what: "Signature",
        how: "An HMAC-SHA-256 over the whole id, under a secret that only the server has. A cookie that does not fit it counts as none, and costs no look into the store.",
      },
      { what: "Ids drawn at random", how: "192 bits of them: there is nothing to guess." },
    ],
    code: { folder: "session", look: "signature.go and id.go" },
    framed: false,
  },
  {
    name: "replayed",
    title: "Replayed cookie",
    wants:
      "To go on after you have left. The attacker has a copy of your cookie, from a shared computer or a backup, and uses it once you have signed out.",
    defences: [
      {
        what: "Ended on the server",
        how: "Signing out deletes the session from the store, not only the cookie from the browser. No later request brings it back.",
      },
      {
        what: "HttpOnly and Secure",
        how: "No script can copy the cookie, and it travels over encrypted connections only (localhost is the exception).",
      },
    ],
    code: { folder: "session", look: "Session.SignOut" },
    framed: false,
  },
  {
    name: "forgery",
    title: "Cross-site request forgery",
    wants: "To act in your name. A page of another site makes your browser send a request here, and hopes that your cookie goes along.",
    defences: [
      { what: "SameSite=Lax", how: "The browser keeps the cookie back from a request that another site’s page sends." },
      {
        what: "Origin check",
        how: "A request that would change something, and comes from a page that is not on the list, is refused before a session is even looked up.",
      },
    ],
    code: { folder: "crossorigin", look: "Guard.Decide" },
    framed: true,
  },
  {
    name: "foreign",
    title: "Foreign origin",
    wants: "To read what is yours. A page of another site asks this server for your pills and wants to see the answer.",
    defences: [
      {
        what: "Exact origins",
        how: "The server lets the browser hand an answer only to origins on its list. The browser keeps it from every other page.",
      },
      { what: "SameSite=Lax", how: "The request carries no cookie, so there would be nothing of yours in the answer." },
    ],
    code: { folder: "crossorigin", look: "Guard.Handler" },
    framed: true,
  },
];

/** The lab connects to itself several times over, and takes longer than other requests under load. */
const LAB_TIMEOUT_MS = 45_000;

interface ServersOutcome {
  readonly refused: boolean;
  readonly why: string;
  readonly steps: readonly Step[];
}

/** Has the server attack itself. It rejects with a PillboxError. */
export async function runOnServer(name: AttackName): Promise<Outcome> {
  const { refused, why, steps } = await fetchPost<ServersOutcome>(`/lab/${name}`, {}, { timeoutMs: LAB_TIMEOUT_MS });
  return { verdict: refused ? "refused" : "succeeded", why, steps };
}

/** The name of the pill that the foreign page tries to add. */
const FORGED = "Forged";

type Pills = readonly ({ readonly name?: unknown } | null)[];

/**
 * Lets a foreign page attack this visitor's own session, and looks at what it has changed.
 *
 * The browser reports the refused request in its console. It does so for every page whose request is refused; a page
 * has no say in it.
 *
 * @param open puts the page into a frame and returns the frame's window
 */
export async function runInFrame(name: "forgery" | "foreign", open: () => MessageEventSource | null): Promise<Outcome> {
  const session = await fetchGet<SessionInfo>("/session");
  const before = await fetchGet<Pills>("/pills");
  const report = await reportFrom(open, name);
  const after = await fetchGet<Pills>("/pills");
  return judge(name, session.live, before, report, after);
}

/** What an attack of the foreign page has come to. */
export function judge(name: "forgery" | "foreign", live: boolean, before: Pills, report: Report, after: Pills): Outcome {
  const forged = named(after) > named(before);
  const unchanged = JSON.stringify(before) === JSON.stringify(after);
  const steps: Step[] = [
    {
      who: "visitor",
      did: "looks at the pills in the session.",
      request: "GET /pills",
      cookie: own(live),
      status: 200,
      answer: count(before.length, "pill"),
    },
    {
      who: "attacker",
      did:
        name === "forgery"
          ? `sends a pill named “${FORGED}” as plain text, for which a browser asks nobody’s leave.`
          : "asks for the visitor’s pills.",
      request: name === "forgery" ? "POST /pills" : "GET /pills",
      cookie: live ? "the visitor’s, if the browser lets it go along" : "none: the visitor has no session",
      status: null,
      answer: report.read === null ? kept(report.error) : `The page read: ${report.read.slice(0, 200)}`,
    },
    {
      who: "visitor",
      did: "looks again.",
      request: "GET /pills",
      cookie: own(live),
      status: 200,
      answer: `${count(after.length, "pill")}, ${unchanged ? "as before" : "not as before"}`,
    },
  ];
  const empty = live ? "" : " You have no session, so there was nothing of yours to reach: fill a prescription and run it again.";
  if (forged)
    return {
      verdict: "succeeded",
      steps,
      why: "The attack succeeded: there is a forged pill in your session now. You can remove it in the Pharmacy.",
    };
  if (report.read !== null) return { verdict: "succeeded", steps, why: "The attack succeeded: the foreign page could read the server’s answer." };
  if (!unchanged)
    return { verdict: "unclear", steps, why: "Your pills changed meanwhile, though not by this attack: perhaps in another tab. Run it again." };
  return {
    verdict: "refused",
    steps,
    why:
      name === "forgery"
        ? `The foreign page sent its request, and your pills are as they were: nothing was added to them.${empty}`
        : `The foreign page sent its request, and the browser kept the answer from it, because the server named no such origin as trusted.${empty}`,
  };
}

function named(pills: Pills): number {
  return pills.filter((pill) => pill?.name === FORGED).length;
}

function own(live: boolean): string {
  return live ? "the visitor’s own" : "none: the visitor has no session";
}

/** What the foreign page was told in place of the answer. */
function kept(error: string): string {
  return error === "" ? "The page was told nothing." : `The page says: “${error}”`;
}
