import assert from "node:assert/strict";
import { test } from "node:test";
import { inNetworks } from "./networks.ts";

test("addresses inside and outside, IPv4 in its mapped form too", () => {
  const inside = inNetworks(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]);
  for (const address of ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.1", "2001:db8:1::", "::1"]) {
    assert.equal(inside(address), true, address);
  }
  for (const address of ["11.0.0.1", "192.0.2.2", "2001:db9::", "::", "::ffff:11.0.0.1", "unknown", ""]) {
    assert.equal(inside(address), false, address);
  }
  assert.equal(inNetworks([])("127.0.0.1"), false);
  assert.equal(inNetworks(["0.0.0.0/0"])("::1"), false);
});

test("what is no network is a mistake of the caller", () => {
  for (const network of ["", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/8/8", "::/129", "example.org", "10.0.0.0/"]) {
    assert.throws(() => inNetworks([network]), TypeError, network);
  }
});
