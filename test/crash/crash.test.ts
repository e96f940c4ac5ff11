import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { mathRandom, shuffle } from "../../src/base/index.ts";
import { type CrashOptions, crash, mayTrace, pointsFor } from "./crash.ts";
import type { Point } from "./points.ts";

const RANDOM_MOMENTS: readonly null[] = [null, null, null, null, null];
/** Rounds with workers take longer; by chance all points come up in time. */
const WORKER_ROUNDS = 8;

test("nothing answered 250 is lost, nor repeated without a reason, by a kill at each named point and five at random", {
  timeout: 240_000,
}, async (t) => {
  if (!mayTrace()) t.diagnostic("strace is not installed or may not trace: without the points in the kernel");
  await promisesHold(t, [...pointsFor(1), ...RANDOM_MOMENTS]);
});

test("nor with two workers, of which one or both are killed", { timeout: 240_000 }, async (t) => {
  await promisesHold(t, shuffle(pointsFor(2), mathRandom).slice(0, WORKER_ROUNDS), { workers: 2 });
});

async function promisesHold(
  t: TestContext,
  rounds: readonly (Point | null)[],
  options: Omit<CrashOptions, "rounds"> = {},
): Promise<void> {
  const { kills, points, sent, acknowledged, arrived, repeats, ...broken } = await crash({ ...options, rounds });
  t.diagnostic(
    `kills ${kills}, sent ${sent}, acknowledged ${acknowledged}, reached ${arrived}, repeats ${repeats.length}`,
  );
  assert.ok(acknowledged > 50, "the load did not get going");
  assert.deepEqual(broken, { lost: [], altered: [], falseReports: [] });
  assert.deepEqual(
    repeats.filter(({ kill }) => kill === null),
    [],
  );
  // A point that is not passed any more has gone stale: points.ts and preload.ts name what the store and the Maildir do.
  assert.deepEqual(
    [...points].filter(([, { reached }]) => reached === 0),
    [],
  );
}
