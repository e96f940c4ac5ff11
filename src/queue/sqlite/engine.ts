import type { DatabaseSync } from "node:sqlite";
import { EMPTY } from "../../base/index.ts";
import { Claims } from "../claims.ts";
import { integer } from "./columns.ts";
import { failureOf, spoilsHandle } from "./failure.ts";
import type { OwnerLock } from "./owner-lock.ts";
import { acquireOwner } from "./owner-lock.ts";
import type { Batch, DatabaseSettings, Failure, ReadRequest, Request, Result, WriteRequest } from "./protocol.ts";
import { pruneHistory } from "./prune-history.ts";
import { type Handle, QueueFile } from "./queue-file.ts";
import type { Reads } from "./reads.ts";
import { pragma } from "./schema.ts";
import type { AfterCommit } from "./writes.ts";

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

export interface EngineOptions {
  readonly settings: DatabaseSettings;
  readonly lock: OwnerLock | null;
  /** Called when trouble with the disk made the handle unfit for use. */
  readonly onReopen: (failure: Failure) => void;
  /** How the file is opened; tests put a failing disk here. */
  readonly openDatabase?: (path: string) => DatabaseSync;
}

/** The database and the rules of its transactions. Lives in the worker thread; all of it is synchronous. */
export class Engine {
  readonly #settings: DatabaseSettings;
  readonly #claims = new Claims<number>();
  readonly #lock: OwnerLock | null;
  readonly #file: QueueFile;
  #sync: number | null = null;
  /** Drafts that could not be thrown away when they were given up. */
  readonly #leftovers = new Set<number>();

  /** Throws what SQLite throws, or an error that says what is wrong with the file. */
  constructor({ settings, lock, onReopen, openDatabase }: EngineOptions) {
    this.#settings = settings;
    this.#lock = lock;
    const opening = openDatabase === undefined ? {} : { openDatabase };
    this.#file = new QueueFile({ settings, claims: this.#claims, onReopen, ...opening });
    const handle = this.#file.open();
    if (settings.role === "owner") this.#purgeDrafts(handle);
  }

  /** The greatest id in use. */
  lastId(): number {
    const row = this.#file
      .open()
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
    for (const [at, request] of asks) results[at] = this.#attempt(() => this.#file.open().reads.answer(request));
    return results;
  }

  /** How long the last batch's commit waited for the disk, ms; null where nothing was synced. Told once. */
  takeSync(): number | null {
    const sync = this.#sync;
    this.#sync = null;
    return sync;
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
      const { database } = this.#file.open();
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
      this.#file.close();
    } finally {
      this.#lock?.release();
    }
  }

  /** In one transaction where that is possible, so that all share one sync. */
  #write(writes: readonly Write[], octets: Uint8Array, results: Result[]): void {
    const trouble = this.#writeTogether(writes, octets, results);
    if (trouble === null) return;
    const goAlone = trouble.severable && (writes.length > 1 || trouble.failure.kind === "full");
    if (trouble.failure.kind === "full") this.#file.makeRoom();
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

  /** All changes in one transaction; what was in the way of it, with nothing written, or null. */
  #writeTogether(writes: readonly Write[], octets: Uint8Array, results: Result[]): Trouble | null {
    const after: AfterCommit = [];
    let committing = false;
    try {
      const handle = this.#file.open();
      // Chunks of a draft need no sync of their own: the commit that keeps the message syncs all of the log before it.
      const mustSync = writes.some(([, request]) => request.op !== "append");
      handle.transactions.begin(mustSync);
      for (const [at, request] of writes) {
        results[at] = { ok: true, answer: handle.writes.apply(request, octets, after) };
      }
      committing = true;
      if (mustSync) this.#sync = handle.transactions.commitSynced();
      else handle.transactions.commitUnsynced(appended(writes));
    } catch (error) {
      this.#file.notWritten(error);
      const failure = failureOf(error);
      return { failure, severable: isSeverable(error, failure, committing) };
    }
    this.#file.written();
    for (const action of after) action();
    return null;
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

  /** A full disk is no reason not to deliver what is there: then they go later. */
  #purgeDrafts({ database, transactions, writes }: Handle): void {
    for (const row of database.prepare("SELECT id FROM draft").iterate()) this.#leftovers.add(integer(row, "id"));
    try {
      transactions.begin(true);
      writes.purgeDrafts();
      transactions.commitSynced();
      this.#leftovers.clear();
    } catch (error) {
      if (failureOf(error).kind !== "full") throw error;
      this.#file.recover(error);
    }
  }

  #attempt(action: () => ReturnType<Reads["answer"]>): Result {
    try {
      return { ok: true, answer: action() };
    } catch (error) {
      this.#file.recover(error);
      return { ok: false, failure: failureOf(error) };
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

/** Octets of the chunks among them. */
function appended(writes: readonly Write[]): number {
  let octets = 0;
  for (const [, request] of writes) if (request.op === "append") octets += request.octets.length;
  return octets;
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

/** A record, so that the compiler misses none. */
const ASKS: Readonly<Record<Ask["op"], true>> = {
  claimDue: true,
  nextDue: true,
  chunk: true,
  list: true,
  select: true,
  get: true,
  story: true,
  history: true,
  expired: true,
  counts: true,
};

function isAsk(request: Request): request is Ask {
  return request.op in ASKS;
}
