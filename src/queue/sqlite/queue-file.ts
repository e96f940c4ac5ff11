import { DatabaseSync } from "node:sqlite";
import type { Claims } from "../claims.ts";
import { failureOf, spoilsHandle } from "./failure.ts";
import { makePrivateFile } from "./private-file.ts";
import type { DatabaseSettings, Failure } from "./protocol.ts";
import { Reads } from "./reads.ts";
import { pragma, prepareSchema } from "./schema.ts";
import { Transactions } from "./transactions.ts";
import { Writes } from "./writes.ts";

/**
 * How long another process (the command line beside a stopping daemon, a backup) may hold the write lock before "busy"; and once it has
 * held it for that long, because every batch and every delivery's body waits behind this one.
 */
const BUSY_TIMEOUT_MS = 5000;
const STILL_BUSY_TIMEOUT_MS = 100;

/** The file as it is open now. */
export interface Handle {
  readonly database: DatabaseSync;
  readonly transactions: Transactions;
  readonly writes: Writes;
  readonly reads: Reads;
}

export interface QueueFileOptions {
  readonly settings: Pick<DatabaseSettings, "path" | "maxFileSize" | "history">;
  /** They outlive a handle: what is in somebody's hands stays there. */
  readonly claims: Claims<number>;
  /** Called when trouble with the disk made the handle unfit for use. */
  readonly onReopen: (failure: Failure) => void;
  /** How the file is opened; tests put a failing disk here. */
  readonly openDatabase?: (path: string) => DatabaseSync;
}

function openPrivately(path: string): DatabaseSync {
  makePrivateFile(path);
  return new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
}

/** The queue file, open by one handle for as long as that can be trusted; the use after that opens another. */
export class QueueFile {
  readonly #settings: QueueFileOptions["settings"];
  readonly #claims: Claims<number>;
  readonly #onReopen: (failure: Failure) => void;
  readonly #openDatabase: (path: string) => DatabaseSync;
  #handle: Handle | null = null;
  /** Another process held the lock for longer than anybody should. */
  #busy = false;
  /** A handle was dropped, and nothing was written since: on a disk that stays read-only that is told once. */
  #inTrouble = false;

  constructor({ settings, claims, onReopen, openDatabase = openPrivately }: QueueFileOptions) {
    this.#settings = settings;
    this.#claims = claims;
    this.#onReopen = onReopen;
    this.#openDatabase = openDatabase;
  }

  /** Throws what SQLite throws, or an error that says what is wrong with the file. */
  open(): Handle {
    if (this.#handle !== null) return this.#handle;
    const database = this.#openDatabase(this.#settings.path);
    try {
      this.#handle = this.#prepare(database);
      return this.#handle;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** A transaction was committed. */
  written(): void {
    this.#beBusy(false);
    this.#inTrouble = false;
  }

  /** A transaction came to nothing: as `recover`, and a lock of another process is waited for less long the next time. */
  notWritten(error: unknown): void {
    this.recover(error);
    this.#beBusy(failureOf(error).kind === "busy");
  }

  /** Ends the transaction if one is open; after trouble with the disk, drops the handle. */
  recover(error: unknown): void {
    const handle = this.#handle;
    if (handle === null) return;
    let spoilt = spoilsHandle(error);
    try {
      handle.transactions.rollBack();
    } catch {
      spoilt = true; // a handle that cannot roll back is of no more use
    }
    if (!spoilt) return;
    this.#handle = null;
    this.#busy = false;
    try {
      handle.database.close();
    } catch {
      // Nothing is left to be done with it; the next use opens a new one.
    }
    if (!this.#inTrouble) this.#onReopen(failureOf(error));
    this.#inTrouble = true;
  }

  /** On a full disk: see `Transactions.makeRoom`. Never throws. */
  makeRoom(): void {
    try {
      this.#handle?.transactions.makeRoom();
    } catch (error) {
      this.recover(error);
    }
  }

  close(): void {
    const handle = this.#handle;
    this.#handle = null;
    handle?.database.close();
  }

  /** The page cache is small: one large message would fill it with pages that nobody reads again. The system keeps files, too. */
  #prepare(database: DatabaseSync): Handle {
    const { maxFileSize, history } = this.#settings;
    prepareSchema(database);
    database.exec(`PRAGMA journal_mode = WAL;
      PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864`);
    if (maxFileSize !== null) {
      database.exec(`PRAGMA max_page_count = ${Math.ceil(maxFileSize / pragma(database, "page_size"))}`);
    }
    return {
      database,
      transactions: new Transactions(database),
      writes: new Writes(database, this.#claims, { keepsHistory: history.recipients > 0 }),
      reads: new Reads(database, this.#claims),
    };
  }

  #beBusy(busy: boolean): void {
    if (busy === this.#busy || this.#handle === null) return;
    this.#busy = busy;
    this.#handle.database.exec(`PRAGMA busy_timeout = ${busy ? STILL_BUSY_TIMEOUT_MS : BUSY_TIMEOUT_MS}`);
  }
}
