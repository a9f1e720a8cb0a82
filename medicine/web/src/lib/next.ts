/** Where a visitor goes after signing in, unless another page sent the visitor there. */
export const HOME = "/dashboard";

/**
 * The path that ?next= of an address names, or {@link HOME}. Only a path of this application is taken, since anybody
 * can write a link to the page to sign in on: one that leads elsewhere afterwards would borrow the trust in this site.
 */
export function nextOf(search: string): string {
  return localPath(new URLSearchParams(search).get("next") ?? "");
}

/** The path itself if it is one of this application, else {@link HOME}. */
export function localPath(path: string): string {
  // Browsers read "\" as "/", and leave out tabs and line ends: both would make "//host" of something harmless.
  if (!/^\/(?![/\\])/.test(path) || /[\p{Cc}\\]/u.test(path)) return HOME;
  const base = "http://here.invalid";
  if (!URL.canParse(path, base)) return HOME;
  const { host, pathname } = new URL(path, base);
  return host !== "here.invalid" || pathname === "/login" || pathname === "/register" ? HOME : path;
}

/** The address of the page to sign in on, which leads back to this path. */
export function signInAddress(path: string): string {
  return path === "/" ? "/login" : `/login?next=${encodeURIComponent(path).replaceAll("%2F", "/")}`;
}
