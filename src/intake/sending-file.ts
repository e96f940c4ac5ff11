import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { DAY, type Instant, messageOf } from "../base/index.ts";
import type { SavedTally, UnsavedCount } from "./sending-tally.ts";
import type { CountedSlot } from "./sliding-count.ts";

/**
 * Milliseconds to wait for another process that writes at this moment: at the start, and once there are sessions, which all wait with this
 * one. What could not be written then is written later.
 */
const BUSY_TIMEOUT = 2000;
const SERVING_BUSY_TIMEOUT = 50;

/** For how long a recipient counts as one that the user has written to, in days. */
const KNOWN_DAYS = 30;

/** What is written at once, in one transaction. */
export interface SendingChanges {
  readonly counts: Iterable<readonly [key: string, counts: readonly UnsavedCount[]]>;
  /** Recipients written to, by user and hash. */
  readonly written: Iterable<readonly [user: string, recipient: Uint8Array]>;
}

/** What was sent lately, so that a restart forgives nobody and several workers count together. */
export interface SendingFile {
  /** Another value where another process wrote since. */
  version(): number;
  tally(key: string): SavedTally;
  /** Whether the user wrote to the recipient within 30 days. */
  knows(user: string, recipient: Uint8Array, now: Instant): boolean;
  save(changes: SendingChanges, now: Instant): void;
  close(): void;
}

/**
 * Opens the file of what users sent, made with mode 0600 where there is none. Commits need no sync: a power cut may forget the
 * last moments, which loses no mail; the write-ahead log keeps the file whole. Throws with one plain line.
 */
export function openSendingFile(path: string): SendingFile {
  try {
    closeSync(openSync(path, "a", 0o600));
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT });
    try {
      database.exec(`
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = NORMAL;
        CREATE TABLE IF NOT EXISTS counts (key TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL,
          count INTEGER NOT NULL, PRIMARY KEY (key, name, at)) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS written (user TEXT NOT NULL, recipient BLOB NOT NULL, day INTEGER NOT NULL,
          PRIMARY KEY (user, recipient)) STRICT, WITHOUT ROWID;
        PRAGMA busy_timeout = ${SERVING_BUSY_TIMEOUT};
      `);
      return new SqliteSendingFile(database);
    } catch (cause) {
      database.close();
      throw cause;
    }
  } catch (cause) {
    const reason = messageOf(cause);
    throw new Error(`cannot open ${path}: ${reason}; it may be deleted, which forgets what users sent lately`, {
      cause,
    });
  }
}

class SqliteSendingFile implements SendingFile {
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #knows: StatementSync;
  readonly #version: StatementSync;
  readonly #saveCount: StatementSync;
  readonly #saveWritten: StatementSync;
  /** The day for which what is too old was removed. */
  #cleanedOn = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#version = database.prepare("PRAGMA data_version");
    this.#find = database.prepare("SELECT name, at, count FROM counts WHERE key = ? ORDER BY name, at");
    this.#knows = database.prepare("SELECT 1 FROM written WHERE user = ? AND recipient = ? AND day > ?");
    this.#saveCount = database.prepare(
      `INSERT INTO counts (key, name, at, count) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = count + excluded.count`,
    );
    this.#saveWritten = database.prepare(
      `INSERT INTO written (user, recipient, day) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET day = excluded.day WHERE day < excluded.day`,
    );
  }

  version(): number {
    return Number(this.#version.get()?.data_version);
  }

  tally(key: string): SavedTally {
    const slots: Record<string, CountedSlot[]> = {};
    for (const { name, at, count } of this.#find.all(key)) {
      const limit = slots[String(name)] ?? [];
      slots[String(name)] = limit;
      limit.push([Number(at), Number(count)]);
    }
    return slots;
  }

  knows(user: string, recipient: Uint8Array, now: Instant): boolean {
    return this.#knows.get(user, recipient, dayOf(now) - KNOWN_DAYS) !== undefined;
  }

  save({ counts, written }: SendingChanges, now: Instant): void {
    const today = dayOf(now);
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const [key, unsaved] of counts) {
        for (const { limit, at, count } of unsaved) this.#saveCount.run(key, limit, at, count);
      }
      for (const [user, recipient] of written) this.#saveWritten.run(user, recipient, today);
      if (this.#cleanedOn !== today) {
        this.#database.prepare("DELETE FROM written WHERE day <= ?").run(today - KNOWN_DAYS);
        // Nothing is counted for longer than a day and a slot of it.
        this.#database.prepare("DELETE FROM counts WHERE at < ?").run(now - 2 * DAY);
      }
      this.#database.exec("COMMIT");
      this.#cleanedOn = today;
    } catch (cause) {
      // Some failures have ended it already, and it is the cause that is to be told.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw cause;
    }
  }

  close(): void {
    this.#database.close();
  }
}

function dayOf(at: Instant): number {
  return Math.floor(at / DAY);
}
