import assert from "node:assert/strict";
import { test } from "node:test";
import { crash } from "./crash.ts";

test("nothing answered 250 is lost in 20 kills under load", { timeout: 180_000 }, async (t) => {
  const counts = await crash({ rounds: 20 });
  t.diagnostic(
    `sent ${counts.sent}, acknowledged ${counts.acknowledged}, delivered ${counts.delivered}, repeated ${counts.repeated}`,
  );
  assert.ok(counts.acknowledged > 100, "the load did not get going");
  assert.deepEqual(counts.lost, []);
  assert.deepEqual(counts.altered, []);
});
