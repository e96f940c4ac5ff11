import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LineRelay } from "./line-relay.ts";

/** Takes what is written only when told. */
class SlowSink extends Writable {
  readonly chunks: string[] = [];
  #held: (() => void)[] = [];
  open = true;

  constructor() {
    super({ highWaterMark: 16 });
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk).toString());
    if (this.open) done();
    else this.#held.push(done);
  }

  release(): void {
    this.open = true;
    for (const done of this.#held.splice(0)) done();
  }
}

test("lines of several writers are never cut by each other, wherever their pieces are", async () => {
  const sink = new SlowSink();
  const relay = new LineRelay(sink);
  const [one, two] = [new PassThrough(), new PassThrough()];
  relay.add(one);
  relay.add(two);
  const text = "first line\nsecond\n\nthird é\n";
  const octets = Buffer.from(text);
  for (let at = 0; at < octets.length; at++) {
    one.write(octets.subarray(at, at + 1));
    await turn();
    two.write(at % 3 === 0 ? "other " : "words\n");
    await turn();
  }
  one.end("without an end");
  two.end();
  await turn();
  await turn();
  const written = sink.chunks.join("").split("\n");
  assert.ok(
    written.every((line) => /^(?:first line|second|third é|(?:other )*(?:words)?|without an end)$/.test(line)),
    written.join("|"),
  );
  assert.equal(written.filter((line) => line === "third é").length, 1);
  assert.equal(written.filter((line) => line === "without an end").length, 1);
});

test("who writes faster than is read waits, and nothing of it is lost", async () => {
  const sink = new SlowSink();
  sink.open = false;
  const relay = new LineRelay(sink);
  const from = new PassThrough({ highWaterMark: 64 });
  relay.add(from);
  const line = `${"x".repeat(60)}\n`;
  let written = 0;
  while (written < 1000 && from.write(line)) {
    written++;
    await turn();
  }
  written++;
  assert.ok(written < 20, `${written} lines went in though nobody reads`);
  sink.release();
  for (let waited = 0; waited < 100 && sink.chunks.join("").length < written * line.length; waited++) await turn();
  assert.equal(sink.chunks.join(""), line.repeat(written));
});

test("where nobody reads any more, writers are not held up", async () => {
  const sink = new SlowSink();
  sink.open = false;
  const relay = new LineRelay(sink);
  const from = new PassThrough({ highWaterMark: 64 });
  relay.add(from);
  const line = `${"x".repeat(60)}\n`;
  for (let n = 0; n < 20; n++) from.write(line);
  await turn();
  sink.on("error", () => {});
  sink.destroy(new Error("EPIPE"));
  for (let waited = 0; waited < 100 && from.readableLength > 0; waited++) await turn();
  assert.equal(from.readableLength, 0);
});
