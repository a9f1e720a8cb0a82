import { expect, it } from "vitest";
import { read } from "../src/lib/flash.js";

it("reads what the server says about a form", () => {
  expect(read('{"kind":"error","message":"No.","field":"username","values":{"username":"ilmer","n":7}}')).toEqual({
    kind: "error",
    message: "No.",
    field: "username",
    values: { username: "ilmer" },
  });
  expect(read('{"kind":"done","message":"Yes."}')).toEqual({ kind: "done", message: "Yes." });
});

it.each(["", "null", "[]", '"x"', "{}", '{"message":""}', '{"message":7}', '{"message":"cut'])("takes %j for no message", (text) => {
  expect(read(text)).toBeUndefined();
});
