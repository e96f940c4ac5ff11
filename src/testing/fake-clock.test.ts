import assert from "node:assert/strict";
import { test } from "node:test";
import { instant } from "../base/index.ts";
import { fakeClock } from "./fake-clock.ts";

test("timers run in order of time, each at its own moment, those set on the way included", () => {
  const fake = fakeClock(instant(1000));
  const { clock, advance } = fake;
  const ran: [string, number][] = [];
  const mark = (name: string) => () => void ran.push([name, clock.now()]);
  clock.after(30, mark("third"));
  clock.after(10, () => {
    mark("first")();
    clock.after(5, mark("second"));
  });
  clock.after(20, mark("cancelled")).cancel();
  clock.after(31, mark("not yet"));
  advance(30);
  assert.deepEqual(ran, [
    ["first", 1010],
    ["second", 1015],
    ["third", 1030],
  ]);
  assert.equal(clock.now(), 1030);
  assert.equal(fake.pending, 1);
});

test("run lets promises settle between timers", async () => {
  const { clock, run } = fakeClock();
  const ran: string[] = [];
  const wait = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => void clock.after(milliseconds, resolve));
  const work = async (): Promise<void> => {
    for (const name of ["a", "b", "c"]) {
      await wait(10);
      ran.push(name);
    }
  };
  void work();
  await run(30);
  assert.deepEqual(ran, ["a", "b", "c"]);
});
