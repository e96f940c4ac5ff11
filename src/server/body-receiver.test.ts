import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeUtf8Lenient, encodeUtf8 } from "../base/index.ts";
import { DataDecoder, type Reply, reply } from "../smtp/index.ts";
import { type BodyEnd, type BodyOptions, BodyReceiver } from "./body-receiver.ts";

const taken = reply(250, "2.0.0", "Ok");

/** A receiver and a record of all that its sink and its owner were told. */
function receiver(
  over: Partial<BodyOptions> & { write?: () => void | Promise<void>; finish?: () => Reply | Promise<Reply> },
) {
  const seen = { chunks: [] as Uint8Array[], calls: [] as string[], ends: [] as BodyEnd[], rest: "", failures: 0 };
  const body = new BodyReceiver({
    sink: {
      write: (chunk) => {
        seen.chunks.push(chunk);
        return over.write?.();
      },
      finish: () => {
        seen.calls.push("finish");
        return over.finish?.() ?? taken;
      },
      abort: () => void seen.calls.push("abort"),
    },
    decoder: new DataDecoder({ bareNewlines: "refuse", maxLine: 50 }),
    maxSize: 100,
    discard: 100,
    failed: () => seen.failures++,
    resumed: () => {},
    ended: (end, rest) => {
      seen.ends.push(end);
      seen.rest = decodeUtf8Lenient(concatBytes(rest));
    },
    ...over,
  });
  return { body, seen };
}

const message = encodeUtf8("one\r\n..two\r\n.\r\nNOOP\r\n");

test("at each two-way split: the same message, one finish, and what follows is handed back", () => {
  for (let at = 0; at <= message.length - "NOOP\r\n".length; at++) {
    const { body, seen } = receiver({});
    body.push(message.subarray(0, at));
    if (seen.ends.length === 0) body.push(message.subarray(at));
    assert.equal(decodeUtf8Lenient(concatBytes(seen.chunks)), "one\r\n.two\r\n");
    assert.deepEqual(seen.calls, ["finish"]);
    assert.deepEqual(seen.ends, [{ kind: "taken", reply: taken }]);
  }
});

test("a sink that waits holds everything up, in order", async () => {
  const open: (() => void)[] = [];
  const { body, seen } = receiver({ write: () => new Promise<void>((resolve) => open.push(resolve)) });
  body.push(encodeUtf8("one\r\n"));
  body.push(encodeUtf8("two\r\n.\r\nRSET\r\n"));
  assert.ok(body.waiting);
  assert.equal(seen.chunks.length, 1);
  for (let turns = 0; open.length > 0 && turns < 20; turns++) {
    open.shift()?.();
    await Promise.resolve();
    await Promise.resolve();
  }
  assert.equal(decodeUtf8Lenient(concatBytes(seen.chunks)), "one\r\ntwo\r\n");
  assert.deepEqual(seen.calls, ["finish"]);
  assert.equal(seen.rest, "RSET\r\n");
});

const bad: readonly (readonly [name: string, body: string, problem: string])[] = [
  ["a bare LF", "one\ntwo\r\n.\r\nX", "bareNewline"],
  ["a NUL", "one\0two\r\n.\r\nX", "nul"],
  ["a long line", `${"x".repeat(60)}\r\n.\r\nX`, "lineTooLong"],
  ["too many octets", `${"x".repeat(40)}\r\n${"x".repeat(40)}\r\n${"x".repeat(40)}\r\n.\r\nX`, "tooBig"],
];
for (const [name, text, problem] of bad) {
  test(`${name}: aborted once, read to the end, refused`, () => {
    for (const size of [1, 7, 1000]) {
      const { body, seen } = receiver({});
      const octets = encodeUtf8(text);
      for (let at = 0; at < octets.length && seen.ends.length === 0; at += size)
        body.push(octets.subarray(at, at + size));
      assert.deepEqual(seen.calls, ["abort"]);
      assert.deepEqual(seen.ends, [{ kind: "refused", problem }]);
    }
  });
}

test("a spoiled body without an end is given up", () => {
  const { body, seen } = receiver({});
  for (let i = 0; i < 10 && seen.ends.length === 0; i++)
    body.push(encodeUtf8("0123456789012345678901234567890123456789\r\n"));
  assert.deepEqual(seen.ends, [{ kind: "endless" }]);
  assert.deepEqual(seen.calls, ["abort"]);
});

test("a sink that throws or rejects on write is aborted, and refused at the end of data", async () => {
  const reasons = [
    () => {
      throw new Error("disk");
    },
    () => Promise.reject(new Error("disk")),
  ];
  for (const write of reasons) {
    const { body, seen } = receiver({ write });
    body.push(encodeUtf8("one\r\n"));
    await new Promise((resolve) => setImmediate(resolve));
    body.push(encodeUtf8("two\r\n.\r\n"));
    assert.deepEqual(seen.calls, ["abort"]);
    assert.deepEqual(seen.ends, [{ kind: "refused", problem: "failed" }]);
    assert.equal(seen.failures, 1);
  }
});

test("a finish that throws or rejects is refused and never aborted", async () => {
  const reasons = [
    () => {
      throw new Error("disk");
    },
    () => Promise.reject(new Error("disk")),
  ];
  for (const finish of reasons) {
    const { body, seen } = receiver({ finish });
    body.push(encodeUtf8(".\r\n"));
    await new Promise((resolve) => setImmediate(resolve));
    body.abort();
    assert.deepEqual(seen.calls, ["finish"]);
    assert.deepEqual(seen.ends, [{ kind: "refused", problem: "failed" }]);
  }
});

test("abort ends it once, also while the sink is waiting", async () => {
  const { body, seen } = receiver({ write: () => Promise.resolve() });
  body.push(encodeUtf8("one\r\ntwo\r\n.\r\n"));
  body.abort();
  body.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen.calls, ["abort"]);
  assert.deepEqual(seen.ends, []);
});

/** Some octets alone in their buffer, as they come from a socket. */
function fromSocket(octets: number): Uint8Array {
  return encodeUtf8(`${"x".repeat(48)}\r\n`.repeat(octets / 50)).slice();
}

function copying(copies: boolean, write: (chunk: Uint8Array) => void | Promise<void> = () => {}): BodyOptions["sink"] {
  return { copies, write, finish: () => taken, abort: () => {} };
}

test("memory is freed once the sink has copied it: when its promise settled, and never what another may hold", async () => {
  const large = { maxSize: 1_000_000 };
  const copied = fromSocket(10_000);
  receiver({ ...large, sink: copying(true) }).body.push(copied);
  assert.equal(copied.length, 0, "freed");

  const kept = fromSocket(10_000);
  receiver({ ...large, sink: copying(false) }).body.push(kept);
  assert.equal(kept.length, 10_000, "the sink's to keep");

  let settle = (): void => {};
  const waiting = fromSocket(10_000);
  const { body } = receiver({
    ...large,
    sink: copying(true, () => new Promise<void>((resolve) => (settle = resolve))),
  });
  body.push(waiting);
  assert.equal(waiting.length, 10_000, "the sink is not done with it");
  settle();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(waiting.length, 0);

  const part = fromSocket(20_000);
  receiver({ ...large, sink: copying(true) }).body.push(part.subarray(0, 10_000));
  assert.equal(part.length, 20_000, "a part of a larger buffer");

  const last = concatBytes([fromSocket(10_000), encodeUtf8(".\r\nNOOP\r\n")]);
  const ended = receiver({ ...large, sink: copying(true) });
  ended.body.push(last);
  assert.equal(ended.seen.rest, "NOOP\r\n", "what stands behind the end is still to be read");
});
