import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, later, SECOND } from "../base/index.ts";
import { Destinations } from "./destinations.ts";
import { noLimit } from "./limit.ts";

const NOW = instant(1_000_000);

function destinations(limits: Record<string, { connections?: number; messagesPerMinute?: number }> = {}) {
  return new Destinations<string>({ destinationStart: 5, destinationMost: 20 }, (name) => ({
    ...noLimit,
    ...limits[name],
  }));
}

test("a destination begins with what is allowed for one that nothing is known of, and never beyond its limit", () => {
  const all = destinations({ "small.test": { connections: 2, messagesPerMinute: 30 } });
  const { window, most, interval } = all.of("x.test");
  assert.deepEqual([window, most, interval], [5, 20, 0]);
  assert.equal(all.of("x.test"), all.get("x.test"));
  const small = all.of("small.test");
  assert.deepEqual([small.window, small.most, small.interval], [2, 2, 2 * SECOND]);
  assert.equal(all.size, 2);
});

test("answers widen the window to its most, broken connections halve it, and at one the destination is suspended", () => {
  const all = destinations({ "x.test": { connections: 6 } });
  const x = all.of("x.test");
  const learn = (experience: Parameters<typeof all.learn>[2]): readonly [suspend: boolean, window: number] => {
    const suspend = all.learn("x.test", x, experience, later(NOW, SECOND));
    return [suspend, x.window];
  };
  assert.deepEqual(learn("answered"), [false, 6]);
  assert.deepEqual(learn("answered"), [false, 6]);
  assert.deepEqual(learn("nothing"), [false, 6]);
  assert.deepEqual(learn("connectionTrouble"), [false, 3]);
  assert.deepEqual(learn("connectionTrouble"), [false, 1]);
  assert.deepEqual(learn("connectionTrouble"), [true, 1]);
  assert.deepEqual(learn("answered"), [false, 2]);
  assert.deepEqual(learn("hostTrouble"), [true, 1]);
  assert.deepEqual(learn("busy"), [false, 1]);
  assert.equal(x.notBefore, later(NOW, SECOND));
});

test("what was learned outlives the destination, within bounds; what is in hand or suspended stays", () => {
  const all = destinations();
  const x = all.of("x.test");
  x.window = 9;
  x.quick = true;
  x.turns.add("job", 0, "");
  all.forget("x.test", x);
  assert.equal(all.get("x.test"), x, "a job waits");
  x.turns.take();
  x.suspendedUntil = NOW;
  all.forget("x.test", x);
  assert.equal(all.get("x.test"), x, "suspended");
  x.suspendedUntil = null;
  all.forget("x.test", x);
  assert.equal(all.get("x.test"), undefined);
  assert.equal(all.isQuick("x.test"), true);
  assert.deepEqual([all.of("x.test").window, all.of("x.test").quick], [9, true]);
  all.forget("x.test", all.of("x.test"));
  for (let n = 0; n < 10_000; n++) all.forget(`${n}.test`, all.of(`${n}.test`));
  assert.equal(all.isQuick("x.test"), false, "the oldest");
  assert.equal(all.of("x.test").window, 5);
});

test("of too many suspended destinations the oldest that nothing is in hand for is forgotten", () => {
  const all = destinations();
  for (let n = 0; n <= 10_000; n++) {
    const destination = all.of(`${n}.test`);
    destination.suspendedUntil = NOW;
    if (n === 0) destination.running = 1;
    all.forget(`${n}.test`, destination);
  }
  assert.equal(all.size, 10_000);
  assert.ok(all.get("0.test") !== undefined && all.get("1.test") === undefined);
});

test("the quick are named, those known last first", () => {
  const all = destinations();
  for (const name of ["a.test", "b.test", "c.test"]) all.of(name).quick = name !== "b.test";
  all.forget("a.test", all.of("a.test"));
  assert.deepEqual(all.quickOnes(5), ["c.test", "a.test"]);
  assert.deepEqual(all.quickOnes(1), ["c.test"]);
});

test("an answer dissolves the line of those that come back", () => {
  const all = destinations();
  const x = all.of("x.test");
  const from = later(NOW, SECOND);
  assert.equal(all.returnAt("x.test", from, NOW), from);
  assert.ok(all.returnAt("x.test", from, NOW) > from);
  all.learn("x.test", x, "answered", from);
  assert.equal(all.returnAt("x.test", from, NOW), from);
});
