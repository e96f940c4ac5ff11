import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../base/index.ts";
import { HeaderScanner } from "./header.ts";

const MESSAGE = [
  "Received: from a.test by b.test; Sun, 22 Nov 2026 01:57:48 +0000\r\n",
  "RECEIVED :\r\n\tfrom c.test\r\n by d.test;\r\n Sun, 22 Nov 2026 01:57:47 +0000\r\n",
  "Subject: two\r\n  lines \r\n",
  "X-Received: not a hop\r\n",
  "subject: second\r\n",
].join("");

function scan(chunks: readonly Uint8Array[], limit?: number): HeaderScanner {
  const scanner = new HeaderScanner(limit);
  for (const chunk of chunks) scanner.push(chunk);
  scanner.end();
  return scanner;
}

function cuts(bytes: Uint8Array): Uint8Array[][] {
  const ways = [[bytes], Array.from(bytes, (octet) => Uint8Array.of(octet))];
  for (let at = 1; at < bytes.length; at++) ways.push([bytes.slice(0, at), bytes.slice(at)]);
  return ways;
}

test("counts and finds fields at every cut, and takes nothing from the body", () => {
  const body = "\r\nReceived: in the body\r\nSubject: in the body\r\n";
  for (const chunks of cuts(encodeUtf8(MESSAGE + body))) {
    const scanner = scan(chunks);
    assert.equal(scanner.progress, "ended");
    assert.equal(scanner.count("Received"), 2);
    assert.equal(scanner.count("subject"), 2);
    assert.equal(scanner.first("Subject"), "two  lines");
    assert.equal(scanner.first("Date"), null);
    assert.equal(scanner.size, MESSAGE.length);
  }
});

test("knows the end of the section as soon as it has passed", () => {
  const scanner = new HeaderScanner();
  assert.equal(scanner.push(encodeUtf8("Subject: x\r\n")), "open");
  assert.equal(scanner.push(encodeUtf8("\r")), "open");
  assert.equal(scanner.push(encodeUtf8("\n")), "ended");
});

test("fields are told as they came, and are the whole section", () => {
  for (const chunks of cuts(encodeUtf8(`${MESSAGE}\r\nbody`))) {
    const scanner = scan(chunks);
    const fields = scanner.fields();
    assert.equal(fields.map(({ octets }) => new TextDecoder().decode(octets)).join(""), MESSAGE);
    assert.deepEqual(
      fields.map(({ name }) => name),
      ["received", "received", "subject", "x-received", "subject"],
    );
    const values = fields.map(({ octets, valueAt }) => new TextDecoder().decode(octets.subarray(valueAt)));
    assert.equal(values[1]?.startsWith("\r\n\tfrom c.test"), true);
    assert.equal(values[4], " second\r\n");
    assert.equal(scanner.broken, false);
  }
});

test("a section is broken where a line is no field, and only there", () => {
  for (const [text, broken] of [
    ["A: b\r\nhello\r\n\r\n", true],
    ["hello", true],
    [" folded\r\n", true],
    ["A: b\r\n\r\nhello\r\n", false],
    ["A: b\n\nhello", false],
    ["A: b", false],
    ["", false],
    ["\r\nhello", false],
  ] as const) {
    for (const chunks of cuts(encodeUtf8(text))) assert.equal(scan(chunks).broken, broken, JSON.stringify(text));
  }
});

test("a line that is no field ends the section", () => {
  for (const line of ["hello\r\n", "hello x\r\n", "no good: x\r\n", " folded nothing\r\n", ": x\r\n"]) {
    for (const chunks of cuts(encodeUtf8(`${line}Received: x\r\n\r\n`))) {
      const scanner = scan(chunks);
      assert.equal(scanner.progress, "ended", line);
      assert.equal(scanner.count("Received"), 0, line);
      assert.equal(scanner.size, 0, line);
    }
  }
});

test("lines ended by a bare LF are lines, so no hop hides behind one", () => {
  for (const chunks of cuts(encodeUtf8("Subject: x\nReceived: y\n\nReceived: z\n"))) {
    assert.equal(scan(chunks).count("received"), 1);
  }
});

test("a message may end within its header section", () => {
  for (const chunks of cuts(encodeUtf8("Subject: x\r\nReceived: y"))) {
    const scanner = scan(chunks);
    assert.equal(scanner.count("Received"), 1);
    assert.equal(scanner.first("received"), "y");
  }
  assert.equal(scan([]).count("Received"), 0);
});

test("a section without an end within the limit is too large, at every cut", () => {
  const bytes = encodeUtf8("Subject: 1\r\nSubject: 2\r\nSubject: 3\r\n\r\n");
  for (const chunks of cuts(bytes)) {
    assert.equal(scan(chunks, bytes.length).progress, "ended");
    assert.equal(scan(chunks, bytes.length - 1).progress, "tooLarge");
  }
  assert.equal(scan(cuts(encodeUtf8("x".repeat(300)))[1] ?? [], 200).progress, "tooLarge");
});

test("the cut never changes what is found", () => {
  const piece = fc.constantFrom("Received:", "A: b", "\r\n", "\n", "\r", " ", "\t", ":", "x", "é", "\r\n\r\n");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.nat(), fc.nat(), (pieces, first, second) => {
      const bytes = encodeUtf8(pieces.join(""));
      const a = first % (bytes.length + 1);
      const b = a + (second % (bytes.length - a + 1));
      const whole = scan([bytes]);
      const cut = scan([bytes.slice(0, a), bytes.slice(a, b), bytes.slice(b)]);
      assert.equal(cut.count("Received"), whole.count("Received"));
      assert.equal(cut.first("A"), whole.first("A"));
      assert.equal(cut.size, whole.size);
    }),
  );
});

test("a section that comes octet by octet is searched once, not again with each of them", (t) => {
  const octets = encodeUtf8(`Subject: ${"a".repeat(100_000)}\r\nTo: b\r\n\r\n`);
  let searched = 0;
  const { indexOf } = Uint8Array.prototype;
  t.mock.method(Uint8Array.prototype, "indexOf", function (this: Uint8Array, wanted: number, from = 0) {
    const at = indexOf.call(this, wanted, from);
    searched += (at === -1 ? this.length : at) - from;
    return at;
  });
  const scanner = new HeaderScanner(2 * octets.length);
  for (const octet of octets) scanner.push(Uint8Array.of(octet));
  assert.equal(scanner.progress, "ended");
  assert.ok(searched <= 2 * octets.length, `${searched} octets searched`);
});

test("a value full of blanks costs no more than one full of letters", () => {
  const fold = `${" ".repeat(990)}\r\n`;
  const scanner = scan([encodeUtf8(`Message-ID: <a@b.test>\r\n${fold.repeat(95)} c\r\n\r\n`)]);
  const before = process.cpuUsage();
  assert.match(scanner.first("message-id") ?? "", /^<a@b\.test> +c$/);
  const { user } = process.cpuUsage(before);
  assert.ok(user < 500_000, `${user} µs`);
});
