import { toError } from "./api.js";
import { router } from "./router.svelte.js";
import { toasts } from "./toasts.svelte.js";
import { visitor } from "./visitor.svelte.js";

/** Signs out and goes Home. It never rejects: what goes wrong is shown. */
export async function leave(): Promise<void> {
  try {
    // First Home, then signed out: a page for members would otherwise send the visitor to sign in again.
    await visitor.leave(() => void router.go("/"));
    toasts.show("info", "You are signed out.");
  } catch (error) {
    toasts.show("error", toError(error).message);
  }
}
