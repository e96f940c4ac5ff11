import type { DatabaseSync } from "node:sqlite";
import { integer } from "./columns.ts";

/** The layout this code reads and writes; docs/queue-format.md explains each table. */
const SCHEMA_VERSION = 4;

/** "Pstn": tells `file` and us that the database is a Postern queue. */
const APPLICATION_ID = 0x5073746e;

/** Measured with 4 KiB messages: as fast as larger pages, which hold fewer such bodies for their size (8 KiB: half empty). */
const PAGE_SIZE = 4096;

const HISTORY = `
CREATE TABLE history (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  sender_local TEXT,
  sender_domain TEXT,
  local_part TEXT NOT NULL,
  domain TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  outcome TEXT NOT NULL
) STRICT;
`;

const SCHEMA = `${HISTORY}
CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  size INTEGER NOT NULL,
  held INTEGER NOT NULL,
  sender_local TEXT,
  sender_domain TEXT,
  parameters TEXT NOT NULL,
  origin TEXT NOT NULL
) STRICT;
CREATE INDEX message_expiry ON message (expires_at);
CREATE TABLE recipient (
  message INTEGER NOT NULL,
  place INTEGER NOT NULL,
  local_part TEXT NOT NULL,
  domain TEXT NOT NULL,
  parameters TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  outcome TEXT,
  priority INTEGER NOT NULL DEFAULT 0,
  warned INTEGER NOT NULL DEFAULT 0,
  override TEXT,
  PRIMARY KEY (message, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_due ON recipient (priority, next_attempt, domain) WHERE state = 0;
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  octets BLOB NOT NULL
) STRICT;
CREATE INDEX chunk_further ON chunk (message, id) WHERE id <> message;
CREATE TABLE draft (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE story (
  id INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  at INTEGER NOT NULL,
  recipient INTEGER,
  event TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX story_message ON story (message);
`;

/** What makes a file of the format before it one of the format named. */
const MIGRATIONS: ReadonlyMap<number, string> = new Map([
  [
    2,
    `ALTER TABLE recipient ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE recipient ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;
     DROP INDEX recipient_due;
     CREATE INDEX recipient_due ON recipient (priority, next_attempt, domain) WHERE state = 0;`,
  ],
  [3, HISTORY],
  [4, "ALTER TABLE recipient ADD COLUMN override TEXT;"],
]);

/** Makes the tables in an empty file, and an older file a new one; refuses a file of another program or of a newer version. */
export function prepareSchema(database: DatabaseSync): void {
  const version = pragma(database, "user_version");
  if (version === SCHEMA_VERSION && pragma(database, "application_id") === APPLICATION_ID) return;
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `the queue file has format ${version}; this version of Postern reads ${SCHEMA_VERSION}: upgrade Postern`,
    );
  }
  if (version > 0 && pragma(database, "application_id") === APPLICATION_ID) {
    for (let next = version + 1; next <= SCHEMA_VERSION; next++) migrate(database, next);
    return;
  }
  if (version !== 0 || pragma(database, "schema_version") !== 0) {
    throw new Error("the file is an SQLite database but not a Postern queue: choose another path");
  }
  database.exec(`PRAGMA page_size = ${PAGE_SIZE}; PRAGMA auto_vacuum = INCREMENTAL`);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec(`BEGIN IMMEDIATE; ${SCHEMA}
    PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
}

/** One format further, or not at all. */
function migrate(database: DatabaseSync, version: number): void {
  const changes = MIGRATIONS.get(version);
  if (changes === undefined) throw new Error(`the queue file cannot be brought to format ${version}`);
  database.exec("BEGIN IMMEDIATE");
  // Another process may have been first.
  if (pragma(database, "user_version") < version) database.exec(`${changes} PRAGMA user_version = ${version};`);
  database.exec("COMMIT");
}

/** The value of a pragma that is one integer. */
export function pragma(database: DatabaseSync, name: string): number {
  const row = database.prepare(`PRAGMA ${name}`).get();
  return row === undefined ? 0 : integer(row, name);
}
