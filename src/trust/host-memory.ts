import type { DatabaseSync } from "node:sqlite";
import {
  asError,
  type Clock,
  DAY,
  type Duration,
  HOUR,
  type Instant,
  instant,
  type Log,
  later,
  silentLog,
} from "../base/index.ts";
import { instantOf, integerOf, textOf, textOrNull } from "./columns.ts";
import { events } from "./events.ts";
import { covers, MIXED, strongest } from "./host-proof.ts";
import type { HostMemory, HostProof, RememberedHost } from "./model.ts";

/** For how long a host is spared the large ClientHello. */
const CLASSICAL_TIME: Duration = 7 * DAY;

/** What was not proven for this long is forgotten: by then the host may be another's. */
const FORGET_AFTER: Duration = 180 * DAY;

/** A proof seen again is written down at most this often; between, it costs a read. */
const REFRESH_EVERY: Duration = HOUR;

const TABLES = `
  CREATE TABLE IF NOT EXISTS host_memory (
    domain TEXT NOT NULL,
    host TEXT NOT NULL,
    tls INTEGER NOT NULL,
    version TEXT,
    authenticated TEXT NOT NULL,
    proven_at INTEGER NOT NULL,
    fell_at INTEGER,
    PRIMARY KEY (domain, host)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS host_memory_age ON host_memory (proven_at);
  CREATE TABLE IF NOT EXISTS host_classical (
    host TEXT PRIMARY KEY,
    until INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

export interface HostMemoryOptions {
  /** By `openTrustFile`. Another process may read and clear it at the same time. */
  readonly file: DatabaseSync;
  readonly clock: Clock;
  /** For how long a host that shows less than it proved is held to that, milliseconds; 0 holds none to anything. */
  readonly hold: Duration;
  /** Hosts remembered at most; those longest not proven go first. */
  readonly max?: number;
  readonly log?: Log;
}

/** A host that is offered the classical groups alone. */
export interface ClassicalHost {
  readonly host: string;
  readonly until: Instant;
}

/** The memory with what an operator does to it. */
export interface HostMemoryStore extends HostMemory {
  /** All, or what bears `name` as its domain or host; in order of domain and host. Throws where the file cannot be read. */
  list(name: string | null): {
    readonly hosts: readonly RememberedHost[];
    readonly classical: readonly ClassicalHost[];
  };
  /** Forgets the same; how many entries that were. Throws where the file cannot be written. */
  clear(name: string | null): number;
}

/**
 * Keeps what hosts proved in the trust file. Nothing is cached, so that what the command line clears is gone at once; a read is
 * one row by its key. A file that fails costs the memory and no mail: it is logged, and nothing is remembered.
 */
export function createHostMemory(options: HostMemoryOptions): HostMemoryStore {
  const { file, clock, hold } = options;
  const log = options.log ?? silentLog;
  file.exec(TABLES);
  const rows = statements(file);
  const contained = <T>(fallback: T, operate: () => T): T => {
    try {
      return operate();
    } catch (cause) {
      log.warn(events.memoryFailed, { err: asError(cause) });
      return fallback;
    }
  };
  const fresh = (found: RememberedHost | null): RememberedHost | null =>
    found === null || later(found.provenAt, FORGET_AFTER) <= clock.now() ? null : found;
  const standing = (found: RememberedHost | null): RememberedHost | null =>
    found === null || (found.fellAt !== null && later(found.fellAt, hold) <= clock.now()) ? null : found;
  const sweep = sweeper(file, clock, options.max ?? 100_000);

  return {
    recall: (domain, host) => (hold === 0 ? null : contained(null, () => standing(fresh(rows.find(domain, host))))),
    proved: (domain, host, proof) =>
      contained(undefined, () => {
        const now = clock.now();
        const before = standing(fresh(rows.find(domain, host)));
        const after = merged(before, proof, now);
        if (after === null) return;
        rows.put({ ...after, domain, host });
        if (before === null) sweep();
      }),
    fell: (domain, host) =>
      contained(clock.now(), () => {
        const found = fresh(rows.find(domain, host));
        if (found === null) return clock.now();
        const fellAt = found.fellAt ?? clock.now();
        if (found.fellAt === null) rows.put({ ...found, fellAt });
        return later(fellAt, hold);
      }),
    classicalOnly: (host) => contained(false, () => rows.classicalUntil(host) > clock.now()),
    rememberClassical: (host) =>
      contained(undefined, () => {
        rows.putClassical(host, later(clock.now(), CLASSICAL_TIME));
        sweep();
      }),
    list: (name) => rows.list(name, clock.now()),
    clear: (name) => rows.clear(name),
  };
}

/**
 * What is to be written after a session that showed `proof`; null for nothing. The strongest of each kind stays: a certificate that
 * nobody asked to be proven this time was proven before all the same.
 */
function merged(
  before: RememberedHost | null,
  proof: HostProof,
  now: Instant,
): Omit<RememberedHost, "domain" | "host"> | null {
  if (before === null) return { ...proof, provenAt: now, fellAt: null };
  const whole = covers(proof, before);
  const best = strongest(proof, before);
  const raised = !covers(before, proof);
  const stands = whole && (before.fellAt !== null || later(before.provenAt, REFRESH_EVERY) <= now);
  if (!raised && !stands) return null;
  const version = whole && before.fellAt !== null ? MIXED : best.version;
  return { ...best, version, provenAt: whole ? now : before.provenAt, fellAt: whole ? null : before.fellAt };
}

function statements(file: DatabaseSync) {
  const find = file.prepare("SELECT * FROM host_memory WHERE domain = ? AND host = ?");
  const put = file.prepare("INSERT OR REPLACE INTO host_memory VALUES (?, ?, ?, ?, ?, ?, ?)");
  const classical = file.prepare("SELECT until FROM host_classical WHERE host = ?");
  const putClassical = file.prepare("INSERT OR REPLACE INTO host_classical VALUES (?, ?)");
  return {
    find(domain: string, host: string): RememberedHost | null {
      const row = find.get(domain, host);
      return row === undefined ? null : remembered(row);
    },
    put({ domain, host, tls, version, authenticated, provenAt, fellAt }: RememberedHost): void {
      put.run(domain, host, tls ? 1 : 0, version, authenticated, provenAt, fellAt);
    },
    classicalUntil(host: string): number {
      const row = classical.get(host);
      return row === undefined ? 0 : integerOf(row.until);
    },
    putClassical(host: string, until: Instant): void {
      putClassical.run(host, until);
    },
    list(name: string | null, now: Instant) {
      const hosts = file
        .prepare("SELECT * FROM host_memory WHERE ?1 IS NULL OR domain = ?1 OR host = ?1 ORDER BY domain, host")
        .all(name);
      const spared = file
        .prepare("SELECT host, until FROM host_classical WHERE until > ?2 AND (?1 IS NULL OR host = ?1) ORDER BY host")
        .all(name, now);
      return {
        hosts: hosts.map(remembered),
        classical: spared.map((row) => ({ host: textOf(row.host), until: instantOf(row.until) })),
      };
    },
    clear(name: string | null): number {
      const hosts = file.prepare("DELETE FROM host_memory WHERE ?1 IS NULL OR domain = ?1 OR host = ?1").run(name);
      const spared = file.prepare("DELETE FROM host_classical WHERE ?1 IS NULL OR host = ?1").run(name);
      return Number(hosts.changes) + Number(spared.changes);
    },
  };
}

function remembered(row: Record<string, unknown>): RememberedHost {
  const authenticated = textOf(row.authenticated);
  return {
    domain: textOf(row.domain),
    host: textOf(row.host),
    tls: integerOf(row.tls) === 1,
    version: textOrNull(row.version),
    authenticated: authenticated === "name" || authenticated === "dane" ? authenticated : "no",
    provenAt: instantOf(row.proven_at),
    fellAt: row.fell_at === null ? null : instantOf(row.fell_at),
  };
}

/** Deletes what is too old or too much; does so once a day and every thousandth new entry, for it looks at the whole table. */
function sweeper(file: DatabaseSync, clock: Clock, max: number): () => void {
  let due: Instant = instant(0);
  let added = 0;
  const rounds = Math.min(1000, Math.max(1, Math.floor(max / 10)));
  return () => {
    added++;
    if (clock.now() < due && added % rounds !== 0) return;
    due = later(clock.now(), DAY);
    file.prepare("DELETE FROM host_memory WHERE proven_at <= ?").run(clock.now() - FORGET_AFTER);
    file.prepare("DELETE FROM host_classical WHERE until <= ?").run(clock.now());
    for (const [table, age] of [
      ["host_memory", "proven_at"],
      ["host_classical", "until"],
    ] as const) {
      const row = file.prepare(`SELECT ${age} AS age FROM ${table} ORDER BY ${age} DESC LIMIT 1 OFFSET ?`).get(max);
      if (row !== undefined) file.prepare(`DELETE FROM ${table} WHERE ${age} <= ?`).run(integerOf(row.age));
    }
  };
}
