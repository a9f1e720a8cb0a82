/** What the lab's frame posts to this page. */
export interface Report {
  readonly attack: "forgery" | "foreign";
  /** What the foreign page could read, or null for nothing. */
  readonly read: string | null;
  readonly error: string;
}

/** The frame said nothing in time, so that nothing is known. The message can be shown to the visitor. */
export class SilentFrame extends Error {
  override readonly name = "SilentFrame";

  constructor() {
    super("The foreign page did not report in time, so nothing is known. Run it again.");
  }
}

const TIMEOUT_MS = 10_000;

/**
 * Opens the frame and resolves to its report of this attack.
 *
 * Who speaks is told by event.source. The origin of a sandboxed frame is "null", which every sandboxed frame and every
 * file on a disk can have as well.
 */
export function reportFrom(
  open: () => MessageEventSource | null,
  attack: Report["attack"],
  timeoutMs = TIMEOUT_MS,
  target: EventTarget = window,
): Promise<Report> {
  return new Promise((resolve, reject) => {
    let source: MessageEventSource | null = null;
    const stop = () => {
      target.removeEventListener("message", listen);
      clearTimeout(timer);
    };
    const listen = (event: Event) => {
      const { source: from, data } = event as MessageEvent<unknown>;
      if (source === null || from !== source || !isReport(data) || data.attack !== attack) return;
      stop();
      resolve(data);
    };
    const timer = setTimeout(() => {
      stop();
      reject(new SilentFrame());
    }, timeoutMs);
    target.addEventListener("message", listen);
    source = open();
  });
}

function isReport(data: unknown): data is Report {
  return (
    typeof data === "object" &&
    data !== null &&
    "attack" in data &&
    (data.attack === "forgery" || data.attack === "foreign") &&
    "read" in data &&
    (data.read === null || typeof data.read === "string") &&
    "error" in data &&
    typeof data.error === "string"
  );
}
