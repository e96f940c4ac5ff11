import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fakeClock } from "../testing/index.ts";
import { type Turn, Turnstile } from "./turnstile.ts";

const PLACES = 128;

function scene(syncTime = 0) {
  const { clock, run } = fakeClock();
  const turnstile = new Turnstile({ clock, syncTime: () => syncTime });
  const admitted: number[] = [];
  const turns: Turn[] = [];
  /** Begins the mail of a new connection, the one of this number. */
  const come = (): number => {
    const number = turns.length;
    const turn = turnstile.turn();
    turns.push(turn);
    const wait = turn.enter();
    if (wait === null) admitted.push(number);
    else void wait.then(() => admitted.push(number));
    return number;
  };
  const turnOf = (number: number): Turn => turns[number] ?? assert.fail(`no connection ${number}`);
  return { run, come, turnOf, admitted, turnstile };
}

test("as many as there are places begin at once, the others as places come free, the first come first", async () => {
  const { run, come, turnOf, admitted } = scene();
  for (let n = 0; n < PLACES + 3; n++) come();
  assert.equal(admitted.length, PLACES);
  for (let n = 0; n < PLACES; n++) turnOf(n).keep();
  await run(0);
  assert.equal(admitted.length, PLACES, "a message at the store has its place still");
  turnOf(5).leave();
  turnOf(3).leave();
  await run(0);
  assert.deepEqual(admitted.slice(PLACES), [PLACES, PLACES + 1]);
});

test("who begins and does not come loses the place, not the mail", async () => {
  const { run, come, turnOf, admitted } = scene();
  for (let n = 0; n < 2 * PLACES; n++) come();
  await run(51);
  assert.equal(admitted.length, 2 * PLACES, "after two periods dawdlers hold nobody up");
  for (let n = 0; n < PLACES; n++) turnOf(n).keep();
  for (let n = 0; n < PLACES; n++) turnOf(n).leave();
  const before = admitted.length;
  for (let n = 0; n < 2 * PLACES; n++) come();
  assert.ok(admitted.length - before <= PLACES, "what came late is not counted twice when it is over");
});

test("nobody waits for more than a second, though the store keeps nothing", async () => {
  const { run, come, turnOf, admitted } = scene();
  for (let n = 0; n < PLACES; n++) turnOf(come()).keep();
  const gone = come();
  for (let n = 0; n < 3; n++) come();
  turnOf(gone).leave();
  await run(900);
  assert.equal(admitted.length, PLACES + 1, "but for the one who left");
  await run(126);
  assert.equal(admitted.length, PLACES + 4);
});

test("a slow disk has places for all who come while it syncs", () => {
  const { come, admitted } = scene(20);
  for (let n = 0; n < 1000; n++) come();
  assert.equal(admitted.length, 800);
});

test("who leaves the line takes no place, and is not kept", async () => {
  const { run, come, turnOf, admitted } = scene();
  for (let n = 0; n < PLACES; n++) turnOf(come()).keep();
  const gone = come();
  const next = come();
  turnOf(gone).leave();
  await run(0);
  assert.deepEqual(admitted.slice(PLACES), [gone], "its promise settles");
  turnOf(0).leave();
  await run(0);
  assert.deepEqual(admitted.slice(PLACES), [gone, next]);
});

test("whatever connections do, all are let in in time, and in the end every place is free", async () => {
  const step = fc.record({ who: fc.nat(299), what: fc.constantFrom("enter", "keep", "leave", "time") });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 1500 }), async (steps) => {
      const { run, come, admitted, turnOf, turnstile } = scene();
      for (let n = 0; n < 300; n++) come();
      for (const { who, what } of steps) {
        const turn = turnOf(who);
        if (what === "keep") turn.keep();
        else if (what === "leave") turn.leave();
        else if (what === "time") await run(10);
        else void turn.enter();
      }
      await run(1100);
      assert.equal(new Set(admitted).size, 300);
      for (let n = 0; n < 300; n++) turnOf(n).leave();
      await run(100);
      let free = 0;
      while (turnstile.turn().enter() === null && free < 1000) free++;
      assert.equal(free, PLACES);
    }),
    { numRuns: 40 },
  );
});
