import type { DatabaseSync } from "node:sqlite";

/** 2 added what is kept of a user besides the password: being disabled, grants, limits and app passwords. */
const FORMAT = 2;

const FIRST = `
  CREATE TABLE secret (value BLOB NOT NULL) STRICT;
  INSERT INTO secret VALUES (randomblob(32));
  CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    scram TEXT NOT NULL,
    added_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

const SECOND = `
  ALTER TABLE users ADD COLUMN disabled_at INTEGER;
  CREATE TABLE grants (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    PRIMARY KEY (user, sender)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE limits (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (user, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE app_passwords (
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    added_at INTEGER NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (user, name),
    UNIQUE (user, digest)
  ) STRICT, WITHOUT ROWID;
`;

/** What makes format N + 1 of format N; 0 is an empty file. */
const STEPS = [FIRST, SECOND] as const;

/** Brings a users file to the format that this version writes; all of it or nothing. Throws on one that is newer. */
export function bringUserFormat(database: DatabaseSync): void {
  if (formatOf(database) === FORMAT) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    // Asked again behind the lock: another process may have done it in between.
    for (const step of STEPS.slice(formatOf(database))) database.exec(step);
    database.exec(`PRAGMA user_version = ${FORMAT}; COMMIT`);
  } catch (cause) {
    // Some failures have ended it already, and it is the cause that is to be told.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw cause;
  }
}

function formatOf(database: DatabaseSync): number {
  const format = Number(database.prepare("PRAGMA user_version").get()?.user_version);
  if (format > FORMAT) throw new Error(`it was written by a newer version (format ${format}, known is ${FORMAT})`);
  return format;
}
