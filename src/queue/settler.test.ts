import assert from "node:assert/strict";
import { test } from "node:test";
import { MINUTE, silentLog } from "../base/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { createMemoryStore } from "./memory-store.ts";
import { Settler } from "./settler.ts";
import { StoreError } from "./store.ts";

/** A settler over a store that refuses to end claims so many times. */
function newSettler(refusals: number) {
  const time = fakeClock();
  const store = createMemoryStore(time);
  const tries = { count: 0 };
  store.unclaim = async () => {
    tries.count++;
    if (tries.count <= refusals) throw new StoreError("broken", "EIO");
  };
  const reporter = {
    report: () => {
      throw new Error("nothing is reported here");
    },
  };
  const settler = new Settler({ store, reporter, clock: time.clock, log: silentLog, reportRetry: () => MINUTE });
  return { time, store, settler, tries };
}

test("claims are ended again and again while the store fails", async () => {
  const { time, store, settler, tries } = newSettler(3);
  const ended = settler.unclaim(store.nextId(), [0]);
  await time.run(0);
  assert.equal(tries.count, 1);
  await time.run(MINUTE);
  await ended;
  assert.equal(tries.count, 4);
});

test("a stop does not wait for a store that fails", async () => {
  const { time, store, settler, tries } = newSettler(Number.POSITIVE_INFINITY);
  const ended = settler.unclaim(store.nextId(), [0]);
  await time.run(0);
  settler.giveUp();
  await ended;
  assert.equal(tries.count, 1);
});
