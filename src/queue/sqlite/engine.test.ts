import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DEFAULT_HISTORY } from "../history.ts";
import { Engine } from "./engine.ts";
import type { Failure, MessageColumns, Request, Result } from "./protocol.ts";

const IOERR_FSYNC = 1034;
const FULL = 13;
const OCTETS = new Uint8Array(1024 * 1024);

/** A disk whose syncs fail on demand, as after a lost device: the commit throws and its transaction is gone. */
class Disk {
  readonly handles: DatabaseSync[] = [];
  failing: "commit" | "begin" | "checkpoint" | null = null;
  /** What it fails with. */
  code = IOERR_FSYNC;
  syncs: string[] = [];
  /** How long a commit waits, ms. */
  slowness = 0;

  open(path: string): DatabaseSync {
    const disk = this;
    class Database extends DatabaseSync {
      override exec(sql: string): void {
        disk.syncs.push(sql);
        const failed =
          (disk.failing === "commit" && sql === "COMMIT") ||
          (disk.failing === "begin" && sql.startsWith("BEGIN")) ||
          (disk.failing === "checkpoint" && sql.includes("wal_checkpoint"));
        if (sql === "COMMIT") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, disk.slowness);
        if (!failed) {
          super.exec(sql);
          return;
        }
        if (this.isTransaction) super.exec("ROLLBACK");
        throw Object.assign(new Error("disk I/O error"), { errcode: disk.code });
      }
    }
    const database = new Database(path);
    this.handles.push(database);
    return database;
  }
}

interface Bench {
  readonly disk: Disk;
  readonly reopened: Failure[];
  run(...requests: Request[]): Result[];
  tidy(): void;
  takeSync(): number | null;
}

async function withEngine(body: (bench: Bench) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-engine-"));
  const [disk, reopened]: [Disk, Failure[]] = [new Disk(), []];
  const engine = new Engine({
    settings: { path: join(folder, "queue.db"), role: "owner", maxFileSize: null, history: DEFAULT_HISTORY },
    lock: null,
    onReopen: (failure) => reopened.push(failure),
    openDatabase: (path) => disk.open(path),
  });
  try {
    body({
      disk,
      reopened,
      run: (...requests) => engine.run({ requests, octets: OCTETS }),
      tidy: () => engine.tidy(),
      takeSync: () => engine.takeSync(),
    });
  } finally {
    engine.close();
    await rm(folder, { recursive: true });
  }
}

function message(id: number): MessageColumns {
  const recipients = [{ localPart: "a", domain: "x.test", parameters: "{}" }];
  const sender = { senderLocal: null, senderDomain: null };
  return {
    id,
    receivedAt: 5,
    expiresAt: 9,
    size: 100,
    ...sender,
    parameters: "{}",
    origin: "{}",
    priority: 0,
    dueAt: 5,
    recipients,
  };
}

function keep(id: number): Request {
  return { op: "keep", message: message(id), claim: true, octets: { from: 0, length: 100 } };
}

function oks(results: readonly Result[]): boolean[] {
  return results.map(({ ok }) => ok);
}

function counts(bench: Bench): unknown {
  const [result] = bench.run({ op: "counts", after: -1 });
  return result?.ok && result.answer !== null && typeof result.answer === "object" && "part" in result.answer
    ? result.answer.part
    : result;
}

test("a failed sync is the answer of all in the batch, and the handle is never used again", () =>
  withEngine((bench) => {
    const { disk, reopened, run } = bench;
    assert.deepEqual(oks(run(keep(1))), [true]);
    disk.failing = "commit";
    const results = run(keep(2), keep(3), { op: "unclaim", id: 1, recipients: [0] });
    assert.deepEqual(oks(results), [false, false, true], "claims end whatever the disk does");
    for (const result of results.slice(0, 2)) assert.ok(!result.ok && result.failure.kind === "broken");
    assert.equal(reopened.length, 1);
    assert.equal(
      disk.syncs.filter((sql) => sql === "COMMIT").length,
      3,
      "schema apart: purge, first keep, failed keep",
    );
    disk.failing = null;
    assert.deepEqual(counts(bench), { messages: 1, recipients: 1, held: 0, claimed: 0, octets: 100 });
    assert.equal(disk.handles.length, 2);
    assert.equal(disk.handles[0]?.isOpen, false);
    assert.deepEqual(oks(run(keep(2), keep(3))), [true, true]);
  }));

test("a draft whose chunks were not synced before the trouble cannot be kept after it", () =>
  withEngine(({ disk, run }) => {
    const append: Request = { op: "append", draft: 7, chunk: 7, octets: { from: 0, length: 100 } };
    const finish: Request = { op: "keep", message: message(7), claim: false, octets: null };
    assert.deepEqual(oks(run(append)), [true]);
    disk.failing = "commit";
    assert.deepEqual(oks(run(keep(1))), [false]);
    disk.failing = null;
    assert.deepEqual(oks(run(finish)), [false]);
    assert.deepEqual(oks(run({ op: "discard", draft: 7 }, append, finish)), [true, true, true]);
  }));

test("a draft that could not be thrown away while the disk was in trouble goes when it is over, without a new start", () =>
  withEngine(({ disk, run, tidy }) => {
    const rows = (): unknown =>
      disk.handles.at(-1)?.prepare("SELECT (SELECT count(*) FROM chunk) + (SELECT count(*) FROM draft) AS count").get()
        ?.count;
    appendMany(run, 7, 2);
    disk.failing = "commit";
    assert.deepEqual(oks(run({ op: "discard", draft: 7 })), [false]);
    tidy();
    disk.failing = null;
    assert.deepEqual(oks(run({ op: "retry", id: 1, at: 5 })), [true]);
    assert.equal(rows(), 3);
    tidy();
    assert.equal(rows(), 0);
    disk.syncs = [];
    tidy();
    assert.deepEqual(disk.syncs, [], "once");
  }));

test("a full disk does not keep a start from what is in the queue: drafts of before are thrown away when there is room", async () => {
  const folder = await mkdtemp(join(tmpdir(), "postern-engine-"));
  const disk = new Disk();
  const open = (): Engine =>
    new Engine({
      settings: { path: join(folder, "queue.db"), role: "owner", maxFileSize: null, history: DEFAULT_HISTORY },
      lock: null,
      onReopen: () => {},
      openDatabase: (path) => disk.open(path),
    });
  const before = open();
  const append: Request = { op: "append", draft: 7, chunk: 7, octets: { from: 0, length: 100 } };
  before.run({ requests: [append, keep(1)], octets: OCTETS });
  before.close();
  disk.code = FULL;
  disk.failing = "commit";
  const engine = open();
  try {
    assert.deepEqual(oks(engine.run({ requests: [{ op: "get", id: 1 }], octets: OCTETS })), [true]);
    const drafts = (): unknown => disk.handles.at(-1)?.prepare("SELECT count(*) AS count FROM draft").get()?.count;
    assert.equal(drafts(), 1);
    disk.failing = null;
    engine.tidy(9);
    assert.equal(drafts(), 0);
  } finally {
    engine.close();
    await rm(folder, { recursive: true });
  }
});

test("only the chunks of drafts go without a sync of their own", () =>
  withEngine(({ disk, run }) => {
    const level = (): unknown => disk.handles[0]?.prepare("PRAGMA synchronous").get()?.synchronous;
    disk.syncs = [];
    run({ op: "append", draft: 7, chunk: 7, octets: { from: 0, length: 100 } });
    assert.match(disk.syncs[0] ?? "", /^PRAGMA synchronous = NORMAL;/);
    assert.equal(level(), 2, "FULL again");
    disk.syncs = [];
    run({ op: "append", draft: 7, chunk: 8, octets: { from: 0, length: 100 } }, keep(1));
    assert.deepEqual(disk.syncs, ["BEGIN IMMEDIATE", "COMMIT"]);
  }));

/** A large message on its way in; its chunks are of a MiB. */
function appendMany(run: Bench["run"], draft: number, count: number): Result[] {
  const octets = { from: 0, length: OCTETS.length };
  return Array.from({ length: count }, (_, at) => run({ op: "append", draft, chunk: draft + at, octets })).flat();
}

test("a sync that fails while chunks go from the log into the file is not overlooked: the draft cannot be kept", () =>
  withEngine(({ disk, reopened, run }) => {
    disk.failing = "checkpoint";
    const appended = appendMany(run, 100, 20);
    disk.failing = null;
    assert.equal(oks(appended).filter((ok) => !ok).length, 1);
    assert.equal(reopened.length, 1);
    assert.deepEqual(oks(run({ op: "keep", message: message(100), claim: false, octets: null })), [false]);
  }));

test("the log does not grow with a message: chunks go into the file meanwhile, by a step whose failure is seen", () =>
  withEngine(({ disk, run }) => {
    const automatic = (): unknown => disk.handles[0]?.prepare("PRAGMA wal_autocheckpoint").get()?.wal_autocheckpoint;
    disk.syncs = [];
    appendMany(run, 100, 40);
    assert.equal(disk.syncs.filter((sql) => sql.includes("wal_checkpoint")).length, 2);
    for (const sql of disk.syncs.filter((each) => each.includes("synchronous = NORMAL"))) {
      assert.match(sql, /wal_autocheckpoint = 0/, "SQLite tells nobody when its own one fails");
    }
    assert.equal(automatic(), 4000, "behind a synced commit it has nothing to sync that could be lost");
  }));

test("a full disk in the way of that step costs no chunk", () =>
  withEngine(({ disk, run }) => {
    disk.code = FULL;
    disk.failing = "checkpoint";
    assert.ok(oks(appendMany(run, 100, 20)).every((ok) => ok));
    disk.failing = null;
    assert.deepEqual(oks(run({ op: "keep", message: message(100), claim: false, octets: null })), [true]);
  }));

test("commits are synced from the first on, also in a file that is opened anew", () =>
  withEngine((bench) => {
    const settings = (): readonly unknown[] => {
      const database = bench.disk.handles.at(-1);
      return [
        database?.prepare("PRAGMA synchronous").get()?.synchronous,
        database?.prepare("PRAGMA journal_mode").get()?.journal_mode,
      ];
    };
    assert.deepEqual(settings(), [2, "wal"], "FULL");
    bench.disk.failing = "commit";
    assert.deepEqual(oks(bench.run(keep(1))), [false]);
    bench.disk.failing = null;
    assert.deepEqual(oks(bench.run(keep(2))), [true]);
    assert.equal(bench.disk.handles.length, 2);
    assert.deepEqual(settings(), [2, "wal"]);
  }));

test("a transaction that cannot begin leaves everything as it was", () =>
  withEngine((bench) => {
    bench.disk.failing = "begin";
    assert.deepEqual(oks(bench.run(keep(1), keep(2))), [false, false]);
    bench.disk.failing = null;
    assert.deepEqual(counts(bench), { messages: 0, recipients: 0, held: 0, claimed: 0, octets: 0 });
  }));

test("what a commit waits for the disk is told once, and only of commits that sync", () =>
  withEngine(({ disk, run, takeSync }) => {
    disk.slowness = 30;
    run(keep(1));
    const sync = takeSync();
    assert.ok(sync !== null && sync >= 25, `${sync}`);
    assert.equal(takeSync(), null);
    run({ op: "append", draft: 2, chunk: 2, octets: { from: 0, length: 100 } });
    assert.equal(takeSync(), null, "chunks are synced with the message they belong to");
    run({ op: "counts", after: -1 });
    assert.equal(takeSync(), null);
  }));
