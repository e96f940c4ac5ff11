import type { DatabaseSync } from "node:sqlite";
import { spoilsHandle } from "./failure.ts";

/** Pages of log before they go into the file. Fewer checkpoints mean fewer syncs; more pages mean a longer one. */
const CHECKPOINT_PAGES = 4000;
const CHECKPOINT_OCTETS = CHECKPOINT_PAGES * 4096;
/** How a commit is made, and what SQLite does behind it. */
const SYNCED = `PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`;
/**
 * SQLite tells nobody when its own checkpoint cannot sync the log. Behind a synced commit nothing is lost by that; behind this one chunks
 * would be, of a draft that is then kept.
 */
const UNSYNCED = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0";

/**
 * The transactions of one handle: what is on the disk when a commit returns, and when the log goes into the file. Each method throws what
 * SQLite throws.
 */
export class Transactions {
  readonly #database: DatabaseSync;
  /** Octets of chunks that were written to the log since it was last synced. */
  #unsynced = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(SYNCED);
  }

  /** `synced`: how it will be committed. */
  begin(synced: boolean): void {
    if (!synced) this.#database.exec(UNSYNCED);
    this.#database.exec("BEGIN IMMEDIATE");
  }

  /** All of the log up to here is on the disk when it returns. Tells how long it waited for that, ms. */
  commitSynced(): number {
    const begun = performance.now();
    const computed = process.threadCpuUsage();
    this.#database.exec("COMMIT");
    const { user, system } = process.threadCpuUsage(computed);
    this.#unsynced = 0;
    return Math.max(0, performance.now() - begun - (user + system) / 1000);
  }

  /** For so many octets of chunks, which the next synced commit puts on the disk. */
  commitUnsynced(octets: number): void {
    this.#database.exec("COMMIT");
    this.#database.exec(SYNCED);
    this.#unsynced += octets;
    if (this.#unsynced < CHECKPOINT_OCTETS) return;
    this.#unsynced = 0;
    try {
      this.#database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    } catch (error) {
      // What finds no room in the file stays in the log, where it is safe.
      if (spoilsHandle(error)) throw error;
    }
  }

  /** Ends the transaction if one is open, however it was begun. */
  rollBack(): void {
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    this.#database.exec(SYNCED);
  }

  /** On a full disk the log cannot grow, but what it holds may still fit into the file; then it begins anew where it stands. */
  makeRoom(): void {
    this.#database.exec("PRAGMA wal_checkpoint(RESTART)");
  }
}
