import { expect, it } from "vitest";
import { fromNow, left, short, span } from "../src/lib/words.js";

const now = new Date("2026-03-01T12:00:00Z");
const later = (ms: number) => new Date(now.getTime() + ms);

it.each([
  [30 * 60_000 + 5, "in 30 minutes"],
  [59_999, "in 59 seconds"],
  [999, "now"],
  [-999, "now"],
  [-1_000, "under a minute ago"],
  [-61_000, "1 minute ago"],
  [-7_200_000, "2 hours ago"],
])("%d ms from now is %s", (ms, words) => {
  expect(fromNow(later(ms), now)).toBe(words);
});

it.each([
  [1, "0:01"],
  [9_001, "0:10"],
  [125_000, "2:05"],
  [3_600_000, "1:00:00"],
  [0, "0:00"],
  [-5_000, "0:00"],
])("%d ms that are left are shown as %s", (ms, clock) => {
  expect(left(later(ms), now)).toBe(clock);
});

it.each([
  [1_800_000, "30 minutes"],
  [3_600_000, "1 hour"],
  [86_400_000, "1 day"],
  [90_000, "90 seconds"],
  [1_500, "2 seconds"],
])("a length of %d ms is %s", (ms, words) => {
  expect(span(ms)).toBe(words);
});

it("shortens a public id only where that saves something", () => {
  expect(short("nQtEvgyYE13fjaELO4YHSD")).toBe("nQtEvgyY…");
  expect(short("a-short-one")).toBe("a-short-one");
});
