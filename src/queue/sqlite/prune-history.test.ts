import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import { pruneHistory } from "./prune-history.ts";
import { prepareSchema } from "./schema.ts";

/** A history of rows that finished at these times, in order. */
function historyOf(times: readonly number[]): DatabaseSync {
  const database = new DatabaseSync(":memory:");
  prepareSchema(database);
  const add = database.prepare(
    `INSERT INTO history (message, received_at, finished_at, local_part, domain, attempts, outcome)
      VALUES (1, 0, ?, 'u', 'x.test', 1, '{}')`,
  );
  for (const time of times) add.run(time);
  return database;
}

function timesIn(database: DatabaseSync): unknown[] {
  return database
    .prepare("SELECT finished_at FROM history ORDER BY id")
    .all()
    .map((row) => row.finished_at);
}

test("rounds of any length forget what is too old or too much, and nothing else", () => {
  const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 30 });
  const bounds = fc.record({ age: fc.integer({ min: 0, max: 20 }), recipients: fc.integer({ min: 0, max: 35 }) });
  fc.assert(
    fc.property(times, bounds, fc.integer({ min: 1, max: 9 }), (unordered, { age, recipients }, round) => {
      const finished = unordered.toSorted((a, b) => a - b);
      using database = historyOf(finished);
      let rounds = 0;
      let before = finished.length;
      for (let more = true; more; rounds++) {
        more = pruneHistory(database, { age, recipients }, 20, round);
        const left = timesIn(database).length;
        assert.ok(before - left <= round, "no round is longer");
        assert.ok(rounds <= finished.length, "rounds end");
        before = left;
      }
      const kept = finished.slice(Math.max(0, finished.length - recipients)).filter((time) => time > 20 - age);
      assert.deepEqual(timesIn(database), kept);
    }),
  );
});
