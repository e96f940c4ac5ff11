import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Clock, instant } from "../../base/index.ts";
import { keepSample } from "../conformance-kit.ts";
import { parseQueueId } from "../queue-id.ts";
import type { AcceptedMessage, QueueStore } from "../store.ts";
import { openSqliteStore } from "./store.ts";

/*
 * Run by the test runner, this file kills a process that keeps mail and looks at what is left. Run with a path, it is that
 * process: it keeps messages of many sizes for as long as it lives and prints the id of each one the store acknowledged.
 */

const CALLERS = 8;
const SIZES = [10, 4096, 20_000, 300_000, 4096, 700_000, 4096];
const clock: Clock = { now: () => instant(Date.now()), after: () => ({ cancel() {} }) };

async function keepForEver(path: string): Promise<never> {
  const store = await openSqliteStore({ path, clock });
  let turn = 0;
  const caller = async (): Promise<never> => {
    for (;;) {
      const text = "a".repeat(SIZES[turn++ % SIZES.length] ?? 1);
      const { message } = await keepSample(store, ["a@x.test"], { text });
      process.stdout.write(`${message.id}\n`);
    }
  };
  return await Promise.race(Array.from({ length: CALLERS }, caller));
}

const queue = process.argv[2];
if (queue === undefined) {
  test("what was acknowledged before a SIGKILL is in the queue after it", { timeout: 60_000 }, killing);
} else {
  await keepForEver(queue);
}

async function killing(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-queue-"));
  const path = join(folder, "queue.db");
  const acknowledged = new Set<string>();
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), path]);
    await acknowledgements(child, acknowledged, 150 + round * 130);
    child.kill("SIGKILL");
    await once(child, "close");
  }
  const store = await openSqliteStore({ path, clock });
  const present = await store.list({ limit: 100_000 });
  const ids = new Set<string>(present.map(({ id }) => id));
  assert.ok(acknowledged.size > 500, `${acknowledged.size} acknowledged`);
  assert.deepEqual(
    [...acknowledged].filter((id) => !ids.has(id)),
    [],
  );
  for (const message of present) await wholeBody(store, message);
  await store.close();
  const database = new DatabaseSync(path);
  assert.equal(database.prepare("SELECT count(*) AS drafts FROM draft").get()?.drafts, 0);
  assert.equal(database.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
  database.close();
  await rm(folder, { recursive: true });
}

async function wholeBody(store: QueueStore, message: AcceptedMessage["message"]): Promise<void> {
  let octets = 0;
  for await (const chunk of store.body(message).chunks()) octets += chunk.length;
  assert.equal(octets, message.size);
}

/** Reads ids, one a line, until there are `count` new ones. What stands in the pipe behind them counts too. */
async function acknowledgements(child: ChildProcess, into: Set<string>, count: number): Promise<void> {
  const { stdout } = child;
  assert.ok(stdout !== null);
  let rest = "";
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error("the keeping process ended by itself")));
    stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        assert.ok(parseQueueId(line) !== null, line);
        into.add(line);
        seen++;
      }
      if (seen >= count) resolve();
    });
  });
}
