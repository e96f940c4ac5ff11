import assert from "node:assert/strict";
import { test } from "node:test";
import { asError, codeOf, messageOf } from "./thrown.ts";

test("whatever is thrown can be logged and told", () => {
  const error = new TypeError("wrong");
  assert.equal(asError(error), error);
  assert.equal(asError("thrown").message, "thrown");
  assert.equal(messageOf(error), "wrong");
  for (const thrown of ["text", 5, null, undefined]) {
    assert.equal(messageOf(thrown), String(thrown));
    assert.equal(codeOf(thrown), String(thrown));
  }
});

test("an error of the system is told by its code, another in full", () => {
  assert.equal(codeOf(Object.assign(new Error("ENOENT: no such file, open '/x'"), { code: "ENOENT" })), "ENOENT");
  assert.equal(codeOf(new TypeError("wrong")), "TypeError: wrong");
});
