import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { pragma } from "./schema.ts";
import { Transactions } from "./transactions.ts";

const [NORMAL, FULL] = [1, 2];
const MIB = 1024 * 1024;

interface Bench {
  readonly database: DatabaseSync;
  readonly transactions: Transactions;
  /** How often the log went into the file by our own step. */
  checkpoints(): number;
}

async function withFile(body: (bench: Bench) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-transactions-"));
  let checkpoints = 0;
  class Database extends DatabaseSync {
    override exec(sql: string): void {
      if (sql.includes("wal_checkpoint(PASSIVE)")) checkpoints++;
      super.exec(sql);
    }
  }
  const database = new Database(join(folder, "queue.db"));
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (n INTEGER)");
    body({ database, transactions: new Transactions(database), checkpoints: () => checkpoints });
  } finally {
    database.close();
    await rm(folder, { recursive: true });
  }
}

function levels(database: DatabaseSync): readonly [synchronous: number, automatic: number] {
  return [pragma(database, "synchronous"), pragma(database, "wal_autocheckpoint")];
}

function rows(database: DatabaseSync): unknown {
  return database.prepare("SELECT count(*) AS count FROM t").get()?.count;
}

test("commits are synced from the first on, save those begun without", () =>
  withFile(({ database, transactions }) => {
    assert.deepEqual(levels(database), [FULL, 4000]);
    transactions.begin(false);
    assert.deepEqual(levels(database), [NORMAL, 0]);
    transactions.commitUnsynced(1);
    assert.deepEqual(levels(database), [FULL, 4000]);
    transactions.begin(true);
    assert.deepEqual(levels(database), [FULL, 4000]);
    assert.ok(transactions.commitSynced() >= 0);
    assert.equal(database.isTransaction, false);
  }));

test("what is rolled back leaves nothing, and the next commit is synced", () =>
  withFile(({ database, transactions }) => {
    for (const synced of [false, true]) {
      transactions.begin(synced);
      database.exec("INSERT INTO t VALUES (1)");
      transactions.rollBack();
      assert.equal(rows(database), 0);
      assert.deepEqual(levels(database), [FULL, 4000]);
      transactions.rollBack();
    }
  }));

test("chunks go from the log into the file after 16 MiB that no synced commit put there", () =>
  withFile(({ transactions, checkpoints }) => {
    const append = (): void => {
      transactions.begin(false);
      transactions.commitUnsynced(MIB);
    };
    for (let at = 0; at < 15; at++) append();
    assert.equal(checkpoints(), 0);
    append();
    assert.equal(checkpoints(), 1);
    for (let at = 0; at < 15; at++) append();
    transactions.begin(true);
    transactions.commitSynced();
    append();
    assert.equal(checkpoints(), 1, "that commit synced all of the log");
  }));
