import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8Lenient, encodeUtf8 } from "../base/index.ts";
import { LineDecoder } from "./index.ts";

const LIMIT = 16;

/** All events of `pieces`: a line as its text, anything else by its kind in angle brackets. */
function run(
  pieces: readonly Uint8Array[],
  limit = LIMIT,
): { readonly events: readonly string[]; readonly rest: string } {
  const decoder = new LineDecoder(limit);
  const events: string[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let event = decoder.next(); event !== null; event = decoder.next()) {
      events.push(event.kind === "line" ? decodeUtf8Lenient(event.line) : `<${event.kind}>`);
    }
    assert.ok(decoder.buffered <= limit, "memory is bounded");
  }
  return { events, rest: decodeUtf8Lenient(decoder.takeRest()) };
}

const singly = (octets: Uint8Array) => [...octets].map((octet) => Uint8Array.of(octet));

/** The events of `text`, having seen that no cut changes them. */
function events(text: string): readonly string[] {
  const octets = encodeUtf8(text);
  const whole = run([octets]);
  assert.deepEqual(run(singly(octets)).events, whole.events, "octet by octet");
  for (let cut = 0; cut <= octets.length; cut++) {
    assert.deepEqual(run([octets.slice(0, cut), octets.slice(cut)]).events, whole.events, `cut at ${cut}`);
  }
  return whole.events;
}

test("lines end with CRLF and nothing else", () => {
  assert.deepEqual(events("a\r\n\r\nb c\r\nd"), ["a", "", "b c"]);
  assert.deepEqual(events("a\r\n"), ["a"]);
  assert.deepEqual(events("a\r"), []);
});

test("a bare newline is told at once, and its line skipped to the CRLF", () => {
  assert.deepEqual(events("a\n"), ["<bareNewline>"]);
  assert.deepEqual(events("\n"), ["<bareNewline>"]);
  assert.deepEqual(events("a\nb\nc\r\nd\r\n"), ["<bareNewline>", "d"]);
  assert.deepEqual(events("a\rb\r\nd\r\n"), ["<bareNewline>", "d"]);
  assert.deepEqual(events("a\r\r\nd\r\n"), ["<bareNewline>", "d"]);
  assert.deepEqual(events("\n\r\nd\r\n"), ["<bareNewline>", "d"]);
  assert.deepEqual(events("\r\rx\n\r\r\nd\r\n"), ["<bareNewline>", "d"]);
});

test("the limit counts the CRLF; a longer line is told once, at its end", () => {
  assert.deepEqual(events(`${"a".repeat(14)}\r\nb\r\n`), ["a".repeat(14), "b"]);
  assert.deepEqual(events(`${"a".repeat(15)}\r\nb\r\n`), ["<tooLong>", "b"]);
  assert.deepEqual(events(`${"a".repeat(16)}\r\nb\r\n`), ["<tooLong>", "b"]);
  assert.deepEqual(events(`${"a".repeat(100)}\r\nb\r\n`), ["<tooLong>", "b"]);
  assert.deepEqual(events("a".repeat(100)), []);
  assert.deepEqual(events(`${"a".repeat(50)}\nb\rc\r\nd\r\n`), ["<tooLong>", "d"]);
});

test("a bare newline at the limit is told alike at each cut", () => {
  for (let before = 12; before <= 18; before++) {
    for (const newline of ["\n", "\r", "\r\r\n", "\n\r\n"]) {
      assert.ok(events(`${"a".repeat(before)}${newline}x\r\nd\r\n`).includes("d"));
    }
  }
});

test("any octets give the same events at each cut", () => {
  const octet = fc.constantFrom("a", "b", "\r", "\n", "\r\n", "aaaaaaa");
  fc.assert(fc.property(fc.array(octet, { maxLength: 24 }), (octets) => void events(octets.join(""))));
});

test("what was not returned is handed over", () => {
  const decoder = new LineDecoder(LIMIT);
  decoder.push(encodeUtf8("DATA\r\nbody\r\n.\r\nQU"));
  assert.equal(decoder.next()?.kind, "line");
  assert.equal(decodeUtf8Lenient(decoder.takeRest()), "body\r\n.\r\nQU");
  assert.equal(decoder.buffered, 0);
  assert.equal(decoder.next(), null);
  decoder.push(encodeUtf8("x\r\n"));
  assert.equal(decoder.next()?.kind, "line");
  assert.equal(decoder.takeRest().length, 0);
});

test("octets behind an unread line are kept when more are pushed", () => {
  const decoder = new LineDecoder(LIMIT);
  decoder.push(encodeUtf8("a\r\nb"));
  decoder.push(encodeUtf8("c\r"));
  decoder.push(encodeUtf8("\nd\r\n"));
  const lines = [decoder.next(), decoder.next(), decoder.next()].map((event) =>
    event?.kind === "line" ? decodeUtf8Lenient(event.line) : null,
  );
  assert.deepEqual(lines, ["a", "bc", "d"]);
  assert.equal(decoder.next(), null);
});

test("the limit may grow between lines", () => {
  const decoder = new LineDecoder(LIMIT);
  decoder.push(encodeUtf8(`a\r\n${"b".repeat(30)}\r\n`));
  assert.equal(decoder.next()?.kind, "line");
  decoder.limit = 64;
  assert.equal(decoder.next()?.kind, "line");
});

test("a caller's octets are never written to", () => {
  const decoder = new LineDecoder(LIMIT);
  const backing = encodeUtf8("abXXXXXX");
  decoder.push(backing.subarray(0, 2));
  decoder.push(encodeUtf8("cd\r\n"));
  assert.equal(decoder.next()?.kind, "line");
  assert.equal(decodeUtf8Lenient(backing), "abXXXXXX");
});

test("a decoder that was read to its last octet, and not asked again, loses nothing of the next push", () => {
  const decoder = new LineDecoder(LIMIT);
  for (const text of ["NOOP", "RSET", "QUIT"]) {
    decoder.push(encodeUtf8(`${text}\r\n`));
    const event = decoder.next();
    assert.equal(event?.kind === "line" ? decodeUtf8Lenient(event.line) : null, text);
  }
});
