import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDomain } from "./index.ts";

test("domains are lower-cased and checked label by label", () => {
  for (const [text, expected] of [
    ["Example.ORG", "example.org"],
    ["a", "a"],
    ["1.2.3.x", "1.2.3.x"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
    ["BÜCHER.example", "bücher.example"],
    [`${"a".repeat(63)}.b`, `${"a".repeat(63)}.b`],
    ["例え.テスト", "例え.テスト"],
  ] as const) {
    assert.deepEqual(parseDomain(text), { ok: true, value: expected });
  }
});

test("what is no domain is refused", () => {
  for (const text of [
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "-a.b",
    "a-.b",
    "a_b.c",
    "a b",
    "a\r\n",
    "a\0",
    "a@b",
    "127.0.0.1",
    "a.1",
    "[127.0.0.1]",
    `${"a".repeat(64)}.b`,
    "bücher.",
    "ü..b",
    "-ü.b",
    "ü\u0085.b",
    "ü\u2028.b",
    "ü b",
    "ü。b", // U+3002, a dot to IDNA
    "u\u0308.b", // not NFC
    "a．b", // full-width dot
    "\u212a.example", // Kelvin sign, whose lower case is ASCII
    "ü_a.b",
    "\ud800.b",
    `${"ü".repeat(60)}.b`,
  ]) {
    assert.equal(parseDomain(text).ok, false, JSON.stringify(text));
  }
});

test("a domain has at most 255 octets", () => {
  const label = "a".repeat(63);
  const most = `${label}.${label}.${label}.${label}`;
  assert.equal(parseDomain(most).ok, true);
  assert.deepEqual(parseDomain(`${most}a`), { ok: false, error: { kind: "tooLong", part: "domain", limit: 255 } });
  const wide = `${"例".repeat(40)}.`.repeat(3); // 123 characters, 363 octets
  assert.deepEqual(parseDomain(`${wide}b`), { ok: false, error: { kind: "tooLong", part: "domain", limit: 255 } });
});
