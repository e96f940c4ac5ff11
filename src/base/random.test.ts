import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, shuffle } from "./random.ts";

test("a seed gives one sequence, inside [0, 1), and another seed another", () => {
  const draw = (seed: number) => Array.from({ length: 1000 }, seededRandom(seed).next);
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.ok(draw(7).every((number) => number >= 0 && number < 1));
});

test("a shuffle keeps every item and leaves its input alone; each order of three comes up", () => {
  const items = [1, 2, 3] as const;
  const random = seededRandom(1);
  const orders = new Set(Array.from({ length: 200 }, () => shuffle(items, random).join("")));
  assert.deepEqual([...orders].sort(), ["123", "132", "213", "231", "312", "321"]);
  assert.deepEqual(items, [1, 2, 3]);
  assert.deepEqual(shuffle([], random), []);
});
