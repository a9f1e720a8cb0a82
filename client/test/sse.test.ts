import { describe, expect, it } from "vitest";
import { PillboxError } from "../src/index.js";
import { MAX_EVENT, reader } from "../src/sse.js";

type Said = [type: string, data: string] | ["retry", number];

function read(chunks: Iterable<Uint8Array>): Said[] {
  const said: Said[] = [];
  const take = reader(
    (type, data) => said.push([type, data]),
    (ms) => said.push(["retry", ms]),
  );
  for (const chunk of chunks) take(chunk);
  return said;
}

const bytes = (text: string) => new TextEncoder().encode(text);

const cases: { name: string; stream: string; want: Said[] }[] = [
  { name: "an event with its type", stream: "event: change\ndata: {}\n\n", want: [["change", "{}"]] },
  { name: "an event without a type", stream: "data: a\n\n", want: [["message", "a"]] },
  { name: "a type that does not outlive its event", stream: "event: a\ndata: 1\n\ndata: 2\n\n", want: [["a", "1"], ["message", "2"]] },
  { name: "a type without data is no event", stream: "event: a\n\ndata: 2\n\n", want: [["message", "2"]] },
  { name: "several lines of data", stream: "data: a\ndata\ndata:\ndata: b\n\n", want: [["message", "a\n\n\nb"]] },
  { name: "empty data", stream: "data\n\ndata:\ndata:\n\n", want: [["message", ""], ["message", "\n"]] },
  { name: "one space is dropped and no more", stream: "data:a\ndata:  b\ndata:\tc\n\n", want: [["message", "a\n b\n\tc"]] },
  { name: "colons in data", stream: "data: a: b:\n\n", want: [["message", "a: b:"]] },
  { name: "CR", stream: "event: x\rdata: a\r\rdata: b\r\r", want: [["x", "a"], ["message", "b"]] },
  { name: "CRLF", stream: "event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", want: [["x", "a"], ["message", "b"]] },
  { name: "all three line ends", stream: "data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r", want: [["message", "a\nb\nc"], ["message", "d"]] },
  { name: "comments", stream: ": hello\n:\ndata: a\n: in between\n\n", want: [["message", "a"]] },
  { name: "a byte order mark, once", stream: "\uFEFFdata: a\n\n\uFEFFdata: b\n\n", want: [["message", "a"]] },
  { name: "retry", stream: "retry: 2000\n\nretry: 2s\nretry: -1\nretry:\nretry: 7\n", want: [["retry", 2000], ["retry", 7]] },
  { name: "unknown fields, other cases and ids", stream: "id: 1\nData: x\ndatas: y\ndata : z\nfoo\ndata: a\n\n", want: [["message", "a"]] },
  { name: "an event that is not finished", stream: "data: a\n\ndata: b\n", want: [["message", "a"]] },
  { name: "letters of two, three and four bytes", stream: "event: é\ndata: 薬💊\n\n", want: [["é", "薬💊"]] },
  { name: "separators that end no line here", stream: "data: a\u2028b\u0085c\u000bd\n\n", want: [["message", "a\u2028b\u0085c\u000bd"]] },
];

describe("a stream", () => {
  it.each(cases)("reads $name", ({ stream, want }) => {
    expect(read([bytes(stream)])).toEqual(want);
  });

  it.each(cases)("reads the same wherever it is cut: $name", ({ stream, want }) => {
    const all = bytes(stream);
    expect(read(Array.from(all, (byte) => Uint8Array.of(byte)))).toEqual(want);
    for (let a = 0; a <= all.length; a++) {
      for (let b = a; b <= all.length; b++) {
        expect(read([all.subarray(0, a), all.subarray(a, b), all.subarray(b)]), `cut at ${a} and ${b}`).toEqual(want);
      }
    }
  });

  it("reads the same in random pieces, from random streams", () => {
    let seed = 20_26;
    const random = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n;
    const parts = ["data", "event", "retry", ":", ": ", " ", "\r", "\n", "\r\n", "\n\n", "\r\n\r\n", "1", "x", "é", "💊", "\uFEFF", "\u2028"];
    for (let round = 0; round < 300; round++) {
      const all = bytes(Array.from({ length: random(60) }, () => parts[random(parts.length)]).join(""));
      const pieces: Uint8Array[] = [];
      for (let from = 0; from < all.length; ) pieces.push(all.subarray(from, (from += random(5))));
      expect(read(pieces)).toEqual(read([all]));
    }
  });

  it("reads on after bytes that are no UTF-8", () => {
    expect(read([Uint8Array.of(...bytes("data: a"), 0xff, 0xc3), bytes("\n\ndata: b\n\n")])).toEqual([
      ["message", "a\uFFFD\uFFFD"],
      ["message", "b"],
    ]);
  });

  it.each([
    ["one line", "x", "data: "],
    ["a comment", "x", ":"],
    ["many lines", "data: 0123456789\n", ""],
  ])("is given up when an event grows without end: %s", (_, piece, start) => {
    const take = reader(
      () => expect.unreachable(),
      () => expect.unreachable(),
    );
    take(bytes(start));
    const chunk = bytes(piece.repeat(65_536 / piece.length));
    let taken = 0;
    expect(() => {
      for (; taken < 2 * MAX_EVENT; taken += chunk.length) take(chunk);
    }).toThrow(PillboxError);
    expect(taken).toBeGreaterThan(MAX_EVENT / 2);
  });

  it("takes a large event", () => {
    const large = "x".repeat(MAX_EVENT - 10);
    const all = bytes(`data: ${large}\n\n`);
    const pieces: Uint8Array[] = [];
    for (let from = 0; from < all.length; from += 16_384) pieces.push(all.subarray(from, from + 16_384));
    expect(read(pieces)).toEqual([["message", large]]);
  });
});
