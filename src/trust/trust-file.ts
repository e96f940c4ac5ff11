import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../base/index.ts";

/** Milliseconds to wait for another process that writes at this moment. */
const BUSY_TIMEOUT = 2000;

/**
 * Opens the SQLite file of what is remembered of other mail systems, made with mode 0600 where there is none. Each concern makes
 * its own tables in it. Losing the last moments of it to a power cut loses no mail, so that commits need no sync of their own;
 * the write-ahead log keeps the file whole in any case. Throws with one plain line.
 */
export function openTrustFile(path: string): DatabaseSync {
  try {
    closeSync(openSync(path, "a", 0o600));
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT });
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      return database;
    } catch (cause) {
      database.close();
      throw cause;
    }
  } catch (cause) {
    const reason = messageOf(cause);
    throw new Error(`cannot open ${path}: ${reason}`, { cause });
  }
}
