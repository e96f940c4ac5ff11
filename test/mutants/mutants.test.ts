import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { hunt } from "./hunt.ts";
import { mutants, sampleOf } from "./list.ts";
import { type Mutant, mutated } from "./mutant.ts";
import { root } from "./tree.ts";
import { firstFailure } from "./trial.ts";

/** How many are tried in each run of the tests; `npm run mutants` tries all. */
const SAMPLE = 5;

test("each mutant still finds the code that it breaks", async () => {
  for (const mutant of mutants) {
    const text = await readFile(join(root, mutant.file), "utf8");
    assert.notEqual(
      mutated(text, mutant),
      null,
      `${mutant.name}: its search text does not stand once in ${mutant.file}`,
    );
  }
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
});

// The same ones for the same tree, so that what was green stays green; all of them have their turn by `npm run mutants`.
const seed = Number(process.env.POSTERN_MUTANTS_SEED ?? 1);

test(`bugs put in on purpose are noticed (seed ${seed})`, { timeout: 240_000 }, async (t) => {
  const results = await hunt({ mutants: sampleOf(mutants, SAMPLE, seed), workers: 1 });
  for (const { mutant, verdict } of results) {
    t.diagnostic(`${mutant.name}: ${JSON.stringify(verdict)}`);
    assert.equal(verdict.kind, "caught", mutant.name);
  }
  assert.equal(results.length, SAMPLE);
});

/** In front of what is tested well and needs nothing. */
const turns: Pick<Mutant, "promise" | "file" | "tests"> = {
  promise: "none",
  file: "src/queue/turns.ts",
  tests: ["src/queue/turns.test.ts"],
};

test("what breaks nothing survives, what fits nowhere is stale, what breaks all says nothing", {
  timeout: 120_000,
}, async () => {
  const harmless = { ...turns, name: "harmless", search: "Jobs of one sender and one priority.", replacement: "Jobs." };
  const stale = { ...turns, name: "stale", search: "no such text", replacement: "" };
  const ambiguous = { ...turns, name: "ambiguous", search: "priority", replacement: "urgency" };
  const unloadable = { ...turns, name: "unloadable", search: "export class Turns", replacement: "export class Nobody" };
  const untested = {
    ...turns,
    name: "untested",
    search: "Jobs of one",
    replacement: "Two",
    tests: ["src/base/clock.ts"],
  };
  // Not its counterpart: with a size that never falls another test of the file would have no end.
  const caught = { ...turns, name: "caught", search: "this.#size++;", replacement: "" };
  const results = await hunt({ mutants: [harmless, stale, ambiguous, unloadable, untested, caught], workers: 1 });
  assert.deepEqual(
    results.map(({ mutant, verdict }) => [mutant.name, verdict.kind]),
    [
      ["harmless", "survived"],
      ["stale", "stale"],
      ["ambiguous", "stale"],
      ["unloadable", "void"],
      ["untested", "void"],
      ["caught", "caught"],
    ],
  );
});

test("the first test that failed is found in TAP", () => {
  const tap =
    "TAP version 13\n# Subtest: a\nok 1 - a\n    not ok 1 - inner # todo later\n    not ok 2 - deep\nnot ok 2 - b\n";
  assert.equal(firstFailure(tap), "deep");
  assert.equal(firstFailure("ok 1 - not ok 1 - quoted\n# pass 1\n"), null);
});
