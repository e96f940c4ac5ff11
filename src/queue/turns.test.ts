import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Turns } from "./turns.ts";

function all(turns: Turns<string>): string[] {
  const jobs: string[] = [];
  for (let job = turns.take(); job !== undefined; job = turns.take()) jobs.push(job);
  return jobs;
}

test("senders take turns, whatever the length of their rows, and each keeps its order", () => {
  const turns = new Turns<string>();
  for (const job of ["a1", "a2", "a3"]) turns.add(job, 0, "a");
  turns.add("b1", 0, "b");
  turns.add("c urgent", 5, "c");
  turns.add("b bulk", -1, "b");
  assert.deepEqual([turns.size, turns.priority], [6, 5]);
  assert.deepEqual(all(turns), ["c urgent", "a1", "b1", "a2", "a3", "b bulk"]);
  assert.deepEqual([turns.size, turns.priority], [0, null]);
});

test("no sender waits longer than one turn of each other", () => {
  const step = fc.oneof(fc.record({ sender: fc.nat(5), count: fc.integer({ min: 1, max: 20 }) }), fc.constant("take"));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const turns = new Turns<number>();
      const left = new Map<number, number>();
      const passedBy = new Map<number, number>();
      const take = (): void => {
        const sender = turns.take();
        if (sender === undefined) return;
        left.set(sender, (left.get(sender) ?? 0) - 1);
        for (const [other, count] of left) if (count > 0) passedBy.set(other, (passedBy.get(other) ?? 0) + 1);
        passedBy.set(sender, 0);
        for (const count of passedBy.values()) assert.ok(count <= 6, `passed by ${count} times`);
      };
      for (const each of steps) {
        if (typeof each === "string") take();
        else {
          for (let n = 0; n < each.count; n++) turns.add(each.sender, 0, `${each.sender}`);
          left.set(each.sender, (left.get(each.sender) ?? 0) + each.count);
        }
      }
      while (turns.size > 0) take();
      assert.deepEqual(
        [...left.values()].filter((count) => count !== 0),
        [],
      );
    }),
  );
});

test("all jobs can be taken out at once", () => {
  const turns = new Turns<string>();
  turns.add("a1", 0, "a");
  turns.add("b1", 3, "b");
  turns.add("a2", 0, "a");
  turns.take();
  assert.deepEqual(turns.drain(), ["a1", "a2"]);
  assert.equal(turns.size, 0);
});
