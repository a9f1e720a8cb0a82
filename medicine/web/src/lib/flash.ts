import { toasts } from "./toasts.svelte.js";

/** What the server has to say about a plain form that was sent before the script ran. */
export interface Flash {
  readonly kind: "error" | "done";
  readonly message: string;
  /** The input at fault. */
  readonly field?: string;
  /** What was typed, by input. Never a password. */
  readonly values?: Readonly<Record<string, string>>;
}

class FlashMessage {
  /** A message about a form, until the form has shown it. */
  #kept: Flash | undefined;

  /** Takes the message out of the page. One about no input becomes a toast. */
  take(): void {
    const meta = document.querySelector<HTMLMetaElement>("meta[name=flash]");
    const flash = meta ? read(meta.content) : undefined;
    meta?.remove();
    if (!flash) return;
    if (flash.values || flash.field) this.#kept = flash;
    else toasts.show(flash.kind === "error" ? "error" : "info", flash.message);
  }

  /** Gives the message about a form to the form, once. */
  forForm(): Flash | undefined {
    const flash = this.#kept;
    this.#kept = undefined;
    return flash;
  }
}

/** Reads a message. Anything else than one is none. */
export function read(text: string): Flash | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || typeof value.message !== "string" || value.message === "") return undefined;
    const { field, values } = value;
    return {
      kind: value.kind === "error" ? "error" : "done",
      message: value.message,
      ...(typeof field === "string" ? { field } : {}),
      ...(isObject(values) ? { values: Object.fromEntries(Object.entries(values).filter(([, typed]) => typeof typed === "string")) as Record<string, string> } : {}),
    };
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const flash = new FlashMessage();
