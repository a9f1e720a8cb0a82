import { tick } from "svelte";

/** Client-side navigation over the History API. */
class Router {
  path = $state(clean(location.pathname));

  /** The query of the address, with its "?", or "". */
  search = $state(location.search);

  constructor() {
    addEventListener("popstate", () => void this.#show());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Goes to a path of this application. With `replace`, the way back does not lead to the page that is left. */
  async go(href: string, { replace = false } = {}): Promise<void> {
    if (replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    await this.#show();
    if (location.hash === "") scrollTo(0, 0);
  }

  async #show(): Promise<void> {
    const path = clean(location.pathname);
    this.search = location.search;
    if (path === this.path) return;
    this.path = path;
    await tick();
    // The new heading takes the focus, so that a screen reader reads it and Tab goes on from there.
    document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true });
  }

  /** Takes over plain clicks on links to pages of this application; all others are the browser's. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname === location.pathname && link.hash !== "") return;
    event.preventDefault();
    void this.go(link.href);
  }
}

/** "/about/" and "/about" are one page. */
function clean(path: string): string {
  return path.replace(/\/+$/, "") || "/";
}

export const router = new Router();
