const KEY = "medicine-theme"; // public/theme.js reads it before the first paint

type Name = "light" | "dark";

/** The colours: the system's, until the visitor chooses otherwise. */
class Theme {
  #system = $state<Name>("light");
  #chosen = $state<Name | undefined>();

  readonly name: Name = $derived(this.#chosen ?? this.#system);

  constructor() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => (this.#system = dark.matches ? "dark" : "light");
    follow();
    dark.addEventListener("change", follow);
    const chosen = document.documentElement.dataset.theme;
    if (chosen === "light" || chosen === "dark") this.#chosen = chosen;
  }

  /** Changes to the other theme. Back at the system's own, the choice is forgotten. */
  toggle(): void {
    const next: Name = this.name === "dark" ? "light" : "dark";
    this.#chosen = next === this.#system ? undefined : next;
    if (this.#chosen) document.documentElement.dataset.theme = this.#chosen;
    else delete document.documentElement.dataset.theme;
    try {
      if (this.#chosen) localStorage.setItem(KEY, this.#chosen);
      else localStorage.removeItem(KEY);
    } catch {
      // Storage can be forbidden; the choice then lasts as long as the page.
    }
  }
}

export const theme = new Theme();
