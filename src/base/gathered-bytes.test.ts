import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "./bytes.ts";
import { GatheredBytes } from "./gathered-bytes.ts";

test("what was gathered is what came, however it was cut", () => {
  const octets = Uint8Array.from({ length: 5000 }, (_, at) => at % 251);
  for (const size of [1, 2, 7, 64, 77, 78, 79, 1000, 5000]) {
    const gathered = new GatheredBytes();
    for (let at = 0; at < octets.length; at += size) gathered.add(octets.slice(at, at + size));
    assert.equal(gathered.length, octets.length);
    assert.deepEqual(concatBytes(gathered.pieces()), octets, `in pieces of ${size}`);
  }
  assert.deepEqual(new GatheredBytes().pieces(), []);
});

test("pieces of nothing, and large ones among many small ones, lose no octet", () => {
  const gathered = new GatheredBytes();
  const wanted: number[] = [];
  for (let at = 0; at < 300; at++) {
    const piece = new Uint8Array(at % 100 === 99 ? 4000 : at % 2).fill(at % 250);
    wanted.push(...piece);
    gathered.add(piece);
  }
  assert.deepEqual([...concatBytes(gathered.pieces())], wanted);
});

test("a few pieces are kept without a copy, many weigh no more than twice their octets", () => {
  const few = new GatheredBytes();
  const piece = Uint8Array.of(1, 2);
  few.add(piece);
  assert.equal(few.pieces()[0], piece);
  const many = new GatheredBytes();
  for (let at = 0; at < 10_000; at++) {
    many.add(Uint8Array.of(at));
    assert.ok(many.pieces().length <= 64);
  }
  const memory = new Set(many.pieces().map(({ buffer }) => buffer));
  assert.ok([...memory].reduce((sum, { byteLength }) => sum + byteLength, 0) <= 2 * 10_000 + 128);
});
