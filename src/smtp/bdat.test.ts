import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, decodeUtf8Lenient, encodeUtf8 } from "../base/index.ts";
import { ChunkDecoder } from "./bdat.ts";
import type { DataOptions } from "./data-decoder.ts";

const refuse: DataOptions = { bareNewlines: "refuse", maxLine: 20 };
const repair: DataOptions = { bareNewlines: "repair", maxLine: 20 };

/** Decodes a message of these chunks, the octets of all of them cut at `cuts`; `behind` follows the last one. */
function decode(text: DataOptions | null, chunks: readonly Uint8Array[], size: number, behind = "") {
  const decoder = new ChunkDecoder(text);
  const body: Uint8Array[] = [];
  let rest: Uint8Array = new Uint8Array(0);
  for (const [at, chunk] of chunks.entries()) {
    decoder.begin(chunk.length);
    const octets = concatBytes([chunk, encodeUtf8(at === chunks.length - 1 ? behind : "BDAT 3\r\n")]);
    let ended = false;
    for (let from = 0; !ended; from += size) {
      const decoded = decoder.push(octets.subarray(from, from + size));
      body.push(...decoded.body);
      if (decoded.rest === null) continue;
      ended = true;
      rest = concatBytes([decoded.rest, octets.subarray(from + size)]);
      const follows = octets.length - chunk.length;
      assert.equal(rest.length, follows, "to the octet, no more and no less");
    }
  }
  body.push(...decoder.end());
  const whole = concatBytes(body);
  if (decoder.problem === null) assert.equal(decoder.size, whole.length);
  return { body: whole, problem: decoder.problem, rest: decodeUtf8Lenient(rest) };
}

const sizes = [1, 2, 3, 7, 1000];
const octets = (text: string) => encodeUtf8(text);

test("octets are passed on as they are: dots, end marks and commands mean nothing", () => {
  const text = ".one\r\n..two\r\n.\r\nQUIT\r\nthree";
  for (const size of sizes) {
    const { body, problem, rest } = decode(refuse, [octets(text)], size, "NOOP\r\n");
    assert.equal(decodeUtf8Lenient(body), text);
    assert.equal(problem, null);
    assert.equal(rest, "NOOP\r\n");
  }
});

test("a line may go on over the end of a chunk, and CRLF may be cut by it", () => {
  const text = "one\r\ntwo\r\n";
  for (let cut = 0; cut <= text.length; cut++) {
    for (const size of sizes) {
      const chunks = [octets(text.slice(0, cut)), octets(text.slice(cut))];
      const { body, problem } = decode(refuse, chunks, size);
      assert.equal(problem, null, `cut at ${cut}`);
      assert.equal(decodeUtf8Lenient(body), text);
    }
  }
});

const bad: readonly (readonly [name: string, body: string, problem: string])[] = [
  ["a bare LF", "one\ntwo\r\n", "bareNewline"],
  ["a bare CR", "one\rtwo\r\n", "bareNewline"],
  ["a CR at the very end", "one\r\n\r", "bareNewline"],
  ["LF.LF", "one\n.\nMAIL\r\n", "bareNewline"],
  ["CR CR LF", "one\r\r\n", "bareNewline"],
  ["a NUL", "o\0ne\r\n", "nul"],
  ["a line of 21 octets", `${"x".repeat(19)}\r\n`, "lineTooLong"],
  ["21 octets without an end", "x".repeat(21), "lineTooLong"],
  ["a bare LF behind 20 octets", `${"x".repeat(20)}\n`, "lineTooLong"],
];
for (const [name, text, problem] of bad) {
  test(`${name}: the same problem however it is cut, and counted to the end`, () => {
    for (let cut = 0; cut <= text.length; cut++) {
      for (const size of sizes) {
        const decoded = decode(refuse, [octets(text.slice(0, cut)), octets(text.slice(cut))], size, "RSET\r\n");
        assert.equal(decoded.problem, problem, `cut at ${cut}, pieces of ${size}`);
        assert.equal(decoded.rest, "RSET\r\n");
      }
    }
  });
}

test("a line of exactly the limit is taken", () => {
  for (const size of sizes) {
    assert.equal(decode(refuse, [octets(`${"x".repeat(18)}\r\n${"x".repeat(20)}`)], size).problem, null);
  }
});

test("repaired, each bare CR and each bare LF is a CRLF", () => {
  const text = "one\ntwo\rthree\r\r\nfour\n.\nfive\r";
  for (let cut = 0; cut <= text.length; cut++) {
    for (const size of sizes) {
      const { body, problem } = decode(repair, [octets(text.slice(0, cut)), octets(text.slice(cut))], size);
      assert.equal(problem, null);
      assert.equal(decodeUtf8Lenient(body), "one\r\ntwo\r\nthree\r\n\r\nfour\r\n.\r\nfive\r\n");
    }
  }
});

test("a line that is repaired counts the CRLF it gets", () => {
  for (const newline of ["\n", "\r"]) {
    for (const behind of ["", "two\r\n"]) {
      for (const size of sizes) {
        assert.equal(decode(repair, [octets(`${"x".repeat(18)}${newline}${behind}`)], size).problem, null);
        assert.equal(decode(repair, [octets(`${"x".repeat(19)}${newline}${behind}`)], size).problem, "lineTooLong");
      }
    }
  }
});

test("binary: any octets, in any chunks, in any pieces, come out the same", () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(chunks, fc.integer({ min: 1, max: 50 }), (sent, size) => {
      const { body, problem } = decode(null, sent, size, "X");
      assert.equal(problem, null);
      assert.deepEqual(body, concatBytes(sent));
    }),
  );
});

test("text: what comes out holds no bare newline, and without a problem in refuse mode it is what came in", () => {
  const unit = fc.constantFrom("\r", "\n", "\r\n", ".", "x", "\r\n.\r\n");
  const chunks = fc.array(fc.array(unit, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(chunks, fc.integer({ min: 1, max: 9 }), (sent, size) => {
      const pieces = sent.map((units) => octets(units.join("")));
      const strict = decode({ ...refuse, maxLine: 1000 }, pieces, size);
      const mended = decode({ ...repair, maxLine: 1000 }, pieces, size);
      assert.doesNotMatch(decodeUtf8Lenient(mended.body), /\r(?!\n)|(?<!\r)\n/);
      const text = sent.flat().join("");
      assert.equal(strict.problem === null, !/\r(?!\n)|(?<!\r)\n/.test(text));
      if (strict.problem === null) assert.equal(decodeUtf8Lenient(strict.body), text);
      if (strict.problem === null) assert.deepEqual(mended.body, strict.body);
    }),
  );
});

test("chunks of no octets, and the order of calls", () => {
  const decoder = new ChunkDecoder(null);
  decoder.begin(0);
  assert.deepEqual(decoder.push(octets("RSET")), { body: [], rest: octets("RSET") });
  assert.throws(() => decoder.push(octets("x")));
  decoder.begin(1);
  assert.throws(() => decoder.begin(1));
  assert.throws(() => decoder.end());
});
