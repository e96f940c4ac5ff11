import assert from "node:assert/strict";
import { test } from "node:test";
import { growthOf, type Sample } from "./growth.ts";

const MIB = 1024 * 1024;
const LENGTH = 60_000;

function samples(of: (share: number) => Partial<Sample>): readonly Sample[] {
  const steady = { rss: 100 * MIB, heap: 30 * MIB, external: 5 * MIB, disk: 10 * MIB, handles: 40, loopDelay: 5 };
  return Array.from({ length: 61 }, (_, second) => ({ at: second * 1000, ...steady, ...of(second / 60) }));
}

function grown(of: (share: number) => Partial<Sample>): readonly string[] {
  return (growthOf(samples(of), LENGTH) ?? []).filter((each) => each.grown).map(({ quantity }) => quantity);
}

test("a steady daemon has not grown, nor one that only warmed up, or had one bad moment", () => {
  assert.deepEqual(
    grown(() => ({})),
    [],
  );
  assert.deepEqual(
    grown((share) => (share < 0.3 ? { rss: 40 * MIB, handles: 10 } : {})),
    [],
  );
  assert.deepEqual(
    grown((share) => (share === 0.9 ? { rss: 900 * MIB, loopDelay: 2000 } : {})),
    [],
  );
});

test("a leak of memory, of handles, or a loop that gets slower is growth", () => {
  assert.deepEqual(
    grown((share) => ({ rss: (100 + 100 * share) * MIB })),
    ["rss"],
  );
  assert.deepEqual(
    grown((share) => ({ handles: 40 + 60 * share })),
    ["handles"],
  );
  assert.deepEqual(
    grown((share) => ({ loopDelay: 5 + 60 * share })),
    ["loopDelay"],
  );
});

test("without samples there is no answer", () => {
  assert.equal(growthOf([], LENGTH), null);
  assert.equal(growthOf(samples(() => ({})).slice(0, 10), LENGTH), null);
});
