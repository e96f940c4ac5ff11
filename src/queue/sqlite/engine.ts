import { DatabaseSync } from "node:sqlite";
import { EMPTY } from "../../base/index.ts";
import { Claims } from "../claims.ts";
import { integer } from "./columns.ts";
import { failureOf, spoilsHandle } from "./failure.ts";
import type { OwnerLock } from "./owner-lock.ts";
import { acquireOwner } from "./owner-lock.ts";
import { makePrivateFile } from "./private-file.ts";
import type { Batch, DatabaseSettings, Failure, ReadRequest, Request, Result, WriteRequest } from "./protocol.ts";
import { pruneHistory } from "./prune-history.ts";
import { Reads } from "./reads.ts";
import { pragma, prepareSchema } from "./schema.ts";
import { type AfterCommit, Writes } from "./writes.ts";

/**
 * How long another process (the command line beside a stopping daemon, a backup) may hold the write lock before "busy"; and once it has
 * held it for that long, because every batch and every delivery's body waits behind this one.
 */
const BUSY_TIMEOUT_MS = 5000;
const STILL_BUSY_TIMEOUT_MS = 100;
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
/** Free pages worth giving back to the disk, and how many a round, so that no round is long. */
const VACUUM_FLOOR_PAGES = 8192;
const VACUUM_ROUND_PAGES = 1024;

type Write = readonly [at: number, request: WriteRequest];

/** Why a transaction came to nothing. `severable`: its changes may fare better one by one. */
interface Trouble {
  readonly failure: Failure;
  readonly severable: boolean;
}

type Ask = Exclude<ReadRequest, { op: "close" }>;

interface Handle {
  readonly database: DatabaseSync;
  readonly writes: Writes;
  readonly reads: Reads;
}

export interface EngineOptions {
  readonly settings: DatabaseSettings;
  readonly lock: OwnerLock | null;
  /** Called when trouble with the disk made the handle unfit for use. */
  readonly onReopen: (failure: Failure) => void;
  /** How the file is opened; tests put a failing disk here. */
  readonly openDatabase?: (path: string) => DatabaseSync;
}

function openFile(path: string): DatabaseSync {
  makePrivateFile(path);
  return new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
}

/** The database and the rules of its transactions. Lives in the worker thread; all of it is synchronous. */
export class Engine {
  readonly #settings: DatabaseSettings;
  readonly #onReopen: (failure: Failure) => void;
  readonly #claims = new Claims<number>();
  readonly #lock: OwnerLock | null;
  readonly #openDatabase: (path: string) => DatabaseSync;
  #handle: Handle | null = null;
  /** Another process held the lock for longer than anybody should. */
  #busy = false;
  /** A handle was dropped, and nothing was written since: on a disk that stays read-only that is told once. */
  #inTrouble = false;
  #sync: number | null = null;
  /** Octets of chunks that were written to the log since it was last synced. */
  #unsynced = 0;
  /** Drafts that could not be thrown away when they were given up. */
  readonly #leftovers = new Set<number>();

  /** Throws what SQLite throws, or an error that says what is wrong with the file. */
  constructor({ settings, lock, onReopen, openDatabase = openFile }: EngineOptions) {
    this.#settings = settings;
    this.#lock = lock;
    this.#onReopen = onReopen;
    this.#openDatabase = openDatabase;
    const handle = this.#open();
    if (settings.role === "owner") this.#purgeDrafts(handle);
  }

  /** A full disk is no reason not to deliver what is there: then they go later. */
  #purgeDrafts({ database, writes }: Handle): void {
    for (const row of database.prepare("SELECT id FROM draft").iterate()) this.#leftovers.add(integer(row, "id"));
    try {
      database.exec("BEGIN IMMEDIATE");
      writes.purgeDrafts();
      database.exec("COMMIT");
      this.#leftovers.clear();
    } catch (error) {
      if (failureOf(error).kind !== "full") throw error;
      this.#recover(error);
    }
  }

  /** The greatest id in use. */
  lastId(): number {
    const row = this.#open()
      .database.prepare(
        "SELECT max(coalesce((SELECT max(id) FROM message), 0), coalesce((SELECT max(id) FROM chunk), 0)) AS last",
      )
      .get();
    return row === undefined ? 0 : integer(row, "last");
  }

  /** Runs a batch: its changes in one transaction, then its questions. Results are in the order of the requests. */
  run(batch: Batch): Result[] {
    const results = new Array<Result>(batch.requests.length);
    const writes: Write[] = [];
    const asks: (readonly [at: number, request: Ask])[] = [];
    for (const [at, request] of batch.requests.entries()) {
      if (isAsk(request)) asks.push([at, request]);
      else if (request.op === "close") results[at] = { ok: true, answer: null };
      else if (request.op === "unclaim") results[at] = this.#unclaim(request.id, request.recipients);
      else writes.push([at, request]);
    }
    if (writes.length > 0) this.#write(writes, batch.octets, results);
    this.#noteLeftovers(writes, results);
    for (const [at, request] of asks) results[at] = this.#attempt(() => this.#open().reads.answer(request));
    return results;
  }

  /** How long the last batch's commit waited for the disk, ms; null where nothing was synced. Told once. */
  takeSync(): number | null {
    const sync = this.#sync;
    this.#sync = null;
    return sync;
  }

  #unclaim(id: number, recipients: readonly number[]): Result {
    for (const place of recipients) this.#claims.remove(id, place);
    return { ok: true, answer: null };
  }

  #noteLeftovers(writes: readonly Write[], results: readonly Result[]): void {
    for (const [at, request] of writes) {
      if (request.op !== "discard") continue;
      if (results[at]?.ok === true) this.#leftovers.delete(request.draft);
      else this.#leftovers.add(request.draft);
    }
  }

  /**
   * Throws away what trouble with the disk left of drafts, forgets history that is too old or too much, and gives pages of mail that is gone
   * back to the disk, a few at a time. True when more history is to be forgotten soon.
   */
  tidy(now = Date.now()): boolean {
    let more = false;
    if (this.#leftovers.size > 0) {
      this.run({ requests: [...this.#leftovers].map((draft) => ({ op: "discard", draft })), octets: EMPTY });
      this.#sync = null;
    }
    this.#attempt(() => {
      const { database } = this.#open();
      if (this.#settings.role === "owner") more = pruneHistory(database, this.#settings.history, now);
      if (!more && pragma(database, "freelist_count") > VACUUM_FLOOR_PAGES) {
        database.exec(`PRAGMA incremental_vacuum(${VACUUM_ROUND_PAGES})`);
      }
      return null;
    });
    return more;
  }

  close(): void {
    try {
      this.#handle?.database.close();
    } finally {
      this.#handle = null;
      this.#lock?.release();
    }
  }

  /** In one transaction where that is possible, so that all share one sync. */
  #write(writes: readonly Write[], octets: Uint8Array, results: Result[]): void {
    const trouble = this.#writeTogether(writes, octets, results);
    if (trouble === null) return;
    const goAlone = trouble.severable && (writes.length > 1 || trouble.failure.kind === "full");
    if (trouble.failure.kind === "full") this.#makeRoom();
    if (!goAlone) {
      for (const [at] of writes) results[at] = { ok: false, failure: trouble.failure };
      return;
    }
    // What ends something goes first: it may make the room that the rest takes.
    for (const write of writes.toSorted((a, b) => takesRoom(a) - takesRoom(b))) {
      const own = this.#writeTogether([write], octets, results);
      if (own !== null) results[write[0]] = { ok: false, failure: own.failure };
    }
  }

  /** On a full disk the log cannot grow, but what it holds may still fit into the file; then it begins anew where it stands. */
  #makeRoom(): void {
    try {
      this.#handle?.database.exec("PRAGMA wal_checkpoint(RESTART)");
    } catch (error) {
      this.#recover(error);
    }
  }

  /** All changes in one transaction; what was in the way of it, with nothing written, or null. */
  #writeTogether(writes: readonly Write[], octets: Uint8Array, results: Result[]): Trouble | null {
    const after: AfterCommit = [];
    let committing = false;
    try {
      const handle = this.#open();
      // Chunks of a draft need no sync of their own: the commit that keeps the message syncs all of the log before it.
      const mustSync = writes.some(([, request]) => request.op !== "append");
      if (!mustSync) handle.database.exec(UNSYNCED);
      handle.database.exec("BEGIN IMMEDIATE");
      for (const [at, request] of writes) {
        results[at] = { ok: true, answer: handle.writes.apply(request, octets, after) };
      }
      committing = true;
      if (mustSync) this.#commitSynced(handle.database);
      else this.#commitUnsynced(handle.database, writes);
    } catch (error) {
      this.#recover(error);
      const failure = failureOf(error);
      this.#beBusy(failure.kind === "busy");
      return { failure, severable: isSeverable(error, failure, committing) };
    }
    this.#beBusy(false);
    this.#inTrouble = false;
    for (const action of after) action();
    return null;
  }

  #commitSynced(database: DatabaseSync): void {
    const begun = performance.now();
    const computed = process.threadCpuUsage();
    database.exec("COMMIT");
    const { user, system } = process.threadCpuUsage(computed);
    this.#sync = Math.max(0, performance.now() - begun - (user + system) / 1000);
    this.#unsynced = 0;
  }

  #commitUnsynced(database: DatabaseSync, writes: readonly Write[]): void {
    database.exec("COMMIT");
    database.exec(SYNCED);
    for (const [, request] of writes) if (request.op === "append") this.#unsynced += request.octets.length;
    if (this.#unsynced < CHECKPOINT_OCTETS) return;
    this.#unsynced = 0;
    try {
      database.exec("PRAGMA wal_checkpoint(PASSIVE)");
    } catch (error) {
      // What finds no room in the file stays in the log, where it is safe.
      if (spoilsHandle(error)) throw error;
    }
  }

  #beBusy(busy: boolean): void {
    if (busy === this.#busy || this.#handle === null) return;
    this.#busy = busy;
    this.#handle.database.exec(`PRAGMA busy_timeout = ${busy ? STILL_BUSY_TIMEOUT_MS : BUSY_TIMEOUT_MS}`);
  }

  #attempt(action: () => ReturnType<Reads["answer"]>): Result {
    try {
      return { ok: true, answer: action() };
    } catch (error) {
      this.#recover(error);
      return { ok: false, failure: failureOf(error) };
    }
  }

  /** Ends the transaction if one is open; after trouble with the disk, drops the handle. */
  #recover(error: unknown): void {
    const handle = this.#handle;
    if (handle === null) return;
    let spoilt = spoilsHandle(error);
    try {
      if (handle.database.isTransaction) handle.database.exec("ROLLBACK");
      if (!spoilt) handle.database.exec(SYNCED);
    } catch {
      spoilt = true; // a handle that cannot roll back is of no more use
    }
    if (!spoilt) return;
    this.#handle = null;
    this.#busy = false;
    this.#unsynced = 0;
    try {
      handle.database.close();
    } catch {
      // Nothing is left to be done with it; the next use opens a new one.
    }
    if (!this.#inTrouble) this.#onReopen(failureOf(error));
    this.#inTrouble = true;
  }

  /** The page cache is small: one large message would fill it with pages that nobody reads again. The system keeps files, too. */
  #open(): Handle {
    if (this.#handle !== null) return this.#handle;
    const database = this.#openDatabase(this.#settings.path);
    try {
      prepareSchema(database);
      database.exec(`PRAGMA journal_mode = WAL; ${SYNCED};
        PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864`);
      const { maxFileSize } = this.#settings;
      if (maxFileSize !== null) {
        database.exec(`PRAGMA max_page_count = ${Math.ceil(maxFileSize / pragma(database, "page_size"))}`);
      }
      this.#handle = {
        database,
        writes: new Writes(database, this.#claims, { keepsHistory: this.#settings.history.recipients > 0 }),
        reads: new Reads(database, this.#claims),
      };
      return this.#handle;
    } catch (error) {
      database.close();
      throw error;
    }
  }
}

/**
 * One bad request is to fail none of the others, and in a full file the small ones may fit. But a lock is in the way of all, and what a
 * failed commit left behind is not known.
 */
function isSeverable(error: unknown, { kind }: Failure, committing: boolean): boolean {
  if (kind === "full") return true;
  return !committing && kind !== "busy" && !spoilsHandle(error);
}

function takesRoom([, { op }]: Write): number {
  return op === "keep" || op === "append" ? 1 : 0;
}

/** Opens the queue file, as its only deliverer when the role is "owner". */
export function openEngine(settings: DatabaseSettings, onReopen: (failure: Failure) => void): Engine | Failure {
  let lock: OwnerLock | null = null;
  if (settings.role === "owner") {
    const acquired = acquireOwner(settings.path);
    if (!acquired.ok) return acquired.error;
    lock = acquired.value;
  }
  try {
    return new Engine({ settings, lock, onReopen });
  } catch (error) {
    lock?.release();
    return failureOf(error);
  }
}

const ASKS: ReadonlySet<string> = new Set<Ask["op"]>([
  "claimDue",
  "nextDue",
  "chunk",
  "list",
  "select",
  "get",
  "story",
  "history",
  "expired",
  "counts",
]);

function isAsk(request: Request): request is Ask {
  return ASKS.has(request.op);
}
