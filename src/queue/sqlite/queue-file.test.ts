import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Claims } from "../claims.ts";
import { DEFAULT_HISTORY } from "../history.ts";
import type { Failure } from "./protocol.ts";
import { QueueFile } from "./queue-file.ts";
import { pragma } from "./schema.ts";

const [BUSY, IOERR_FSYNC, FULL] = [5, 1034, 13];

function trouble(errcode: number): Error {
  return Object.assign(new Error("the disk says no"), { errcode });
}

interface Bench {
  readonly file: QueueFile;
  readonly opened: DatabaseSync[];
  readonly told: Failure[];
}

async function withFile(body: (bench: Bench) => void, maxFileSize: number | null = null): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-file-"));
  const [opened, told]: [DatabaseSync[], Failure[]] = [[], []];
  const file = new QueueFile({
    settings: { path: join(folder, "queue.db"), maxFileSize, history: DEFAULT_HISTORY },
    claims: new Claims(),
    onReopen: (failure) => told.push(failure),
    openDatabase: (path) => {
      const database = new DatabaseSync(path, { timeout: 5000 });
      opened.push(database);
      return database;
    },
  });
  try {
    body({ file, opened, told });
  } finally {
    file.close();
    await rm(folder, { recursive: true });
  }
}

test("one handle serves until trouble with the disk; then it is closed, and the next use opens another", () =>
  withFile(({ file, opened, told }) => {
    const first = file.open();
    assert.equal(file.open(), first);
    for (const harmless of [FULL, BUSY]) file.recover(trouble(harmless));
    assert.equal(file.open(), first);
    assert.deepEqual(told, []);
    file.recover(trouble(IOERR_FSYNC));
    assert.equal(first.database.isOpen, false);
    assert.deepEqual(told, [{ kind: "broken", text: "the disk says no" }]);
    assert.notEqual(file.open(), first);
    assert.equal(opened.length, 2);
  }));

test("trouble that lasts is told once, and again after something was written between", () =>
  withFile(({ file, told }) => {
    for (let at = 0; at < 3; at++) {
      file.open();
      file.notWritten(trouble(IOERR_FSYNC));
    }
    assert.equal(told.length, 1);
    file.open();
    file.written();
    file.notWritten(trouble(IOERR_FSYNC));
    assert.equal(told.length, 2);
  }));

test("a transaction that was open ends with the trouble", () =>
  withFile(({ file }) => {
    const { database, transactions } = file.open();
    transactions.begin(false);
    file.recover(trouble(FULL));
    assert.equal(database.isTransaction, false);
    assert.equal(pragma(database, "synchronous"), 2, "FULL");
  }));

test("who held the lock for long is waited for less long, until a change was written", () =>
  withFile(({ file }) => {
    const patience = (): unknown => file.open().database.prepare("PRAGMA busy_timeout").get()?.timeout;
    assert.equal(patience(), 5000);
    file.notWritten(trouble(BUSY));
    assert.equal(patience(), 100);
    file.notWritten(trouble(FULL));
    assert.equal(patience(), 5000);
    file.notWritten(trouble(BUSY));
    file.written();
    assert.equal(patience(), 5000);
    file.notWritten(trouble(BUSY));
    file.notWritten(trouble(IOERR_FSYNC));
    assert.equal(patience(), 5000, "of the new handle");
    file.notWritten(trouble(BUSY));
    assert.equal(patience(), 100);
  }));

test("the file grows to its bound and no further", () =>
  withFile(({ file }) => {
    const { database } = file.open();
    assert.equal(pragma(database, "max_page_count"), 256);
    assert.throws(() => database.exec("INSERT INTO chunk VALUES (1, 1, zeroblob(2000000))"), { errcode: FULL });
  }, 1024 * 1024));
