import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Worker } from "node:worker_threads";
import { type Clock, instant } from "../../base/index.ts";
import { DELIVERED, FAILED, keepSample, newMessage, START, settlement } from "../conformance-kit.ts";
import type { HistoryBounds } from "../history.ts";
import { type AcceptedMessage, StoreError } from "../store.ts";
import { durableConformance, storeConformance } from "../store-conformance.ts";
import { pruneHistory } from "./prune-history.ts";
import { openSqliteStore } from "./store.ts";

const clock: Clock = { now: () => instant(1_800_000_000_000), after: () => ({ cancel() {} }) };

async function inFolder(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-queue-"));
  try {
    await body(join(folder, "queue.db"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function rows(path: string, table: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare(`SELECT count(*) AS count FROM ${table}`).get();
  database.close();
  return Number(row?.count);
}

for (const { title, run } of [...storeConformance, ...durableConformance]) {
  test(`SQLite store: ${title}`, () => inFolder((path) => run((clock) => openSqliteStore({ path, clock }))));
}

test("a draft that is disposed while it is being kept stays kept", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock });
    for (const size of [10, 500_000]) {
      const draft = store.createDraft();
      await draft.append(new Uint8Array(size));
      const keeping = draft.keep(newMessage(draft.id, size, ["a@x.test"]));
      await draft[Symbol.asyncDispose]();
      await keeping;
      assert.equal((await store.get(draft.id))?.size, size);
    }
    await store.close();
  }));

test("a body that comes octet by octet takes no more memory than another", () =>
  inFolder(async (path) => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    const store = await openSqliteStore({ path, clock });
    await using draft = store.createDraft();
    const heap = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = heap();
    for (let at = 0; at < 100_000; at++) await draft.append(new Uint8Array(new ArrayBuffer(1)));
    const grown = heap() - before;
    assert.ok(grown < 3_000_000, `${grown} octets of heap for 100,000 octets of mail`);
    await draft[Symbol.asyncDispose]();
    await store.close();
  }));

test("who measures hears of each message that is kept and of each sync, and of nothing else", () =>
  inFolder(async (path) => {
    const heard = { kept: [] as number[], synced: [] as number[] };
    const watch = {
      kept: (took: number) => void heard.kept.push(took),
      synced: (took: number) => void heard.synced.push(took),
    };
    const store = await openSqliteStore({ path, clock, watch, maxFileSize: 400_000 });
    await store.counts();
    assert.deepEqual(heard, { kept: [], synced: [] });
    const begun = performance.now();
    await Promise.all(["a@x.test", "b@x.test", "c@x.test"].map((to) => keepSample(store, [to])));
    const took = performance.now() - begun;
    assert.equal(heard.kept.length, 3);
    assert.ok(heard.synced.length >= 1 && heard.synced.length <= 3, String(heard.synced.length));
    assert.ok([...heard.kept, ...heard.synced].every((each) => each >= 0 && each <= took));
    await using draft = store.createDraft();
    await assert.rejects(async () => {
      await draft.append(new Uint8Array(1_000_000));
      await draft.keep(newMessage(draft.id, 1_000_000, ["d@x.test"]));
    }, StoreError);
    assert.equal(heard.kept.length, 3, "what was not stored was not kept");
    await store.close();
  }));

test("delivered, removed and discarded mail leaves no row in any table", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock });
    const large = await keepSample(store, ["a@x.test"], { text: "a".repeat(2_000_000) });
    const small = await keepSample(store, ["a@x.test"], { text: "a".repeat(100) });
    {
      await using draft = store.createDraft();
      await draft.append(new Uint8Array(1_000_000));
    }
    await store.hold(small.message.id, clock.now());
    await store.remove(small.message.id, clock.now());
    await store.settle({
      id: large.message.id,
      at: clock.now(),
      recipients: [
        { index: 0, nextAttempt: null, warned: false, outcome: { kind: "delivered", reply: null, hop: HOP } },
      ],
      report: null,
    });
    await store.close();
    for (const table of ["message", "recipient", "chunk", "draft", "story"]) assert.equal(rows(path, table), 0, table);
  }));

const HOP = { host: "discard", address: null, port: null, tls: null, rule: "local" };

test("what the queue's files hold is for their owner alone", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock });
    await keepSample(store, ["a@x.test"]);
    for (const suffix of ["", "-wal", "-shm", ".owner"]) {
      assert.equal((await stat(path + suffix)).mode & 0o777, 0o600, suffix);
    }
    await store.close();
  }));

test("a thread that dies is told of once, and fails what is asked from then on", () =>
  inFolder(async (path) => {
    const threads: Worker[] = [];
    const note = (worker: Worker) => void threads.push(worker);
    process.on("worker", note);
    const deaths: StoreError[] = [];
    const store = await openSqliteStore({ path, clock, onDeath: (error) => void deaths.push(error) });
    process.off("worker", note);
    await keepSample(store, ["a@x.test"]);
    await Promise.all(threads.map((thread) => thread.terminate()));
    await assert.rejects(store.counts(), (error) => error instanceof StoreError && error.kind === "broken");
    assert.equal(deaths.length, 1);
    const next = await openSqliteStore({ path, clock, onDeath: () => assert.fail("closed in order") });
    assert.equal((await next.counts()).messages, 1);
    await next.close();
  }));

test("half-received mail of a process that died is deleted by the next owner", () =>
  inFolder(async (path) => {
    const first = await openSqliteStore({ path, clock });
    const kept = await keepSample(first, ["a@x.test"], { text: "a".repeat(1_000_000) });
    const draft = first.createDraft();
    for (let n = 0; n < 30; n++) await draft.append(new Uint8Array(100_000));
    await first.close();
    assert.ok(rows(path, "chunk") > 8 && rows(path, "draft") === 1, "the draft had reached the file");
    const second = await openSqliteStore({ path, clock });
    assert.deepEqual(
      (await second.list({ limit: 9 })).map(({ id }) => id),
      [kept.message.id],
    );
    await second.close();
    assert.equal(rows(path, "chunk"), 8);
    assert.equal(rows(path, "draft"), 0);
  }));

test("one owner at a time; an admin may open beside it", () =>
  inFolder(async (path) => {
    const owner = await openSqliteStore({ path, clock });
    await assert.rejects(
      openSqliteStore({ path, clock }),
      (error) => error instanceof StoreError && error.kind === "busy",
    );
    const { message } = await keepSample(owner, ["a@x.test"], { text: "a".repeat(10) });
    const admin = await openSqliteStore({ path, clock, role: "admin" });
    assert.equal(await admin.hold(message.id, clock.now()), true);
    assert.equal((await owner.get(message.id))?.held, true);
    await admin.close();
    await owner.close();
    await (await openSqliteStore({ path, clock })).close();
  }));

test("a full store says so, keeps what it had, and takes mail again when there is room", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock, maxFileSize: 2_000_000 });
    const kept: AcceptedMessage[] = [];
    const refused: unknown[] = [];
    await Promise.all(
      Array.from({ length: 40 }, () =>
        keepSample(store, ["a@x.test"], { text: "a".repeat(100_000) }).then(
          (it) => kept.push(it),
          (error) => refused.push(error),
        ),
      ),
    );
    assert.ok(kept.length >= 10 && refused.length >= 10, `${kept.length} kept, ${refused.length} refused`);
    for (const error of refused) assert.ok(error instanceof StoreError && error.kind === "full", String(error));
    assert.equal((await store.counts()).messages, kept.length);
    await assert.rejects(
      keepSample(store, ["a@x.test"], { text: "a".repeat(1_500_000) }),
      (error) => error instanceof StoreError && error.kind === "full",
    );
    for (const { message } of kept.slice(0, 5)) await store.remove(message.id, clock.now());
    await keepSample(store, ["a@x.test"], { text: "a".repeat(100_000) });
    assert.equal((await store.counts()).messages, kept.length - 4);
    await store.close();
    assert.equal(rows(path, "draft"), 0);
  }));

test("a message of which one piece found no room is not kept, though the rest would fit", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock, maxFileSize: 1_000_000, draftMemory: 1000 });
    await assert.rejects(
      keepSample(store, ["a@x.test"], { text: "a".repeat(1_000_000) }),
      (error) => error instanceof StoreError && error.kind === "full",
    );
    assert.equal((await store.counts()).messages, 0);
    await store.close();
  }));

test("a request that cannot be done fails none of its batch", () =>
  inFolder(async (path) => {
    const store = await openSqliteStore({ path, clock });
    const failing = await keepSample(store, ["a@x.test"], { text: "a".repeat(5) });
    const twice = await keepSample(store, ["a@x.test"], { text: "a".repeat(10) });
    const bad = store.settle({
      id: failing.message.id,
      at: clock.now(),
      recipients: [{ index: 0, nextAttempt: null, warned: false, outcome: FAILED }],
      // An id that is taken: the insert violates the primary key, after other statements of the batch were run.
      report: { message: { ...twice.message, recipients: [] }, body: [new Uint8Array(10)] },
    });
    const all = await Promise.allSettled([
      keepSample(store, ["a@x.test"], { text: "a".repeat(20) }),
      bad,
      keepSample(store, ["a@x.test"], { text: "a".repeat(30) }),
    ]);
    assert.deepEqual(
      all.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(
      (await store.list({ limit: 9 })).map(({ size }) => size),
      [5, 10, 20, 30],
    );
    await store.close();
  }));

/** The recipient table as format 1 had it. */
const FORMAT_1 = `
  DROP TABLE history;
  DROP INDEX recipient_due;
  ALTER TABLE recipient DROP COLUMN priority;
  ALTER TABLE recipient DROP COLUMN warned;
  ALTER TABLE recipient DROP COLUMN override;
  CREATE INDEX recipient_due ON recipient (next_attempt, domain) WHERE state = 0;
  PRAGMA user_version = 1;`;

test("a file of the first format is brought to this one, with its mail", () =>
  inFolder(async (path) => {
    const before = await openSqliteStore({ path, clock });
    const { message } = await keepSample(before, ["a@x.test"], { text: "body" });
    await before.close();
    const database = new DatabaseSync(path);
    database.exec(FORMAT_1);
    database.close();
    const after = await openSqliteStore({ path, clock });
    assert.deepEqual(await after.get(message.id), message);
    const [due] = await after.claimDue({ now: clock.now(), limit: 9 });
    assert.deepEqual(due?.recipients, [0]);
    await after.close();
    const again = new DatabaseSync(path, { readOnly: true });
    assert.equal(again.prepare("PRAGMA user_version").get()?.user_version, 4);
    assert.match(
      String(again.prepare("SELECT sql FROM sqlite_schema WHERE name = 'recipient_due'").get()?.sql),
      /priority/,
    );
    again.close();
  }));

test("history is kept as long and as much as was asked for, and not at all where nothing was", () =>
  inFolder(async (path) => {
    const deliver = async (history: HistoryBounds, count: number, at: number) => {
      const store = await openSqliteStore({ path, clock, history });
      for (let i = 0; i < count; i++) {
        const { message } = await keepSample(store, [`a${i}@x.test`]);
        await store.settle(settlement(message.id, [[0, DELIVERED]]));
      }
      await store.close();
      const database = new DatabaseSync(path);
      database.exec(`UPDATE history SET finished_at = ${at} WHERE finished_at = ${START + 1000}`);
      pruneHistory(database, history, 1_000_000);
      database.close();
      return rows(path, "history");
    };
    assert.equal(await deliver({ age: 1000, recipients: 3 }, 5, 999_500), 3);
    assert.equal(await deliver({ age: 1000, recipients: 9 }, 2, 999_900), 5);
    assert.equal(await deliver({ age: 300, recipients: 9 }, 1, 999_950), 3);
    assert.equal(await deliver({ age: 10, recipients: 9 }, 0, 0), 0);
    assert.equal(await deliver({ age: 1000, recipients: 0 }, 2, 999_950), 0);
  }));

test("files that are no queue are refused with a reason", () =>
  inFolder(async (path) => {
    const refused = (at: string) => assert.rejects(openSqliteStore({ path: at, clock }), StoreError);
    await writeFile(
      `${path}.text`,
      "this is no database, and long enough to be read as a header of one, one hundred octets or more, yes",
    );
    await refused(`${path}.text`);
    const other = new DatabaseSync(`${path}.other`);
    other.exec("CREATE TABLE t (x)");
    other.close();
    await refused(`${path}.other`);
    await refused(join(path, "no", "folder"));
    await (await openSqliteStore({ path, clock })).close();
    const newer = new DatabaseSync(path);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    await refused(path);
  }));
