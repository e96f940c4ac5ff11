import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { LRUCache } from "lru-cache";
import { DAY, type Duration, type Instant, instant, type Log } from "../base/index.ts";
import { events } from "./events.ts";
import type { ServedPolicy } from "./sts-policy.ts";

/** A policy that was fetched and has not expired. */
export interface KeptPolicy {
  readonly domain: string;
  /** Of the TXT record that announced it. */
  readonly id: string;
  readonly policy: ServedPolicy;
  readonly fetchedAt: Instant;
  readonly expiresAt: Instant;
  /** When it is to be fetched again, whatever DNS says. */
  readonly refreshAt: Instant;
  /** When mail last asked for it, to the day. */
  readonly usedAt: Instant;
}

/** Policies held in memory; the others are read from the file. */
const MEMORY_SIZE = 10_000;
/** `usedAt` is written down again when it is older. */
const USE_NOTED_FOR: Duration = DAY;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sts_policy (
    domain TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    mode TEXT NOT NULL,
    mx TEXT NOT NULL,
    max_age INTEGER NOT NULL,
    lines TEXT NOT NULL,
    fetched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    refresh_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS sts_policy_refresh ON sts_policy (refresh_at);
`;

/**
 * The policies that are known, in the trust file, or in memory alone without one. A file that fails is told of in the log and never
 * stops mail: what was fetched is kept in memory as well.
 */
export class StsStore {
  // `max` would take the room for all of them at once.
  readonly #memory = new LRUCache<string, KeptPolicy>({ maxSize: MEMORY_SIZE, sizeCalculation: () => 1 });
  readonly #file: DatabaseSync;
  readonly #ownFile: boolean;
  readonly #log: Log;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #due: StatementSync;
  readonly #postpone: StatementSync;
  readonly #delete: StatementSync;

  /** Throws where its table cannot be made. */
  constructor(file: DatabaseSync | null, log: Log) {
    this.#file = file ?? new DatabaseSync(":memory:");
    this.#ownFile = file === null;
    this.#log = log;
    this.#file.exec(SCHEMA);
    this.#find = this.#file.prepare("SELECT * FROM sts_policy WHERE domain = ?");
    this.#insert = this.#file.prepare("INSERT OR REPLACE INTO sts_policy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#due = this.#file.prepare(
      "SELECT * FROM sts_policy WHERE refresh_at <= ? AND used_at >= ? AND expires_at > ? ORDER BY refresh_at LIMIT ?",
    );
    this.#postpone = this.#file.prepare("UPDATE sts_policy SET refresh_at = ? WHERE domain = ? AND fetched_at = ?");
    this.#delete = this.#file.prepare("DELETE FROM sts_policy WHERE expires_at <= ?");
  }

  /** The policy of a domain that has not expired, and a note that it was asked for. */
  use(domain: string, now: Instant): KeptPolicy | null {
    const known = this.#memory.get(domain);
    const isStale = known === undefined || known.expiresAt <= now || now - known.usedAt >= USE_NOTED_FOR;
    // Another process may have fetched it anew since; what it wrote must be neither missed nor written over.
    const kept = isStale ? (this.#read(domain) ?? known ?? null) : known;
    if (kept === null || kept.expiresAt <= now) return null;
    if (now - kept.usedAt >= USE_NOTED_FOR) this.put({ ...kept, usedAt: now });
    else this.#memory.set(domain, kept);
    return kept;
  }

  /** As `use`, where another than the policy `id` is expected: what another process fetched meanwhile is in the file. */
  useNewest(domain: string, id: string, now: Instant): KeptPolicy | null {
    const kept = this.use(domain, now);
    if (kept === null || kept.id === id) return kept;
    this.#memory.delete(domain);
    const newest = this.use(domain, now);
    // Where the file fails, memory is all there is.
    if (newest === null) this.#memory.set(domain, kept);
    return newest ?? kept;
  }

  /** Has the policy fetched again only then, if it is still the one that is kept: nothing else of it is written. */
  postpone(kept: KeptPolicy, refreshAt: Instant): void {
    const { domain, fetchedAt } = kept;
    const known = this.#memory.get(domain);
    if (known?.fetchedAt === fetchedAt) this.#memory.set(domain, { ...known, refreshAt });
    this.#guarded(() => this.#postpone.run(refreshAt, domain, fetchedAt));
  }

  put(kept: KeptPolicy): void {
    this.#memory.set(kept.domain, kept);
    const { domain, id, policy, fetchedAt, expiresAt, refreshAt, usedAt } = kept;
    const { mode, maxAge } = policy;
    const [mx, lines] = [JSON.stringify(policy.mx), JSON.stringify(policy.lines)];
    this.#guarded(() => this.#insert.run(domain, id, mode, mx, maxAge, lines, fetchedAt, expiresAt, refreshAt, usedAt));
  }

  /** Those whose turn it is to be fetched again and that mail asked for since `usedSince`, the most urgent first. */
  due(now: Instant, usedSince: Instant, limit: number): readonly KeptPolicy[] {
    const rows = this.#guarded(() => this.#due.all(now, usedSince, now, limit));
    return (rows ?? []).flatMap((row) => keptOf(row) ?? []);
  }

  /** Forgets what has expired. */
  sweep(now: Instant): void {
    for (const [domain, { expiresAt }] of this.#memory.entries()) if (expiresAt <= now) this.#memory.delete(domain);
    this.#guarded(() => this.#delete.run(now));
  }

  close(): void {
    if (this.#ownFile) this.#file.close();
  }

  #read(domain: string): KeptPolicy | null {
    const row = this.#guarded(() => this.#find.get(domain));
    return row === undefined ? null : keptOf(row);
  }

  #guarded<T>(operate: () => T): T | undefined {
    try {
      return operate();
    } catch (cause) {
      this.#log.warn(events.stsStoreFailed, { err: cause instanceof Error ? cause : String(cause) });
      return undefined;
    }
  }
}

/** The row's policy; null for one that an older or newer release wrote in a way that is not known here. */
function keptOf(row: Record<string, SQLOutputValue>): KeptPolicy | null {
  const { domain, id, mode } = row;
  const [mx, lines] = [texts(row.mx), texts(row.lines)];
  const numbers = [row.max_age, row.fetched_at, row.expires_at, row.refresh_at, row.used_at].map(Number);
  const [maxAge = 0, fetchedAt = 0, expiresAt = 0, refreshAt = 0, usedAt = 0] = numbers;
  if (typeof domain !== "string" || typeof id !== "string" || mx === null || lines === null) return null;
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return null;
  return {
    domain,
    id,
    policy: { mode, mx, maxAge, lines },
    fetchedAt: instant(fetchedAt),
    expiresAt: instant(expiresAt),
    refreshAt: instant(refreshAt),
    usedAt: instant(usedAt),
  };
}

function texts(json: SQLOutputValue | undefined): readonly string[] | null {
  try {
    const value: unknown = JSON.parse(String(json));
    return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : null;
  } catch {
    return null;
  }
}
