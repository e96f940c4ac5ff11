import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type CrashOptions, crash } from "./crash.ts";

test("nothing answered 250 is lost in 20 kills under load", { timeout: 180_000 }, async (t) => {
  await nothingIsLost(t, { rounds: 20 });
});

test("nor with two workers, of which one or both are killed", { timeout: 180_000 }, async (t) => {
  await nothingIsLost(t, { rounds: 8, workers: 2 });
});

async function nothingIsLost(t: TestContext, options: CrashOptions): Promise<void> {
  const counts = await crash(options);
  t.diagnostic(
    `sent ${counts.sent}, acknowledged ${counts.acknowledged}, delivered ${counts.delivered}, repeated ${counts.repeated}`,
  );
  assert.ok(counts.acknowledged > 100, "the load did not get going");
  assert.deepEqual(counts.lost, []);
  assert.deepEqual(counts.altered, []);
}
