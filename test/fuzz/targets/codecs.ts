import assert from "node:assert/strict";
import { concatBytes } from "../../../src/base/index.ts";
import {
  type BareNewlines,
  ChunkDecoder,
  DataDecoder,
  DataEncoder,
  LineDecoder,
  ReplyDecoder,
} from "../../../src/smtp/index.ts";
import { cutsOf, piecesOf, randomOf } from "../cuts.ts";
import {
  BARE_NEWLINE,
  endOfData,
  LENIENT_RECEIVERS,
  linesOf,
  messagesFor,
  repaired,
  withoutStuffing,
} from "../reference.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

const LINE_LIMIT = 64;

/** Lines are cut at CRLF and nowhere else, the same however the octets come, and no more than a line is held. */
export const lines: Target = {
  name: "line-decoder",
  words: ["NOOP", "EHLO a", "\r\n", "\r", "\n", "\r\r\n", "a".repeat(61), "a".repeat(62), "a".repeat(63), "\0", "\x85"],
  check(octets) {
    const expected = linesOf(latin1(octets), LINE_LIMIT);
    for (const cut of cutsOf(octets)) {
      const decoder = new LineDecoder(LINE_LIMIT);
      const found: string[] = [];
      for (const piece of cut) {
        decoder.push(piece);
        for (let event = decoder.next(); event !== null; event = decoder.next()) {
          found.push(event.kind === "line" ? `line ${latin1(event.line)}` : event.kind);
        }
        assert.ok(decoder.buffered < LINE_LIMIT, "never holds a whole limit's worth of an unfinished line");
      }
      assert.deepEqual(found, expected);
    }
  },
};

const TEXT_LIMIT = 80;

/** The end of a body, its stuffing, and what is wrong with it, against the plain reference. */
function dataTarget(name: string, bareNewlines: BareNewlines): Target {
  return {
    name,
    words: [
      ...[
        "Subject: hi\r\n",
        "text\r\n",
        "\r\n",
        ".",
        "..",
        "\r\n.\r\n",
        ".\r\n",
        "\n.\n",
        "\r\n.\n",
        "\n.\r\n",
        "\r.\r",
      ],
      ...["\r\n.\r", "\r\n.\0\r\n", "\r\r\n.\r\n", "\0", "a".repeat(78), "a".repeat(79), "MAIL FROM:<a@b.test>\r\n"],
    ],
    check(octets) {
      const text = latin1(octets);
      const whole = endOfData(text);
      const content = withoutStuffing(whole === null ? text : whole.content);
      const body = bareNewlines === "repair" ? repaired(content) : content;
      const bad =
        (bareNewlines === "refuse" && BARE_NEWLINE.test(content)) ||
        content.includes("\0") ||
        body.split("\r\n").some((line, index, all) => line.length + (index + 1 < all.length ? 2 : 0) > TEXT_LIMIT);
      const problems = cutsOf(octets).map((cut) => {
        const decoder = new DataDecoder({ bareNewlines, maxLine: TEXT_LIMIT });
        const given: Uint8Array[] = [];
        const rest: Uint8Array[] = [];
        let ended = false;
        for (const piece of cut) {
          if (ended) {
            rest.push(piece);
            continue;
          }
          const decoded = decoder.push(piece);
          given.push(...decoded.body.map((part) => new Uint8Array(part)));
          if (decoded.rest === null) continue;
          ended = true;
          rest.push(decoded.rest);
        }
        const got = latin1(concatBytes(given));
        assert.equal(decoder.size, got.length);
        assert.equal(ended, whole !== null, "only CRLF.CRLF ends a message");
        if (whole !== null) {
          assert.equal(latin1(concatBytes(rest)), whole.rest);
          assert.equal(decoder.problem !== null, bad, `problem ${decoder.problem}`);
        }
        if (decoder.problem === null) assert.ok(body.startsWith(got) && (whole === null || got === body), "the body");
        return whole === null ? null : decoder.problem;
      });
      assert.equal(new Set(problems).size, 1, "the problem does not depend on the cuts");
    },
  };
}

export const dataRefuse: Target = dataTarget("data-decoder", "refuse");
export const dataRepair: Target = dataTarget("data-decoder-repair", "repair");

/** Whatever a body holds, it leaves as one message, for receivers of every kind, and comes out as it went in. */
export const dataEncoder: Target = {
  name: "data-encoder",
  words: dataRefuse.words,
  check(octets) {
    let body = repaired(latin1(octets));
    if (body !== "" && !body.endsWith("\r\n")) body += "\r\n";
    for (const cut of cutsOf(octets)) {
      const encoder = new DataEncoder();
      const sent = concatBytes([...cut.flatMap((piece) => encoder.push(piece)), encoder.end()]);
      const text = latin1(sent);
      assert.ok(!BARE_NEWLINE.test(text), "no stray newline leaves");
      assert.deepEqual(endOfData(text), { content: text.slice(0, -3), rest: "" });
      for (const { name, newline } of LENIENT_RECEIVERS) {
        if (name.includes("vertical") && /[\v\f]/.test(text)) continue; // those are not ours to change
        assert.deepEqual(messagesFor(newline, text), { messages: 1, rest: "" }, name);
      }
      const decoder = new DataDecoder({ bareNewlines: "refuse", maxLine: sent.length, nul: "accept" });
      const decoded = decoder.push(sent);
      assert.equal(decoder.problem, null);
      assert.equal(latin1(concatBytes(decoded.body)), body);
    }
  },
};

/** Text in chunks, by the rules of DATA for its lines and by none of them for dots; each chunk is taken to the octet. */
export const chunks: Target = {
  name: "bdat",
  words: dataRefuse.words,
  check(octets) {
    const text = latin1(octets);
    const chunk = piecesOf(octets, randomOf(octets));
    for (const bareNewlines of ["refuse", "repair"] as const) {
      const body = bareNewlines === "repair" ? repaired(text) : text;
      const bad =
        (bareNewlines === "refuse" && BARE_NEWLINE.test(text)) ||
        text.includes("\0") ||
        body.split("\r\n").some((line, index, all) => line.length + (index + 1 < all.length ? 2 : 0) > TEXT_LIMIT);
      const decoder = new ChunkDecoder({ bareNewlines, maxLine: TEXT_LIMIT });
      const given: Uint8Array[] = [];
      for (const whole of chunk) {
        decoder.begin(whole.length);
        const followed = concatBytes([whole, octetsOf("QUIT\r\n")]);
        const half = Math.floor(whole.length / 2);
        for (const piece of [followed.subarray(0, half), followed.subarray(half)]) {
          const decoded = decoder.push(piece);
          given.push(...decoded.body.map((part) => new Uint8Array(part)));
          if (decoded.rest !== null) assert.equal(latin1(decoded.rest), "QUIT\r\n", "what follows a chunk");
        }
      }
      given.push(...decoder.end());
      assert.equal(decoder.problem !== null, bad, `problem ${decoder.problem}`);
      if (!bad) assert.equal(latin1(concatBytes(given)), body);
      if (!bad) assert.equal(decoder.size, body.length);
    }
    const binary = new ChunkDecoder(null);
    binary.begin(octets.length);
    if (octets.length > 0) assert.equal(latin1(concatBytes(binary.push(octets).body)), text, "binary goes as it is");
  },
};

const REPLY_LIMITS = { line: 64, lines: 6, octets: 200 };

/** Replies or one lasting problem, the same however the octets come, within the limits. */
export const replyDecoder: Target = {
  name: "reply-decoder",
  words: [
    ...["220 mx.test ESMTP\r\n", "250-", "250 ", "250\r\n", "250-PIPELINING\r\n", "250 SIZE 100\r\n", "354 go\r\n"],
    ...["421 4.3.2 down\r\n", "550 5.1.1 no\r\n", "550-5.1.1 ", "199 x\r\n", "600 x\r\n", "2", "\r\n", "\n", "\r"],
    ...["250-5.1.1 x\r\n", "x".repeat(60), "25O ok\r\n", "250_ok\r\n"],
  ],
  check(octets) {
    const outcomes = cutsOf(octets).map((cut) => {
      const decoder = new ReplyDecoder(REPLY_LIMITS);
      const replies: string[] = [];
      let problem = "";
      for (const piece of cut) {
        const pushed = decoder.push(piece);
        const now = decoder.problem === null ? "" : JSON.stringify(decoder.problem);
        assert.ok(pushed.ok || now === JSON.stringify(pushed.error));
        assert.ok(problem === "" || now === problem, "a spent decoder stays spent, with the same problem");
        problem = now;
        for (const reply of pushed.ok ? pushed.value : []) {
          assert.ok(reply.code >= 200 && reply.code <= 599 && reply.lines.length <= REPLY_LIMITS.lines);
          assert.ok(reply.lines.every((line) => !/[\r\n]/.test(line) && line.length < REPLY_LIMITS.line));
          replies.push(JSON.stringify(reply));
        }
        assert.ok(problem === "" || !decoder.midReply);
      }
      return { problem, replies };
    });
    const [whole, ...others] = outcomes;
    for (const other of others) {
      assert.deepEqual(other, whole);
    }
  },
};
