import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Departure, Waiting } from "./departure.ts";

const SYNC = 20;

/** After a few batches of `messages` on a disk whose sync takes `sync`; the last came back at `now`. */
function experienced(messages: number, { sync = SYNC, now = 1000 } = {}): Departure {
  const departure = new Departure();
  for (let n = 0; n < 4; n++) departure.answered(now, { sync, messages, waiting: 0 });
  return departure;
}

function waiting(messages: number, since: number): Waiting {
  const all = new Waiting();
  for (let n = 0; n < messages; n++) all.add("keep", since);
  return all;
}

test("on a quick disk, and before the disk is known, no message waits", () => {
  for (const departure of [experienced(200, { sync: 0.1 }), new Departure()]) {
    assert.equal(departure.isSlow, false);
    assert.equal(departure.wait(1000, waiting(1, 1000)), 0);
  }
});

test("on a quick disk outcomes wait a moment for the next message while messages come, and only then", () => {
  const quick = experienced(1, { sync: 0.1, now: 1000 });
  const outcomes = new Waiting();
  outcomes.add("settle", 1000.5);
  const wait = quick.wait(1000.5, outcomes);
  assert.ok(wait > 0 && wait <= 5, `${wait}`);
  assert.equal(quick.wait(1000.5 + wait, outcomes), 0);
  const late = new Waiting();
  late.add("settle", 1050);
  assert.equal(quick.wait(1050, late), 0, "no message has come for long");
  assert.equal(new Departure().wait(1050, late), 0);
  outcomes.add("keep", 1001);
  assert.equal(quick.wait(1001, outcomes), 0, "here it is");
});

test("one slow sync among quick ones makes no slow disk", () => {
  const departure = new Departure();
  for (const sync of [0.1, 80, 0.1, 60]) departure.answered(0, { sync, messages: 1, waiting: 0 });
  assert.equal(departure.isSlow, false);
  for (let n = 0; n < 4; n++) departure.answered(0, { sync: 30, messages: 1, waiting: 0 });
  assert.equal(departure.isSlow, true);
  departure.answered(0, { sync: null, messages: 0, waiting: 0 });
  assert.equal(departure.isSlow, true, "a batch without a sync says nothing");
});

test("an outcome waits for the next message, for as long as a sync takes and no longer", () => {
  const departure = experienced(1);
  const outcomes = new Waiting();
  outcomes.add("settle", 1000);
  assert.equal(departure.wait(1000, outcomes), SYNC);
  outcomes.add("settle", 1010);
  assert.equal(departure.wait(1010, outcomes), SYNC - 10, "counted from the first");
  assert.equal(departure.wait(1020, outcomes), 0);
  outcomes.add("keep", 1012);
  assert.equal(departure.wait(1012, outcomes), 0, "the one that was answered is back");
});

test("what somebody waits for that is no message goes at once, and takes all along", () => {
  const departure = experienced(20);
  const all = waiting(3, 1000);
  assert.ok(departure.wait(1000, all) > 0);
  all.add("chunk", 1000);
  assert.equal(departure.wait(1000, all), 0);
});

test("messages wait for the senders that were just answered, for less than a sync", () => {
  const departure = experienced(20);
  assert.equal(departure.wait(1001, waiting(19, 1001)), 14);
  assert.equal(departure.wait(1001, waiting(20, 1001)), 0, "all are back");
  assert.equal(departure.wait(1015, waiting(5, 1001)), 0, "long enough");
});

test("those who waited during a sync are joined by those it answered, so that two groups become one", () => {
  const departure = experienced(50);
  departure.answered(2000, { sync: SYNC, messages: 50, waiting: 150 });
  assert.ok(departure.wait(2000, waiting(150, 1990)) > 0);
  assert.equal(departure.wait(2005, waiting(200, 1990)), 0);
});

test("senders that do not come back are waited for less and less often", () => {
  const departure = experienced(20);
  let gathered = 0;
  const BATCHES = 1000;
  for (let n = 0; n < BATCHES; n++) {
    departure.answered(n * 50, { sync: SYNC, messages: 20, waiting: 0 });
    if (departure.wait(n * 50, waiting(2, n * 50)) > 0) gathered++;
    departure.left(2);
  }
  assert.ok(gathered >= 10 && gathered < BATCHES / 40, `${gathered}`);
  departure.answered(0, { sync: SYNC, messages: 20, waiting: 0 });
  while (departure.wait(0, waiting(2, 0)) === 0) {
    departure.left(2);
    departure.answered(0, { sync: SYNC, messages: 20, waiting: 0 });
  }
  departure.left(20);
  departure.answered(0, { sync: SYNC, messages: 20, waiting: 0 });
  assert.ok(departure.wait(0, waiting(2, 0)) > 0, "it pays again");
});

test("whatever happened and however slow the disk, nothing waits longer than 100 ms", () => {
  const batch = fc.record({
    sync: fc.option(fc.double({ min: 0, max: 5000, noNaN: true })),
    messages: fc.nat(300),
    waiting: fc.nat(300),
    left: fc.nat(300),
  });
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 30 }), fc.nat(300), (batches, messages) => {
      const departure = new Departure();
      for (const { left, ...came } of batches) {
        departure.answered(1000, came);
        departure.left(left);
      }
      departure.answered(1000, { sync: 5000, messages: 300, waiting: 0 });
      const all = waiting(messages, 1000);
      if (messages === 0) all.add("settle", 1000);
      assert.ok(departure.wait(1000, all) <= 100);
      assert.equal(departure.wait(1100, all), 0);
    }),
  );
});
