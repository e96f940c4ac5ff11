import { closeSync, openSync, statSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Instant } from "../base/index.ts";

/** A user as stored: the name in its one form, an argon2id PHC string, and a SCRAM verifier. */
export interface UserRow {
  readonly name: string;
  readonly password: string;
  readonly scram: string;
}

const FORMAT = 1;

/** Milliseconds to wait for another process that writes at this moment; its transaction is one row long. */
const BUSY_TIMEOUT = 2000;

/**
 * The users file: one table in an SQLite file of its own. A database and not a text file, because the command line writes
 * while the daemon reads: SQLite brings the lock between two writers, the atomic and synced write, and a reader that
 * always sees the last commit, where a text file would need all three made by hand.
 */
export class UserFile {
  readonly #path: string;
  #open: OpenFile;

  constructor(path: string) {
    this.#path = path;
    this.#open = openFile(path);
  }

  /** Random octets made with the file and kept as long as it. */
  get secret(): Uint8Array {
    return this.#current().secret;
  }

  find(name: string): UserRow | null {
    const row = this.#current().find.get(name);
    if (row === undefined) return null;
    return { name: text(row.name), password: text(row.password), scram: text(row.scram) };
  }

  /** False where the name is taken. */
  insert(row: UserRow, at: Instant): boolean {
    return Number(this.#current().insert.run(row.name, row.password, row.scram, at).changes) === 1;
  }

  remove(name: string): boolean {
    return Number(this.#current().remove.run(name).changes) === 1;
  }

  names(): readonly string[] {
    return this.#current()
      .names.all()
      .map((row) => text(row.name));
  }

  close(): void {
    this.#open.database.close();
  }

  /** The file by its name: one that was put back from a backup, or deleted, is another file than the one held open. */
  #current(): OpenFile {
    if (identityOf(this.#path) !== this.#open.identity) {
      const replaced = this.#open;
      this.#open = openFile(this.#path);
      replaced.database.close();
    }
    return this.#open;
  }
}

interface OpenFile {
  readonly identity: string | null;
  readonly database: DatabaseSync;
  readonly secret: Uint8Array;
  readonly find: StatementSync;
  readonly insert: StatementSync;
  readonly remove: StatementSync;
  readonly names: StatementSync;
}

function openFile(path: string): OpenFile {
  try {
    // Made here, because SQLite would make it readable by all; its journal takes the mode of the file.
    closeSync(openSync(path, "a", 0o600));
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT });
    try {
      // EXTRA also syncs the folder after the journal is deleted, so that an added user outlives a power cut.
      database.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON");
      prepareFormat(database);
      return {
        identity: identityOf(path),
        database,
        secret: readSecret(database),
        find: database.prepare("SELECT name, password, scram FROM users WHERE name = ?"),
        insert: database.prepare("INSERT OR IGNORE INTO users (name, password, scram, added_at) VALUES (?, ?, ?, ?)"),
        remove: database.prepare("DELETE FROM users WHERE name = ?"),
        names: database.prepare("SELECT name FROM users ORDER BY name"),
      };
    } catch (cause) {
      database.close();
      throw cause;
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot open the users file ${path}: ${reason}`, { cause });
  }
}

function prepareFormat(database: DatabaseSync): void {
  const format = Number(database.prepare("PRAGMA user_version").get()?.user_version);
  if (format > FORMAT) throw new Error(`it was written by a newer version (format ${format}, known is ${FORMAT})`);
  if (format === FORMAT) return;
  database.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL) STRICT;
    INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);
    CREATE TABLE IF NOT EXISTS users (
      name TEXT PRIMARY KEY,
      password TEXT NOT NULL,
      scram TEXT NOT NULL,
      added_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = ${FORMAT};
    COMMIT;
  `);
}

function readSecret(database: DatabaseSync): Uint8Array {
  const value = database.prepare("SELECT value FROM secret").get()?.value;
  if (value instanceof Uint8Array) return value;
  throw new Error("it has lost its secret");
}

function identityOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error("the users file holds a row of the wrong form");
}
