import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { trimBlanks } from "./text.ts";

test("takes spaces and tabs from both ends, and nothing else", () => {
  assert.equal(trimBlanks(" \t a \t b\t "), "a \t b");
  assert.equal(trimBlanks("\u00a0a\r\n"), "\u00a0a\r\n");
  assert.equal(trimBlanks(" \t "), "");
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "a") }), (text) => {
      assert.equal(trimBlanks(text), text.replace(/^[ \t]+/, "").replace(/[ \t]+$/, ""));
    }),
  );
});
