const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** "in 29 minutes", "in 42 seconds", "2 hours ago", "now". */
export function fromNow(time: Date, now: Date): string {
  const ms = time.getTime() - now.getTime();
  for (const [unit, size] of units) {
    if (Math.abs(ms) >= size) return relative.format(Math.trunc(ms / size), unit);
  }
  if (ms >= 1_000) return relative.format(Math.trunc(ms / 1_000), "second");
  return ms > -1_000 ? "now" : "under a minute ago"; // nothing waits for it, so it need not be exact
}

/** "14:05" today, "12 Mar, 14:05" on any other day. */
export function at(time: Date, now: Date): string {
  return time.toDateString() === now.toDateString() ? clock.format(time) : dayAndClock.format(time);
}

/** "1 pill", "2 pills". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** A length of time in its largest whole unit: "30 minutes", "90 seconds", "1 day". */
export function span(ms: number): string {
  for (const [unit, size] of units) {
    if (ms >= size && ms % size === 0) return count(ms / size, unit);
  }
  return count(Math.round(ms / 1_000), "second");
}

/** What is left until a time, as a clock that runs down: "0:09", "12:30", "1:05:00". Never less than "0:00". */
export function left(until: Date, now: Date): string {
  const seconds = Math.max(0, Math.ceil((until.getTime() - now.getTime()) / 1_000));
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Enough of a public id to tell a few apart. The whole one is too long for a sentence. */
export function short(publicId: string): string {
  return publicId.length > 12 ? `${publicId.slice(0, 8)}…` : publicId;
}
