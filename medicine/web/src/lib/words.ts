const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** "in 29 minutes", "2 hours ago", "now". */
export function fromNow(time: Date, now: Date): string {
  const ms = time.getTime() - now.getTime();
  for (const [unit, size] of units) {
    if (Math.abs(ms) >= size) return relative.format(Math.trunc(ms / size), unit);
  }
  return Math.abs(ms) < 1_000 ? "now" : ms > 0 ? "in under a minute" : "under a minute ago";
}

/** "14:05" today, "12 Mar, 14:05" on any other day. */
export function at(time: Date, now: Date): string {
  return time.toDateString() === now.toDateString() ? clock.format(time) : dayAndClock.format(time);
}

/** "1 pill", "2 pills". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
