import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, type Instant, instant } from "../base/index.ts";
import { Resting } from "./resting.ts";

/** A clock that is moved by hand. */
class HandClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>();

  now(): Instant {
    return instant(this.#now);
  }

  after(delay: number, action: () => void) {
    const timer = { at: this.#now + delay, action };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  async pass(time: number): Promise<void> {
    this.#now += time;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.action();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A measurement that comes to its end when it is told to. */
function scene() {
  const clock = new HandClock();
  const ends: ((value: number | Error) => void)[] = [];
  const take = (): Promise<number> =>
    new Promise((resolve, reject) => {
      ends.push((value) => (value instanceof Error ? reject(value) : resolve(value)));
    });
  const resting = new Resting({ take, clock });
  return { clock, ends, resting };
}

test("what is quick is new at each question, but for those of the same second", async () => {
  const { clock, ends, resting } = scene();
  const first = resting.latest();
  ends[0]?.(1);
  assert.deepEqual(await first, { value: 1, at: 1000 });
  await clock.pass(999);
  assert.deepEqual(await resting.latest(), { value: 1, at: 1000 });
  assert.equal(ends.length, 1);
  await clock.pass(1);
  const second = resting.latest();
  ends[1]?.(2);
  assert.deepEqual(await second, { value: 2, at: 2000 });
});

test("what is slow is not waited for, is begun once for all who ask, and rests by what it took", async () => {
  const { clock, ends, resting } = scene();
  const asked = [resting.latest(), resting.latest()];
  await clock.pass(250);
  assert.deepEqual(await Promise.all(asked), [null, null]);
  await clock.pass(1750);
  ends[0]?.(1);
  await clock.pass(0);
  assert.equal(ends.length, 1);
  assert.deepEqual(await resting.latest(), { value: 1, at: 1000 });
  // It took two seconds: it rests for a hundred.
  await clock.pass(99_999);
  assert.deepEqual(await resting.latest(), { value: 1, at: 1000 });
  assert.equal(ends.length, 1);
  await clock.pass(1);
  const late = resting.latest();
  assert.equal(ends.length, 2);
  await clock.pass(250);
  assert.deepEqual(await late, { value: 1, at: 1000 }, "the last one, with its age");
});

test("a failure leaves the last value, and is no reason to try without rest", async () => {
  const { clock, ends, resting } = scene();
  const first = resting.latest();
  ends[0]?.(1);
  await first;
  await clock.pass(1000);
  const second = resting.latest();
  ends[1]?.(new Error("locked"));
  assert.deepEqual(await second, { value: 1, at: 1000 });
  await clock.pass(500);
  await resting.latest();
  assert.equal(ends.length, 2);
});
