import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, type Log, SECOND, silentLog } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import { events } from "./events.ts";
import type { SendingChanges, SendingFile } from "./sending-file.ts";
import { SendingLedger } from "./sending-ledger.ts";

/** A ledger over a file that fails on demand. */
function bench() {
  const { clock, run } = fakeClock();
  const logged: string[] = [];
  const log: Log = { ...silentLog, error: (event) => void logged.push(event) };
  const saved: SendingChanges[] = [];
  const state = { fails: false, version: 1, reads: 0, closed: false };
  const file: SendingFile = {
    version: () => {
      if (state.fails) throw new Error("locked");
      return state.version;
    },
    tally: () => {
      state.reads++;
      return {};
    },
    knows: () => false,
    save: (changes) => {
      if (state.fails) throw new Error("locked");
      saved.push({ counts: changes.counts, written: [...changes.written] });
    },
    close: () => {
      state.closed = true;
    },
  };
  const count = (key: string): void => {
    ledger.tally(key).add("messages", 1, clock.now());
    ledger.changed(key);
  };
  const ledger = new SendingLedger({ file, clock, log });
  return { ledger, state, saved, logged, count, run };
}

test("what was counted is written down together, two seconds after the first of it", async () => {
  const { saved, count, run } = bench();
  count("user anna");
  await run(1.5 * SECOND);
  count("user bob");
  assert.equal(saved.length, 0);
  await run(0.5 * SECOND);
  assert.deepEqual(
    saved.map(({ counts }) => [...counts].map(([key]) => key)),
    [["user anna", "user bob"]],
  );
  await run(60 * SECOND);
  assert.equal(saved.length, 1);
});

test("what cannot be written down counts on, and is written when it can be", async () => {
  const { ledger, saved, state, logged, count, run } = bench();
  count("user anna");
  ledger.wrote("anna", Uint8Array.of(1));
  state.fails = true;
  await run(2 * SECOND);
  assert.deepEqual(logged, [events.limitsFailed]);
  assert.equal(ledger.isNew("anna", Uint8Array.of(1), instant(0)), false);
  state.fails = false;
  await run(10 * SECOND);
  assert.equal(saved.length, 1);
  assert.deepEqual([...(saved[0]?.written ?? [])], [["anna", Uint8Array.of(1)]]);
  assert.equal(ledger.tally("user anna").idle, true);
});

test("a tally is read again when another process wrote; while that cannot be seen it stays, and is told once", () => {
  const { ledger, state, logged } = bench();
  const tally = ledger.tally("user anna");
  assert.equal(ledger.tally("user anna"), tally);
  assert.equal(state.reads, 1);
  state.version = 2;
  assert.equal(ledger.tally("user anna"), tally);
  assert.equal(state.reads, 2);
  state.fails = true;
  for (let at = 0; at < 3; at++) assert.equal(ledger.tally("user anna"), tally);
  assert.deepEqual(logged, [events.limitsFailed]);
  assert.throws(() => ledger.tally("user bob"), /locked/);
});

test("tallies that nobody uses make room for others", () => {
  const { ledger, state } = bench();
  const used = ledger.tally("user anna");
  used.sessions++;
  for (let at = 1; at < 10_000; at++) ledger.tally(`address ${at}`);
  ledger.tally("address 10000");
  const reads = state.reads;
  assert.equal(ledger.tally("user anna"), used);
  assert.equal(state.reads, reads);
  ledger.tally("address 1");
  assert.equal(state.reads, reads + 1, "read anew");
});

test("the end writes down what is not, and leaves no timer behind", async () => {
  for (const fails of [false, true]) {
    const { ledger, saved, state, logged, count, run } = bench();
    count("user anna");
    state.fails = fails;
    ledger.close();
    assert.equal(saved.length, fails ? 0 : 1);
    assert.equal(state.closed, true);
    const before = logged.length;
    await run(60 * SECOND);
    assert.equal(logged.length, before);
  }
});
