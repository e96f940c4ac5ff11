import assert from "node:assert/strict";
import { test } from "node:test";
import { later, SECOND } from "../base/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { Alarm } from "./alarm.ts";

test("an alarm goes off at the moment set last, once, and at none when that was taken back", async () => {
  const { clock, run } = fakeClock();
  const start = clock.now();
  const rung: number[] = [];
  const alarm = new Alarm(clock, () => rung.push(clock.now() - start));
  alarm.set(later(start, 5 * SECOND));
  alarm.set(later(start, 2 * SECOND));
  alarm.set(later(start, 3 * SECOND));
  await run(10 * SECOND);
  assert.deepEqual(rung, [3 * SECOND]);
  alarm.set(later(start, 12 * SECOND));
  alarm.set(null);
  await run(10 * SECOND);
  assert.deepEqual(rung, [3 * SECOND]);
  alarm.set(start);
  await run(0);
  alarm.set(start);
  await run(0);
  assert.deepEqual(rung, [3 * SECOND, 20 * SECOND, 20 * SECOND], "the same moment may be set again when it was");
});
