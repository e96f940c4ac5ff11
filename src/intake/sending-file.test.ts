import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DAY, instant, later } from "../base/index.ts";
import { openSendingFile } from "./sending-file.ts";

const NOW = instant(Date.UTC(2026, 10, 22));
const RECIPIENT = Uint8Array.of(1);

test("a change that SQLite ends by itself is told by its cause, and what was too old is removed by the next one", () => {
  const folder = mkdtempSync(join(tmpdir(), "sending-file-"));
  const path = join(folder, "limits.sqlite");
  const file = openSendingFile(path);
  const beside = new DatabaseSync(path);
  try {
    const count = (at: number): void =>
      file.save(
        { counts: [["user anna", [{ limit: "messages_per_day", at, count: 1 }]]], written: [["anna", RECIPIENT]] },
        instant(at),
      );
    count(NOW);
    beside.exec(
      "CREATE TRIGGER full BEFORE INSERT ON counts BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END",
    );
    const month = later(NOW, 31 * DAY);
    assert.throws(() => count(month), /database or disk is full/);
    beside.exec("DROP TRIGGER full");
    count(month);
    assert.deepEqual(file.tally("user anna"), { messages_per_day: [[month, 1]] });
    assert.equal(file.knows("anna", RECIPIENT, month), true);
  } finally {
    beside.close();
    file.close();
    rmSync(folder, { recursive: true });
  }
});

test("a cleaning whose commit failed is done again", () => {
  const folder = mkdtempSync(join(tmpdir(), "sending-file-"));
  const path = join(folder, "limits.sqlite");
  const file = openSendingFile(path);
  const beside = new DatabaseSync(path);
  try {
    const old = [["user anna", [{ limit: "messages_per_day", at: NOW, count: 1 }]]] as const;
    file.save({ counts: old, written: [] }, NOW);
    beside.exec("PRAGMA foreign_keys = ON; CREATE TABLE parent (id INTEGER PRIMARY KEY)");
    beside.exec("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    // SQLite looks at it with the commit, which fails by it.
    beside.exec("CREATE TRIGGER orphan AFTER DELETE ON counts BEGIN INSERT INTO child VALUES (5); END");
    const next = later(NOW, 5 * DAY);
    assert.throws(() => file.save({ counts: [], written: [] }, next), /FOREIGN KEY/);
    beside.exec("DROP TRIGGER orphan");
    file.save({ counts: [], written: [] }, next);
    assert.deepEqual(file.tally("user anna"), {});
  } finally {
    beside.close();
    file.close();
    rmSync(folder, { recursive: true });
  }
});
