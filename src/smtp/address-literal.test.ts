import assert from "node:assert/strict";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { isAddressLiteral, literalAddress, parseAddressLiteral, parseDomain } from "./index.ts";

test("address literals become canonical", () => {
  for (const [text, expected, address] of [
    ["[192.0.2.1]", "[192.0.2.1]", "192.0.2.1"],
    ["[192.000.02.001]", "[192.0.2.1]", "192.0.2.1"],
    ["[ipv6:2001:DB8:0:0:0:0:0:1]", "[IPv6:2001:db8::1]", "2001:db8::1"],
    ["[IPv6:::]", "[IPv6:::]", "::"],
    ["[IPv6:::1]", "[IPv6:::1]", "::1"],
    ["[IPv6:1::]", "[IPv6:1::]", "1::"],
    ["[IPv6:1:0:0:2:0:0:0:3]", "[IPv6:1:0:0:2::3]", "1:0:0:2::3"],
    ["[IPv6:1:0:0:2:3:0:0:4]", "[IPv6:1::2:3:0:0:4]", "1::2:3:0:0:4"],
    ["[IPv6:1:0:2:3:4:5:6:7]", "[IPv6:1:0:2:3:4:5:6:7]", "1:0:2:3:4:5:6:7"],
    ["[IPv6:1::2:3:4:5:6:7]", "[IPv6:1:0:2:3:4:5:6:7]", "1:0:2:3:4:5:6:7"],
    ["[IPv6:::FFFF:192.0.2.1]", "[IPv6:::ffff:192.0.2.1]", "::ffff:192.0.2.1"],
    ["[IPv6:::ffff:c000:201]", "[IPv6:::ffff:192.0.2.1]", "::ffff:192.0.2.1"],
    ["[IPv6:64:ff9b::192.0.2.33]", "[IPv6:64:ff9b::c000:221]", "64:ff9b::c000:221"],
    ["[Tag-1:a!>b]", "[Tag-1:a!>b]", null],
  ] as const) {
    const literal = unwrap(parseAddressLiteral(text));
    assert.equal(literal, expected);
    assert.equal(literalAddress(literal), address);
    assert.equal(unwrap(parseAddressLiteral(literal)), literal);
    assert.equal(isAddressLiteral(literal), true);
  }
  assert.equal(isAddressLiteral(unwrap(parseDomain("a.b"))), false);
});

test("what is no address literal is refused", () => {
  for (const text of [
    "",
    "[",
    "[]",
    "192.0.2.1",
    "[192.0.2]",
    "[192.0.2.256]",
    "[192.0.2.1.1]",
    "[192.0.2.0001]",
    "[0x7f.0.0.1]",
    "[ 192.0.2.1]",
    "[2001:db8::1]x",
    "[IPv6:]",
    "[IPv6::]",
    "[IPv6:1:2:3:4:5:6:7]",
    "[IPv6:1:2:3:4:5:6:7:8:9]",
    "[IPv6:1::2::3]",
    "[IPv6::::]",
    "[IPv6:1:2:3:4:5:6:7::8]",
    "[IPv6:12345::]",
    "[IPv6:fe80::1%eth0]",
    "[IPv6:192.0.2.1::]",
    "[IPv6:::192.0.2.1:1]",
    "[IPv6:::192.0.2.256]",
    "[IPv6:1:]",
    "[IPv6::1]",
    "[tag:]",
    "[-:a]",
    "[tag:a[b]",
    "[tag:a b]",
    "[tag:\u00e9]",
    `[tag:${"a".repeat(255)}]`,
  ]) {
    assert.equal(parseAddressLiteral(text).ok, false, text);
  }
});
