import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../base/index.ts";
import { encodeLine, hasControls, lowerAscii, replaceControls, utf8Length } from "./text.ts";

test("the length of a text in UTF-8 is that of its octets, and a line is encoded to them", () => {
  const boundary = fc.constantFrom("\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\u{10000}");
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "binary-ascii" }),
    fc.string({ unit: boundary }),
  );
  fc.assert(
    fc.property(text, (sample) => {
      assert.equal(utf8Length(sample), encodeUtf8(sample).length);
      assert.deepEqual(encodeLine(sample), encodeUtf8(sample));
    }),
  );
  for (const edge of ["\u007f", "\u0080", "\u07ff", "\u0800", "\uffff", "\u{10000}"]) {
    assert.equal(utf8Length(edge), encodeUtf8(edge).length);
  }
});

test("controls are C0, DEL, C1 and the line separators of Unicode, and nothing else", () => {
  for (let unit = 0; unit <= 0xffff; unit++) {
    const control = unit < 0x20 || (unit >= 0x7f && unit < 0xa0) || unit === 0x2028 || unit === 0x2029;
    assert.equal(hasControls(String.fromCharCode(unit)), control);
  }
  assert.equal(replaceControls("a\r\nb\u0085c"), "a  b c");
});

test("lower case is of ASCII only", () => {
  assert.equal(lowerAscii("AZ\u212aÜ"), "az\u212aÜ");
});
