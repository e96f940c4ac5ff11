import assert from "node:assert/strict";
import { test } from "node:test";
import { isCrowded } from "./web-server.ts";

test("all addresses of an IPv6 /64 have the connections of one", () => {
  const subscriber = Array.from({ length: 20 }, (_, at) => `2001:db8:0:1::${at.toString(16)}`);
  assert.equal(isCrowded(subscriber, "2001:db8:0:1:ffff::1"), true);
  assert.equal(isCrowded(subscriber.slice(1), "2001:db8:0:1:ffff::1"), false);
  assert.equal(isCrowded(subscriber, "2001:db8:0:2::1"), false);
  assert.equal(isCrowded(Array<string>(20).fill("192.0.2.1"), "192.0.2.2"), false);
  assert.equal(isCrowded(Array<string>(20).fill("192.0.2.1"), "::ffff:192.0.2.1"), true);
});
