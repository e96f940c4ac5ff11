import assert from "node:assert/strict";
import { test } from "node:test";
import { instant } from "../base/index.ts";
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
