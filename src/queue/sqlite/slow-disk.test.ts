import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Clock, instant } from "../../base/index.ts";
import { DELIVERED, keepSample, settlement } from "../conformance-kit.ts";
import { openSqliteStore } from "./store.ts";

/*
 * Run by the test runner, this file counts the commits of a process whose disk is slow. Run with a path, it is that process: senders
 * that each keep one message after another, whose outcomes are written meanwhile, as a daemon has it.
 */

const SENDERS = 10;
const MESSAGES = 20;
/** In the store's thread: each commit waits 30 ms, and how many there were is said at the end. */
const SLOW = `data:text/javascript,${encodeURIComponent(`
  import { writeSync } from "node:fs";
  import { DatabaseSync } from "node:sqlite";
  import { isMainThread } from "node:worker_threads";
  if (!isMainThread) {
    let commits = 0;
    const exec = DatabaseSync.prototype.exec;
    DatabaseSync.prototype.exec = function (sql) {
      if (sql === "COMMIT" && ++commits > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
      return exec.call(this, sql);
    };
    process.on("exit", () => writeSync(1, String(commits)));
  }`)}`;

async function sendAll(path: string): Promise<void> {
  const clock: Clock = { now: () => instant(Date.now()), after: () => ({ cancel() {} }) };
  const store = await openSqliteStore({ path, clock });
  const outcomes: Promise<void>[] = [];
  const sender = async (at: number): Promise<void> => {
    for (let n = 0; n < MESSAGES; n++) {
      const { message } = await keepSample(store, ["a@x.test"], { claim: true });
      outcomes.push(store.settle(settlement(message.id, [[0, DELIVERED]])));
      await sleep(1 + (at % 4)); // the way to the sender and back
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, (_, at) => sender(at)));
  await Promise.all(outcomes);
  const left = await store.counts();
  assert.equal(left.messages, 0);
  await store.close();
}

const queue = process.argv[2];
if (queue === undefined) {
  test("on a slow disk senders and outcomes share their syncs", { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "postern-slow-disk-"));
    try {
      const args = ["--import", SLOW, fileURLToPath(import.meta.url), join(folder, "queue.db")];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 50_000 });
      // One for each round of messages, one more for the last outcomes, and a few before the disk is known; with one for messages and one
      // for outcomes in turn it would be twice as many.
      const commits = Number(stdout);
      assert.ok(commits >= MESSAGES && commits < 1.8 * MESSAGES, `${commits} commits`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
} else {
  await sendAll(queue);
}
