import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8Lenient, encodeUtf8, err, unwrap } from "../base/index.ts";
import {
  announcedMechanisms,
  announcedSize,
  describeReply,
  formatExtensions,
  formatReply,
  formatStatus,
  parseStatus,
  type Reply,
  ReplyDecoder,
  type ReplyLimits,
  type ReplyProblem,
  readExtensions,
  reply,
  severity,
} from "./index.ts";

const written = (value: Reply): string => decodeUtf8Lenient(formatReply(value));

test("enhanced status codes", () => {
  for (const good of ["2.0.0", "4.7.999", "5.100.1"]) {
    const status = parseStatus(good);
    assert.ok(status);
    assert.equal(formatStatus(status), good);
  }
  for (const bad of ["", "3.0.0", "5.1", "5.1.1 ", "5.01.1", "5.1000.1", "5.1.1.1", "5.1.x", " 5.1.1", "5.1.1\n"]) {
    assert.equal(parseStatus(bad), null, bad);
  }
});

test("a reply that is none is a bug", () => {
  for (const code of [199, 560, 600, 25, 250.5, 2500, Number.NaN]) assert.throws(() => reply(code, null));
  assert.throws(() => reply(250, "5.0.0"));
  assert.throws(() => reply(354, "2.0.0"));
  assert.throws(() => reply(250, "2.0"));
  assert.deepEqual(reply(250, null), { code: 250, status: null, lines: [""] });
});

test("severity is the first digit's", () => {
  assert.deepEqual(
    [220, 354, 451, 550].map((code) => severity(reply(code, null))),
    ["success", "continue", "temporary", "permanent"],
  );
});

test("replies as they are written", () => {
  assert.equal(written(reply(250, null, "OK")), "250 OK\r\n");
  assert.equal(written(reply(250, "2.1.5", "a", "b")), "250-2.1.5 a\r\n250 2.1.5 b\r\n");
  assert.equal(written(reply(250, null)), "250 \r\n");
  assert.equal(written(reply(550, null, "no\r\n250 yes\0\u0085\u2028.")), "550 no  250 yes   .\r\n");
});

test("long text is split at 512 octets, at spaces and never within a character", () => {
  for (const text of ["word ".repeat(300), "x".repeat(2000), "ü".repeat(700), "😀".repeat(400), "\ud800".repeat(400)]) {
    const octets = formatReply(reply(550, "5.1.1", text));
    const lines = decodeUtf8Lenient(octets).split("\r\n");
    assert.equal(lines.pop(), "");
    for (const [index, line] of lines.entries()) {
      assert.ok(encodeUtf8(line).length + 2 <= 512);
      assert.ok(line.startsWith(index === lines.length - 1 ? "550 5.1.1 " : "550-5.1.1 "));
    }
    assert.equal(lines.map((line) => line.slice(10)).join(""), text.toWellFormed());
  }
});

test("one line for logs", () => {
  assert.equal(
    describeReply(reply(550, "5.1.1", "No such\u001b user", "", "second")),
    "550 5.1.1 No such\\u001b user / second",
  );
  assert.equal(describeReply(reply(250, null)), "250");
});

interface Decoded {
  readonly replies: readonly Reply[];
  readonly problem: ReplyProblem | null;
  readonly midReply: boolean;
}

function run(pieces: readonly Uint8Array[], limits?: Partial<ReplyLimits>): Decoded {
  const decoder = new ReplyDecoder(limits);
  const replies: Reply[] = [];
  for (const piece of pieces) {
    const result = decoder.push(piece);
    if (result.ok) replies.push(...result.value);
    const { problem } = decoder;
    if (problem === null) continue;
    assert.deepEqual(decoder.push(encodeUtf8("250 OK\r\n")), err(problem), "a spent decoder stays spent");
    return { replies, problem, midReply: decoder.midReply };
  }
  return { replies, problem: null, midReply: decoder.midReply };
}

/** Decodes `text`, having seen that no cut changes the outcome. */
function decode(text: string, limits?: Partial<ReplyLimits>): Decoded {
  const octets = encodeUtf8(text);
  const whole = run([octets], limits);
  const pieces = [...octets].map((octet) => Uint8Array.of(octet));
  assert.deepEqual(run(pieces, limits), whole);
  for (let cut = 0; cut <= octets.length; cut++) {
    assert.deepEqual(run([octets.slice(0, cut), octets.slice(cut)], limits), whole, `cut at ${cut}`);
  }
  return whole;
}

test("a reply that is whole counts, whatever stands behind it in the same octets", () => {
  const decoded = decode("250 2.0.0 taken\r\ngarbage\r\n250 more\r\n");
  assert.deepEqual(decoded.replies, [reply(250, "2.0.0", "taken")]);
  assert.equal(decoded.problem?.kind, "syntax");
});

test("replies of one line and of many, with and without status and text", () => {
  const cases: readonly [string, readonly Reply[]][] = [
    ["250 OK\r\n", [reply(250, null, "OK")]],
    ["250\r\n", [reply(250, null)]],
    ["250 \r\n", [reply(250, null)]],
    ["250-a\r\n250-\r\n250 c\r\n", [reply(250, null, "a", "", "c")]],
    ["250-a\r\n250\r\n", [reply(250, null, "a", "")]],
    ["550-5.1.1 a\r\n550 5.1.1 b\r\n", [reply(550, "5.1.1", "a", "b")]],
    ["550-5.1.1 a\r\n550 b\r\n", [reply(550, "5.1.1", "a", "b")]],
    ["550-5.1.1 a\r\n550 5.1.2 b\r\n", [reply(550, "5.1.1", "a", "5.1.2 b")]],
    ["250 2.0.0\r\n", [reply(250, "2.0.0")]],
    ["250 5.0.0 odd\r\n", [reply(250, null, "5.0.0 odd")]],
    ["334 2.0.0 odd\r\n", [reply(334, null, "2.0.0 odd")]],
    ["250 2.0.0x\r\n", [reply(250, null, "2.0.0x")]],
    ["250  two\r\n", [reply(250, null, " two")]],
    ["250 a\r\n354 b\r\n", [reply(250, null, "a"), reply(354, null, "b")]],
    ["571 no\r\n", [{ code: 571, status: null, lines: ["no"] }]],
    ["", []],
  ];
  for (const [text, replies] of cases) {
    assert.deepEqual(decode(text), { replies, problem: null, midReply: false }, JSON.stringify(text));
  }
});

test("an unfinished reply is seen to be one", () => {
  for (const text of ["2", "250 OK", "250 OK\r", "250-a\r\n"]) {
    assert.deepEqual(decode(text), { replies: [], problem: null, midReply: true }, text);
  }
});

test("what is no reply", () => {
  for (const text of [
    "\r\n",
    "25\r\n",
    "2500\r\n",
    "150 a\r\n",
    "650 a\r\n",
    "2x0 a\r\n",
    "250_a\r\n",
    "250\ta\r\n",
    " 250 a\r\n",
    "HTTP/1.1 200 OK\r\n",
    "250-a\r\nb\r\n",
    "２50 a\r\n",
  ]) {
    assert.equal(decode(text).problem?.kind, "syntax", JSON.stringify(text));
  }
  assert.deepEqual(decode("250-a\r\n550 b\r\n").problem, { kind: "mismatchedCodes", first: 250, second: 550 });
  for (const text of ["250 a\n", "\n", "250 a\rb\r\n", "250 a\r\r\n", "250 a\r\n\n"]) {
    assert.deepEqual(decode(text).problem, { kind: "bareNewline" }, JSON.stringify(text));
  }
});

test("limits of a line, of lines and of the whole", () => {
  assert.equal(decode(`250 ${"a".repeat(26)}\r\n`, { line: 32 }).problem, null);
  assert.deepEqual(decode(`250 ${"a".repeat(27)}\r\n`, { line: 32 }).problem, { kind: "tooLong", limit: "line" });
  assert.deepEqual(decode("a".repeat(32), { line: 32 }).problem, { kind: "tooLong", limit: "line" });
  assert.equal(decode(`${"250-a\r\n".repeat(2)}250 a\r\n`, { lines: 3 }).problem, null);
  assert.deepEqual(decode("250-a\r\n".repeat(4), { lines: 3 }).problem, { kind: "tooLong", limit: "lines" });
  assert.equal(decode("250-a\r\n250 a\r\n", { octets: 14 }).problem, null);
  assert.deepEqual(decode("250-a\r\n250 ab\r\n", { octets: 14 }).problem, { kind: "tooLong", limit: "octets" });
  assert.equal(decode("250 a\r\n".repeat(5), { octets: 14, lines: 1 }).problem, null);
  const endless = new ReplyDecoder();
  let pushes = 0;
  while (endless.push(encodeUtf8("250-and more\r\n")).ok) assert.ok(++pushes < 1000);
});

test("text that is not UTF-8 is taken", () => {
  const result = unwrap(new ReplyDecoder().push(Uint8Array.of(0x35, 0x35, 0x30, 0x20, 0xff, 0x0d, 0x0a)));
  assert.deepEqual(result, [reply(550, null, "\ufffd")]);
});

const line = fc.stringMatching(/^[ -~ü例]{0,60}$/).filter((text) => !/^[245]\.[0-9]/.test(text));
const anyReply = fc
  .tuple(
    fc.constantFrom(220, 250, 354, 421, 451, 550, 559),
    fc.boolean(),
    fc.array(line, { minLength: 1, maxLength: 5 }),
  )
  .map(([code, withStatus, lines]) => {
    const status = withStatus && code !== 354 ? `${String(code).charAt(0)}.7.12` : null;
    return reply(code, status, ...lines);
  });

test("replies that are formatted decode to themselves", () => {
  fc.assert(
    fc.property(fc.array(anyReply, { maxLength: 4 }), fc.nat(), (replies, at) => {
      const octets = new Uint8Array(Buffer.concat(replies.map(formatReply)));
      const cut = at % (octets.length + 1);
      assert.deepEqual(run([octets.slice(0, cut), octets.slice(cut)]), { replies, problem: null, midReply: false });
    }),
  );
});

test("any octets are replies or a problem, and memory is bounded", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 10 }), (pieces) => {
      for (const { code, lines } of run(pieces, { line: 64 }).replies) {
        assert.ok(code >= 200 && code < 600 && lines.every((text) => !/[\r\n]/.test(text)));
      }
    }),
  );
});

test("extensions of an EHLO reply", () => {
  const ehlo = reply(
    250,
    null,
    "mx.test at your service",
    "SIZE 1000",
    "8bitmime",
    "AUTH plain LOGIN",
    "AUTH=LOGIN XOLD",
  );
  const more = { ...ehlo, lines: [...ehlo.lines, "size 5", "", "X_Y z", "BAD \u00e9", "-X", "DSN  a  b"] };
  const extensions = readExtensions(more);
  assert.deepEqual(
    [...extensions],
    [
      ["SIZE", ["1000"]],
      ["8BITMIME", []],
      ["AUTH", ["plain", "LOGIN", "XOLD"]],
      ["DSN", ["a", "b"]],
    ],
  );
  assert.equal(announcedSize(extensions), 1000);
  assert.deepEqual(announcedMechanisms(extensions), ["PLAIN", "LOGIN", "XOLD"]);
  assert.deepEqual(formatExtensions(extensions), ["SIZE 1000", "8BITMIME", "AUTH plain LOGIN XOLD", "DSN a b"]);
  assert.deepEqual(readExtensions(reply(250, null, "x", ...formatExtensions(extensions))), extensions);
  const old = readExtensions(reply(250, null, "x", "AUTH=LOGIN PLAIN"));
  assert.deepEqual(announcedMechanisms(old), ["LOGIN", "PLAIN"]);
});

test("the announced size: none, fixed to none, or no number", () => {
  for (const announced of ["SIZE", "SIZE 0", "SIZE x", "SIZE -1", "DSN"]) {
    assert.equal(announcedSize(readExtensions(reply(250, null, "x", announced))), null, announced);
  }
  assert.deepEqual(announcedMechanisms(new Map()), []);
});
