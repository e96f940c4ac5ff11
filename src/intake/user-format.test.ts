import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { bringUserFormat } from "./user-format.ts";

/** A disk that is full when the change is to be kept, whereupon SQLite takes it back by itself. */
class FullDisk extends DatabaseSync {
  full = true;

  override exec(sql: string): void {
    if (this.full && sql.includes("COMMIT")) {
      super.exec("ROLLBACK");
      throw new Error("database or disk is full");
    }
    super.exec(sql);
  }
}

test("a users file that cannot be brought to this format stays as it was, and the cause is told", () => {
  const database = new FullDisk(":memory:");
  const tables = (): unknown => database.prepare("SELECT count(*) AS count FROM sqlite_schema").get()?.count;
  assert.throws(() => bringUserFormat(database), /database or disk is full/);
  assert.equal(tables(), 0);
  database.full = false;
  bringUserFormat(database);
  const made = tables();
  assert.notEqual(made, 0);
  bringUserFormat(database);
  assert.equal(tables(), made);
  database.exec("PRAGMA user_version = 99");
  assert.throws(() => bringUserFormat(database), /newer version \(format 99/);
  database.close();
});
