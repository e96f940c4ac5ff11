import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../base/index.ts";
import { recordStream } from "./loopback.ts";
import { memoryStreamPair } from "./memory-stream.ts";

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("octets arrive later, in order, cut as asked for, and not before attach", async () => {
  const [near, far] = memoryStreamPair({ chunk: (bytes) => [bytes.subarray(0, 1), bytes.subarray(1)] });
  const mine = encodeUtf8("hello");
  near.write(mine);
  mine.fill(0);
  await settled();
  const pieces: string[] = [];
  far.attach({
    data: (bytes) => void pieces.push(Buffer.from(bytes).toString()),
    drained() {},
    ended() {},
    closed() {},
  });
  assert.deepEqual(pieces, []);
  await settled();
  assert.deepEqual(pieces, ["h", "ello"]);
});

test("half-close and the end of both", async () => {
  const [near, far] = memoryStreamPair();
  const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
  near.write(encodeUtf8("QUIT"));
  near.end();
  assert.equal(near.write(encodeUtf8("late")), false);
  await farRecord.ended;
  far.write(encodeUtf8("221"));
  far.end();
  assert.equal(await nearRecord.closed, null);
  assert.equal(await farRecord.closed, null);
  assert.deepEqual(nearRecord.events, ["data", "ended", "closed"]);
  assert.equal(Buffer.from(farRecord.bytes()).toString(), "QUIT");
});

test("back-pressure, pause, cork", async () => {
  const [near, far] = memoryStreamPair({ highWater: 8 });
  const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
  far.pause();
  assert.equal(near.write(encodeUtf8("1234567")), true);
  assert.equal(near.write(encodeUtf8("8")), false);
  await settled();
  assert.equal(near.unsent, 8);
  assert.deepEqual([...nearRecord.events, ...farRecord.events], []);
  far.resume();
  await nearRecord.drained;
  assert.equal(near.unsent, 0);
  near.cork();
  near.write(encodeUtf8("9"));
  await settled();
  assert.equal(farRecord.bytes().length, 8);
  near.uncork();
  await settled();
  assert.equal(farRecord.bytes().length, 9);
});

test("a destroyed peer is an end, and a reset for who writes to it", async () => {
  const [near, far] = memoryStreamPair();
  const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
  near.destroy();
  await farRecord.ended;
  assert.equal(await nearRecord.closed, null);
  far.write(encodeUtf8("x"));
  assert.equal((await farRecord.closed)?.kind, "reset");
});
