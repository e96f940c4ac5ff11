import assert from "node:assert/strict";
import { test } from "node:test";
import { checkWarnings } from "./checks.ts";

test("metrics that others than this machine may read are warned of", () => {
  const warnings = (address: string): number => checkWarnings({ metrics: { address: { address, port: 9469 } } }).length;
  assert.deepEqual(["127.0.0.1", "127.1.2.3", "::1"].map(warnings), [0, 0, 0]);
  assert.deepEqual(["0.0.0.0", "::", "192.168.1.2", "::ffff:10.0.0.1", "2001:db8::1"].map(warnings), [1, 1, 1, 1, 1]);
  assert.deepEqual(checkWarnings({ metrics: null }), []);
});
