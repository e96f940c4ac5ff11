import assert from "node:assert/strict";
import { test } from "node:test";
import { HOUR, instant, later } from "../../base/index.ts";
import { clockOf, Life, VirtualLoop } from "./loop.ts";

const START = instant(1_000_000);

function newLoop(thrown: (error: unknown) => void = () => {}): VirtualLoop {
  return new VirtualLoop(START, thrown);
}

test("events come in order of time, and of being set within a moment", async () => {
  const loop = newLoop();
  const seen: string[] = [];
  for (const [delay, name] of [
    [30, "c"],
    [10, "a"],
    [30, "d"],
    [20, "b"],
  ] as const) {
    loop.after(delay, () => seen.push(`${name} at ${loop.now - START}`));
  }
  await loop.run(later(START, 25));
  assert.deepEqual(seen, ["a at 10", "b at 20"]);
  assert.equal(loop.now, later(START, 25));
  await loop.run(later(START, HOUR));
  assert.deepEqual(seen.slice(2), ["c at 30", "d at 30"]);
});

test("all promises of an event settle before the next", async () => {
  const loop = newLoop();
  const seen: string[] = [];
  loop.after(1, () => {
    void (async () => {
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      seen.push("settled");
    })();
  });
  loop.after(1, () => seen.push("next"));
  await loop.run(later(START, 1));
  assert.deepEqual(seen, ["settled", "next"]);
});

test("a cancelled event never comes, however many there are", async () => {
  const loop = newLoop();
  let ran = 0;
  for (let n = 0; n < 5000; n++) {
    const timer = loop.after(n, () => ran++);
    if (n % 10 !== 0) timer.cancel();
  }
  assert.equal(loop.pending, 500);
  await loop.run(later(START, HOUR));
  assert.equal(ran, 500);
  assert.equal(loop.pending, 0);
});

test("what an event throws is told, and the run goes on", async () => {
  const thrown: unknown[] = [];
  const loop = newLoop((error) => thrown.push(error));
  let went = false;
  loop.after(1, () => {
    throw new Error("broken");
  });
  loop.after(2, () => {
    went = true;
  });
  await loop.run(later(START, 5));
  assert.equal(thrown.length, 1);
  assert.ok(went);
});

test("the timers of a program end with it, and its clock may be wrong", async () => {
  const loop = newLoop();
  const life = new Life();
  const clock = clockOf(loop, life, () => -500);
  let ran = false;
  clock.after(10, () => {
    ran = true;
  });
  assert.equal(clock.now(), later(START, -500));
  life.end();
  await loop.run(later(START, 100));
  assert.equal(ran, false);
});

test("a run that is begun in a callback waits for the microtasks before it, as any other", async () => {
  const order = await new Promise<string[]>((resolve) => {
    setImmediate(() => {
      const loop = new VirtualLoop(instant(0), () => {});
      const told: string[] = [];
      loop.after(0, () => told.push("event"));
      void (async () => {
        for (let n = 0; n < 5; n++) await null;
        told.push("settled");
      })();
      void loop.run(instant(1)).then(() => resolve(told));
    });
  });
  assert.deepEqual(order, ["settled", "event"]);
});
