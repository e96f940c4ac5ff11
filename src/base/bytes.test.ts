import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesEqual, concatBytes, decodeUtf8, decodeUtf8Lenient, EMPTY, encodeUtf8 } from "./bytes.ts";

test("UTF-8 goes there and back, a byte order mark included", () => {
  for (const text of ["", "plain", "Grüße 🚪", "\ufeffmarked"]) assert.equal(decodeUtf8(encodeUtf8(text)), text);
});

test("octets that are no UTF-8 are null to the strict reader and replaced by the lenient one", () => {
  for (const octets of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]]) {
    assert.equal(decodeUtf8(Uint8Array.from(octets)), null);
    assert.match(decodeUtf8Lenient(Uint8Array.from(octets)), /\ufffd/);
  }
});

test("parts are put together in order, and one part alone is not copied", () => {
  const one = encodeUtf8("one");
  assert.equal(concatBytes([one]), one);
  assert.equal(decodeUtf8(concatBytes([one, EMPTY, encodeUtf8(" two")])), "one two");
  assert.equal(concatBytes([]).length, 0);
});

test("octets are equal by value", () => {
  assert.ok(bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert.ok(!bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
  assert.ok(!bytesEqual(Uint8Array.of(1, 2), Uint8Array.of(1)));
});
