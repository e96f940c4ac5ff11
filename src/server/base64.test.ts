import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../base/index.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";

test("agrees with Node on what it writes, and reads it back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
      const text = encodeBase64(octets);
      assert.equal(text, Buffer.from(octets).toString("base64"));
      assert.deepEqual(decodeBase64(encodeUtf8(text)), octets);
    }),
  );
});

for (const text of [
  "a",
  "aa",
  "aaa",
  "aa=",
  "====",
  "=aaa",
  "a===",
  "aa==aaaa",
  "aa=a",
  "a a=",
  "aaa\n",
  "aa-_",
  "ab==",
  "aab=",
  "ää",
]) {
  test(`refuses ${JSON.stringify(text)}`, () => assert.equal(decodeBase64(encodeUtf8(text)), null));
}

test("refuses any octet outside the alphabet", () => {
  for (let octet = 0; octet < 256; octet++) {
    const allowed = /[A-Za-z0-9+/]/.test(String.fromCharCode(octet));
    assert.equal(decodeBase64(Uint8Array.of(0x41, octet, 0x41, 0x41)) !== null, allowed, `octet ${octet}`);
  }
});
