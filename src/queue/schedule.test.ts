import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HOUR, instant, MINUTE, SECOND } from "../base/index.ts";
import { type Limit, noLimit } from "./limit.ts";
import { Schedule } from "./schedule.ts";

const limits = { total: 10, destinationStart: 2, destinationMost: 4 };

function started(schedule: Schedule<string>): string[] {
  const jobs: string[] = [];
  for (let next = schedule.next(); next !== null; next = schedule.next()) jobs.push(next.job);
  return jobs;
}

test("destinations take turns, whatever the length of their queues", () => {
  const schedule = new Schedule<string>({ ...limits, destinationStart: 3 });
  for (const n of [1, 2, 3, 4, 5]) schedule.add("a", `a${n}`);
  schedule.add("b", "b1");
  schedule.add("c", "c1");
  assert.deepEqual(started(schedule), ["a1", "b1", "c1", "a2", "a3"]);
  assert.equal(schedule.pending, 2);
});

test("a higher priority goes first, at its destination and among destinations, and within one each has its turn", () => {
  const schedule = new Schedule<string>({ ...limits, destinationStart: 3 });
  schedule.add("a", "a bulk", -3);
  schedule.add("a", "a1");
  schedule.add("a", "a2");
  schedule.add("b", "b1");
  schedule.add("b", "b urgent", 9);
  schedule.add("a", "a urgent", 4);
  schedule.add("a", "a urgent too", 4);
  assert.equal(schedule.pending, 7);
  assert.deepEqual(started(schedule), ["b urgent", "a urgent", "a urgent too", "b1", "a1"]);
  schedule.finished("a", "answered", instant(0));
  assert.deepEqual(started(schedule), ["a2", "a bulk"]);
  assert.equal(schedule.pending, 0);
});

test("a destination that is full is passed over, whatever waits for it", () => {
  const schedule = new Schedule<string>({ ...limits, destinationStart: 1 });
  schedule.add("a", "a1");
  assert.deepEqual(started(schedule), ["a1"]);
  schedule.add("a", "a urgent", 9);
  schedule.add("b", "b bulk", -9);
  assert.deepEqual(started(schedule), ["b bulk"]);
  assert.deepEqual(schedule.finished("a", "hostTrouble", instant(5)), ["a urgent"]);
  assert.deepEqual(started(schedule), []);
});

test("the total bounds all destinations together", () => {
  const schedule = new Schedule<string>({ ...limits, total: 3 });
  for (const name of ["a", "b", "c", "d"]) schedule.add(name, name);
  assert.deepEqual(started(schedule), ["a", "b", "c"]);
  schedule.finished("b", "answered", instant(0));
  assert.deepEqual(started(schedule), ["d"]);
});

test("the total bounds those that answer in good time, too", () => {
  const schedule = new Schedule<string>({ ...limits, total: 3 });
  const names = ["a", "b", "c", "d"];
  for (const name of names) {
    schedule.add(name, name);
    assert.deepEqual(started(schedule), [name]);
    schedule.finished(name, "answered", instant(0));
  }
  for (const name of names) schedule.add(name, name);
  assert.deepEqual(started(schedule), ["a", "b", "c"]);
});

test("concurrency grows with each answer up to the most", () => {
  const schedule = new Schedule<string>(limits);
  for (let n = 0; n < 20; n++) schedule.add("a", `${n}`);
  assert.equal(started(schedule).length, 2);
  const running: number[] = [];
  for (let n = 0; n < 4; n++) {
    schedule.finished("a", "answered", instant(0));
    started(schedule);
    running.push(schedule.running);
  }
  assert.deepEqual(running, [3, 4, 4, 4]);
});

test("connection trouble halves the window, and at one suspends", () => {
  const schedule = new Schedule<string>({ ...limits, destinationStart: 4 });
  for (let n = 0; n < 9; n++) schedule.add("a", `${n}`);
  assert.equal(started(schedule).length, 4);
  assert.deepEqual(schedule.finished("a", "connectionTrouble", instant(50)), []);
  assert.deepEqual(schedule.finished("a", "connectionTrouble", instant(50)), []);
  assert.equal(started(schedule).length, 0);
  assert.deepEqual(schedule.finished("a", "connectionTrouble", instant(50)), ["4", "5", "6", "7", "8"]);
  assert.equal(schedule.suspendedUntil("a", instant(49)), 50);
});

test("host trouble suspends at once, only this destination, and one probe decides what follows", () => {
  const schedule = new Schedule<string>(limits);
  for (const job of ["a1", "a2", "a3"]) schedule.add("a", job);
  schedule.add("b", "b1");
  assert.deepEqual(started(schedule), ["a1", "b1", "a2"]);
  assert.deepEqual(schedule.finished("a", "hostTrouble", instant(100)), ["a3"]);
  schedule.finished("a", "nothing", instant(0));
  assert.equal(schedule.suspendedUntil("a", instant(99)), 100);
  assert.equal(schedule.suspendedUntil("b", instant(99)), null);
  assert.equal(schedule.suspendedUntil("a", instant(100)), null);
  for (const job of ["a4", "a5", "a6"]) schedule.add("a", job);
  assert.deepEqual(started(schedule), ["a4"]);
  schedule.finished("a", "answered", instant(0));
  assert.deepEqual(started(schedule), ["a5", "a6"]);
});

test("resume forgets suspensions, drain takes out what has not started", () => {
  const schedule = new Schedule<string>(limits);
  for (const job of ["a1", "a2", "a3"]) schedule.add("a", job);
  started(schedule);
  assert.deepEqual(schedule.drain(), ["a3"]);
  schedule.finished("a", "hostTrouble", instant(100));
  schedule.resume();
  assert.equal(schedule.suspendedUntil("a", instant(1)), null);
  assert.deepEqual([schedule.running, schedule.pending], [1, 0]);
});

test("destinations without a job are forgotten", () => {
  const schedule = new Schedule<string>(limits);
  for (let n = 0; n < 100; n++) {
    schedule.add(`d${n}`, "job");
    schedule.next();
    schedule.finished(`d${n}`, "answered", instant(0));
  }
  assert.equal(schedule.destinations, 0);
});

test("a long queue of one destination keeps its order", () => {
  const schedule = new Schedule<string>({ total: 1, destinationStart: 1, destinationMost: 1 });
  const jobs = Array.from({ length: 5000 }, (_, n) => `${n}`);
  for (const job of jobs) schedule.add("a", job);
  const order = jobs.map(() => {
    const job = schedule.next()?.job;
    schedule.finished("a", "answered", instant(0));
    return job;
  });
  assert.deepEqual(order, jobs);
});

test("a sender with much mail for a destination delays nobody else's", () => {
  const schedule = new Schedule<string>({ ...limits, destinationStart: 1 });
  for (let n = 0; n < 1000; n++) schedule.add("a", `bulk ${n}`, 0, "bulk");
  schedule.add("a", "single", 0, "other");
  const order = Array.from({ length: 3 }, () => {
    const job = schedule.next()?.job;
    schedule.finished("a", "nothing", instant(0));
    return job;
  });
  assert.ok(order.includes("single"), order.join());
});

const SLOW = 60_000;

test("slow destinations never hold all slots: a quarter is for those that answer in good time", () => {
  const schedule = new Schedule<string>({ total: 20, destinationStart: 20, destinationMost: 20 });
  for (let n = 0; n < 100; n++) for (const name of ["tar1", "tar2", "tar3"]) schedule.add(name, name);
  const tarpits = started(schedule);
  assert.ok(tarpits.length <= 15, `${tarpits.length} slots`);
  assert.deepEqual(new Set(tarpits), new Set(["tar1", "tar2", "tar3"]));
  schedule.add("new", "new");
  schedule.finished("tar1", "answered", instant(0), SLOW);
  assert.ok(started(schedule).includes("new"), "one that is not known yet has its turn");
  schedule.finished("new", "answered", instant(0), 10);
  assert.equal(schedule.isQuick("new"), true);
  for (let n = 0; n < 10; n++) schedule.add("new", "quick");
  const quick = started(schedule).filter((job) => job === "quick");
  assert.ok(quick.length >= 5, `${quick.length} quick ones`);
  assert.equal(schedule.isQuick("tar1"), false);
});

test("what a destination showed is remembered while nothing is in hand for it", () => {
  const schedule = new Schedule<string>({ total: 50, destinationStart: 2, destinationMost: 9 });
  for (let n = 0; n < 6; n++) schedule.add("a", "job");
  for (let n = 0; n < 6; n++) {
    schedule.next();
    schedule.finished("a", "answered", instant(0));
  }
  assert.equal(schedule.destinations, 0);
  for (let n = 0; n < 20; n++) schedule.add("a", "job");
  assert.equal(started(schedule).length, 8);
});

test("a rate spaces the starts of jobs, and the schedule tells when the next may be", () => {
  const limit = { messagesPerMinute: 30, connections: null, messagesPerConnection: null };
  const schedule = new Schedule<string>(limits, (name) => (name === "a" ? limit : noLimit));
  for (const job of ["a1", "a2", "a3"]) schedule.add("a", job);
  schedule.add("b", "b1");
  assert.deepEqual([schedule.next(instant(1000))?.job, schedule.next(instant(1000))?.job], ["a1", "b1"]);
  assert.equal(schedule.next(instant(2999)), null);
  assert.equal(schedule.wakeAt, 3000);
  assert.equal(schedule.next(instant(3000))?.job, "a2");
  schedule.finished("a", "answered", instant(0));
  schedule.finished("a", "answered", instant(0));
  assert.equal(schedule.wakeAt, 5000);
  assert.equal(schedule.next(instant(5000))?.job, "a3");
  assert.equal(schedule.wakeAt, null);
});

test("a limit on connections bounds the window from the first job on", () => {
  const limit = { messagesPerMinute: null, connections: 1, messagesPerConnection: null };
  const schedule = new Schedule<string>(limits, () => limit);
  for (const job of ["a1", "a2", "a3"]) schedule.add("a", job);
  assert.deepEqual(started(schedule), ["a1"]);
  schedule.finished("a", "answered", instant(0));
  assert.deepEqual(started(schedule), ["a2"]);
});

test("a destination without a turn pauses with all that waits for it, and the others go on", () => {
  const schedule = new Schedule<string>(limits);
  for (const job of ["a1", "a2", "a3"]) schedule.add("a", job);
  assert.equal(schedule.next(instant(0))?.job, "a1");
  assert.deepEqual(schedule.finished("a", "busy", instant(500)), []);
  schedule.add("b", "b1");
  assert.deepEqual([schedule.next(instant(1))?.job, schedule.next(instant(1))], ["b1", null]);
  assert.equal(schedule.wakeAt, 500);
  assert.equal(schedule.pending, 2);
  assert.equal(schedule.next(instant(500))?.job, "a2");
});

test("no destination waits for more than a turn of each other", () => {
  const names = ["a", "b", "c", "d", "e"];
  const turn = fc.record({ name: fc.constantFrom(...names), took: fc.constantFrom(0, SLOW) });
  fc.assert(
    fc.property(fc.array(turn, { minLength: 50, maxLength: 200 }), (turns) => {
      const schedule = new Schedule<string>({ total: 4, destinationStart: 1, destinationMost: 1 });
      for (const { name } of turns) schedule.add(name, name);
      const left = new Map(names.map((name) => [name, turns.filter((each) => each.name === name).length]));
      const passedBy = new Map(names.map((name) => [name, 0]));
      for (const { took } of turns) {
        const next = schedule.next();
        assert.ok(next !== null, "something can start while something waits and nothing runs");
        left.set(next.destination, (left.get(next.destination) ?? 0) - 1);
        for (const name of names) passedBy.set(name, (left.get(name) ?? 0) > 0 ? (passedBy.get(name) ?? 0) + 1 : 0);
        passedBy.set(next.destination, 0);
        // Two classes take turns, so each of four others may come twice.
        for (const count of passedBy.values()) assert.ok(count <= 2 * names.length, `passed by ${count} times`);
        schedule.finished(next.destination, "answered", instant(0), took);
      }
      assert.equal(schedule.pending, 0);
    }),
  );
});

test("jobs put off come back one behind the other, and never sooner than the suspension ends", () => {
  const schedule = new Schedule<string>(limits);
  schedule.add("a", "probe");
  schedule.next(instant(0));
  assert.equal(schedule.putOffUntil("a", instant(1)), null);
  schedule.finished("a", "hostTrouble", instant(100));
  assert.deepEqual(
    [1, 2, 3].map((now) => schedule.putOffUntil("a", instant(now))),
    [100, 110, 120],
  );
  schedule.add("a", "second probe");
  schedule.next(instant(105));
  schedule.finished("a", "hostTrouble", instant(110));
  // What was put off before is still to come: there is no second row of the same moment.
  assert.equal(schedule.putOffUntil("a", instant(106)), 130);
});

test("a million put off for one destination come back within the hour, the first ten thousand no closer than before", () => {
  const schedule = new Schedule<string>(limits);
  const dead = (name: string) => {
    schedule.add(name, "probe");
    schedule.next(instant(0));
    schedule.finished(name, "hostTrouble", instant(SECOND));
  };
  const last = (name: string, count: number): number => {
    let at = 0;
    for (let n = 0; n < count; n++) at = schedule.putOffUntil(name, instant(0)) ?? assert.fail();
    return at;
  };
  dead("one");
  assert.equal(last("one", 9000), SECOND + 8999 * 10);
  const million = last("one", 991_000);
  assert.ok(million > 30 * MINUTE && million < HOUR, String(million / MINUTE));
  // Many such destinations write no more for it than 500 rows a second all together, or 100 each.
  for (let n = 0; n < 9; n++) {
    dead(`${n}`);
    last(`${n}`, 11_000);
  }
  const before = last("one", 1);
  assert.equal(last("one", 1000) - before, 10 * SECOND);
  // Those that answer again weigh on nobody.
  for (let n = 0; n < 9; n++) {
    schedule.add(`${n}`, "probe");
    assert.equal(schedule.next(instant(2 * SECOND))?.destination, `${n}`);
    schedule.finished(`${n}`, "answered", instant(0));
  }
  const after = last("one", 1);
  assert.equal(last("one", 1000) - after, 2 * SECOND);
});

test("changed limits count for destinations that have mail in hand", () => {
  let limit: Limit = { ...noLimit, connections: 3 };
  const schedule = new Schedule<number>({ total: 10, destinationStart: 5, destinationMost: 5 }, () => limit);
  for (let job = 0; job < 6; job++) schedule.add("a", job);
  const started = () => [schedule.next(), schedule.next(), schedule.next(), schedule.next()].filter(Boolean).length;
  assert.equal(started(), 3);
  limit = { ...noLimit, connections: 1 };
  schedule.renewLimits();
  schedule.finished("a", "answered", instant(0));
  schedule.finished("a", "answered", instant(0));
  assert.equal(schedule.next(), null, "one runs");
  limit = noLimit;
  schedule.renewLimits();
  schedule.finished("a", "answered", instant(0));
  assert.equal(started(), 2, "the window grows again by success");
});
