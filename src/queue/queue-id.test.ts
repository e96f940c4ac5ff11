import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Clock, instant } from "../base/index.ts";
import { formatQueueId, parseQueueId, QueueIdSource, queueIdInstant, queueIdNumber } from "./queue-id.ts";

test("an id is 11 characters and comes back as its number, in the same order", () => {
  const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(number, number, (a, b) => {
      const [first, second] = [formatQueueId(a), formatQueueId(b)];
      assert.equal(first.length, 11);
      assert.equal(queueIdNumber(first), a);
      assert.equal(parseQueueId(first), first);
      assert.equal(first < second, a < b);
    }),
  );
});

test("an id is read in any case and with its look-alikes, and nothing else is", () => {
  assert.equal(parseQueueId("0svkxb8o00l"), "0SVKXB80001");
  for (const text of ["", "0SVKXB8000", "0SVKXB800000", "0SVKXB8000U", "0SVKXB8-000", " 0SVKXB80000", "ZZZZZZZZZZZ"]) {
    assert.equal(parseQueueId(text), null, text);
  }
});

test("ids grow also when the clock steps back, and past 4096 in a millisecond", () => {
  let now = 1_800_000_000_000;
  const clock: Clock = { now: () => instant(now), after: () => ({ cancel() {} }) };
  const source = new QueueIdSource(clock);
  const ids = [source.next()];
  assert.equal(queueIdInstant(source.next()), now);
  now -= 5000;
  for (let n = 0; n < 10_000; n++) ids.push(source.next());
  now += 10_000;
  ids.push(source.next());
  assert.equal(queueIdInstant(source.next()), now);
  assert.deepEqual(ids, [...new Set(ids)].sort());
});

test("ids start behind those in use", () => {
  const clock: Clock = { now: () => instant(0), after: () => ({ cancel() {} }) };
  assert.equal(queueIdNumber(new QueueIdSource(clock, 77).next()), 78);
});

test("sources of different lanes never make the same id, at the same time or after a step back", () => {
  let now = 1_800_000_000_000;
  const clock: Clock = { now: () => instant(now), after: () => ({ cancel() {} }) };
  const sources = [0, 1, 63].map((lane) => new QueueIdSource(clock, 77, lane));
  const made = sources.map((source) => Array.from({ length: 500 }, () => source.nextNumber()));
  now -= 3;
  for (const [at, source] of sources.entries()) made[at]?.push(source.nextNumber());
  for (const ids of made)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    );
  assert.equal(new Set(made.flat()).size, 3 * 501);
  assert.deepEqual(
    made.map((ids) => [...new Set(ids.map((id) => id % 64))]),
    [[0], [1], [63]],
  );
  assert.equal(queueIdInstant(new QueueIdSource(clock, 0, 63).next()), now);
  for (const lane of [-1, 64, 0.5]) assert.throws(() => new QueueIdSource(clock, 0, lane), RangeError);
});
