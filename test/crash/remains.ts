// What a dead daemon left on the disk: its queues, looked at in a copy so that recovery is left to the next start, and its Maildirs.
import {
  constants,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { workerQueueFile, workersWithQueue } from "../../src/config/index.ts";
import type { Ledger } from "./ledger.ts";
import { readMessage } from "./messages.ts";

/** Recipients without an outcome, in the queues whose owners are dead. Throws where one is damaged. */
export function waitingIn(dataDir: string): Set<string> {
  const files = workersWithQueue({ dataDir }).map((worker) => workerQueueFile({ dataDir }, worker));
  return new Set(files.filter((file) => !isOwned(file)).flatMap((file) => waitingInFile(file)));
}

/** A living owner holds a lock on a file beside the queue. */
function isOwned(file: string): boolean {
  const lock = new DatabaseSync(`${file}.owner`, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE; ROLLBACK");
    return false;
  } catch {
    return true;
  } finally {
    lock.close();
  }
}

function waitingInFile(file: string): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), "postern-remains-"));
  const copy = join(folder, "queue.sqlite");
  try {
    for (const suffix of ["", "-wal"]) {
      if (existsSync(file + suffix)) copyFileSync(file + suffix, copy + suffix, constants.COPYFILE_FICLONE);
    }
    const database = new DatabaseSync(copy);
    try {
      const check = database.prepare("PRAGMA integrity_check").get()?.integrity_check;
      if (check !== "ok") throw new Error(`${file} is damaged: ${String(check)}`);
      // A crash before the tables were made leaves an empty file, and nothing was acknowledged by then.
      if (database.prepare("PRAGMA user_version").get()?.user_version === 0) return [];
      const rows = database.prepare("SELECT local_part, domain FROM recipient WHERE state IN (0, 3)").all();
      return rows.map((row) => `${String(row.local_part)}@${String(row.domain)}`);
    } finally {
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Enters the mail in all Maildirs into the books, as having come in `life`, and takes it away. */
export function collectMail(mail: string, life: number, ledger: Ledger): void {
  for (const user of existsSync(mail) ? readdirSync(mail) : []) {
    const folder = join(mail, user, "new");
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const file = join(folder, name);
      const text = readFileSync(file, "latin1");
      const recipient = /^Delivered-To: (?<address>\S+)\r$/m.exec(text)?.groups?.address;
      ledger.arrived(recipient ?? file, life, readMessage(text)?.intact ?? false);
      unlinkSync(file);
    }
  }
}
