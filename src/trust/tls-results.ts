import type { DatabaseSync } from "node:sqlite";
import { asError, type Clock, DAY, type Log, MINUTE, printable, silentLog, type Timer } from "../base/index.ts";
import { integerOf, textOf } from "./columns.ts";
import { events } from "./events.ts";
import type { AppliedPolicy, TlsResult, TlsResults, TlsResultType } from "./model.ts";

/** Days that results are kept, that of today included. */
const KEEP_DAYS = 10;

/** Kinds in memory after which they are written at once, and beyond which they are dropped where they cannot be written. */
const FLUSH_AT = 1000;
const MAX_WAITING = 10_000;

/** Kinds of failure told apart for one domain and day; what is more counts as its type alone. */
const MAX_KINDS = 100;
/** Policies told apart for one domain and day; what is more counts without the policy's text. */
const MAX_POLICIES = 10;
/** Kinds of all domains in one day; what is more is not counted. */
const MAX_A_DAY = 200_000;

const MAX_REASON = 200;
/** Of a policy, as it will stand in a report: lines, and characters of a line. */
const MAX_LINES = 50;
const MAX_LINE = 300;

const TABLES = `
  CREATE TABLE IF NOT EXISTS tls_result (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    type TEXT NOT NULL,
    host TEXT NOT NULL,
    sending TEXT NOT NULL,
    receiving TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, type, host, sending, receiving, reason)
  ) STRICT, WITHOUT ROWID;
`;

/** A UTC day, counted from 1970-01-01. */
export type Day = number;

export function dayOf(at: number): Day {
  return Math.floor(at / DAY);
}

/** Sessions of one kind: all of a day that had the same policy, end, host, addresses and reason. */
export interface TlsResultCount extends Omit<TlsResult, "domain"> {
  readonly count: number;
}

export interface TlsResultsOptions {
  /** By `openTrustFile`. */
  readonly file: DatabaseSync;
  readonly clock: Clock;
  readonly log?: Log;
}

/** The results with what the reports and the command line read of them. */
export interface TlsResultsStore extends TlsResults {
  /** Writes out what was counted. Done each minute without being asked. Never throws: what cannot be written is kept. */
  flush(): void;
  /** Days of which there are results, oldest first. Of what was written out only, as all that follows. */
  days(): readonly Day[];
  /** Domains with results on a day, in order. */
  domains(day: Day): readonly string[];
  /** Successes of one policy are one count, without host and address. */
  counts(day: Day, domain: string): readonly TlsResultCount[];
  /** Writes out, and counts no more. */
  close(): void;
}

interface Counted {
  /** The columns before `count`. */
  readonly columns: readonly [Day, ...string[]];
  count: number;
}

/**
 * Counts sessions in memory, and once a minute writes the counts to the trust file in one transaction, where they outlive the
 * process. A file that fails costs reports and no mail.
 */
export function createTlsResults(options: TlsResultsOptions): TlsResultsStore {
  const { file, clock } = options;
  const log = options.log ?? silentLog;
  file.exec(TABLES);
  const table = statements(file);
  let waiting = new Map<string, Counted>();
  let timer: Timer | null = null;
  let pruned: Day = 0;

  const flush = (): void => {
    timer?.cancel();
    timer = null;
    if (waiting.size === 0) return;
    try {
      const today = dayOf(clock.now());
      table.write([...waiting.values()], pruned < today ? today - KEEP_DAYS : null);
      pruned = today;
      waiting = new Map();
    } catch (cause) {
      log.warn(events.resultsFailed, {
        err: asError(cause),
        waiting: waiting.size,
      });
      timer = clock.after(MINUTE, flush);
    }
  };

  return {
    add(result) {
      const columns = columnsOf(result, dayOf(clock.now()));
      const key = columns.join("\0");
      const known = waiting.get(key);
      if (known !== undefined) {
        known.count++;
        return;
      }
      if (waiting.size >= MAX_WAITING) return;
      waiting.set(key, { columns, count: 1 });
      // After a failed write the timer alone tries again, lest each session wait for a broken disk.
      if (waiting.size === FLUSH_AT) flush();
      else timer ??= clock.after(MINUTE, flush);
    },
    flush,
    days: table.days,
    domains: table.domains,
    counts: table.counts,
    close: flush,
  };
}

/** Success needs no more than its policy (RFC 8460 §4.2.1). */
function columnsOf({ domain, policy, type, ...where }: TlsResult, day: Day): readonly [Day, ...string[]] {
  const told = type === "success" ? null : where;
  return [
    day,
    domain.toLowerCase(),
    JSON.stringify([policy.type, bounded(policy.strings), bounded(policy.mxHosts)]),
    type,
    told?.host ?? "",
    told?.sendingAddress ?? "",
    told?.receivingAddress ?? "",
    printable(told?.reason ?? "", MAX_REASON),
  ];
}

function bounded(lines: readonly string[]): readonly string[] {
  return lines.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_LINE));
}

function statements(file: DatabaseSync) {
  const same =
    "day = ? AND domain = ? AND policy = ? AND type = ? AND host = ? AND sending = ? AND receiving = ? AND reason = ?";
  const update = file.prepare(`UPDATE tls_result SET count = count + ? WHERE ${same}`);
  const insert = file.prepare("INSERT INTO tls_result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const kinds = file.prepare("SELECT count(*) AS n FROM tls_result WHERE day = ? AND domain = ?");
  const policies = file.prepare("SELECT count(DISTINCT policy) AS n FROM tls_result WHERE day = ? AND domain = ?");
  const samePolicy = file.prepare("SELECT 1 FROM tls_result WHERE day = ? AND domain = ? AND policy = ? LIMIT 1");
  const all = file.prepare("SELECT count(*) AS n FROM tls_result WHERE day = ?");
  const prune = file.prepare("DELETE FROM tls_result WHERE day <= ?");
  const bump = ({ columns, count }: Counted): boolean => Number(update.run(count, ...columns).changes) === 1;

  /** How many different ones a stranger's records and answers may add is bounded here. */
  const add = (counted: Counted, room: { left: number }): void => {
    if (bump(counted)) return;
    const kept = fitting(counted);
    if (kept !== counted && bump(kept)) return;
    if (room.left <= 0) return;
    room.left--;
    insert.run(...kept.columns, kept.count);
  };
  const fitting = (counted: Counted): Counted => {
    const [day, domain = "", policy = "", type = "", ...where] = counted.columns;
    const known = samePolicy.get(day, domain, policy) !== undefined;
    const full = !known && integerOf(policies.get(day, domain)?.n) >= MAX_POLICIES;
    const crowded = integerOf(kinds.get(day, domain)?.n) >= MAX_KINDS;
    if (!full && !crowded) return counted;
    const text = full || (crowded && !known) ? JSON.stringify([policyOf(policy).type, [], []]) : policy;
    return { columns: [day, domain, text, type, ...(crowded ? where.map(() => "") : where)], count: counted.count };
  };

  return {
    /** In one transaction; with `oldest` also deletes all days up to it. */
    write(counts: readonly Counted[], oldest: Day | null): void {
      file.exec("BEGIN IMMEDIATE");
      try {
        if (oldest !== null) prune.run(oldest);
        const rooms = new Map<Day, { left: number }>();
        for (const counted of counts) {
          const [day] = counted.columns;
          const room = rooms.get(day) ?? { left: MAX_A_DAY - integerOf(all.get(day)?.n) };
          rooms.set(day, room);
          add(counted, room);
        }
        file.exec("COMMIT");
      } catch (cause) {
        if (file.isTransaction) file.exec("ROLLBACK");
        throw cause;
      }
    },
    days: () =>
      file
        .prepare("SELECT DISTINCT day FROM tls_result ORDER BY day")
        .all()
        .map((row) => integerOf(row.day)),
    domains: (day: Day) =>
      file
        .prepare("SELECT DISTINCT domain FROM tls_result WHERE day = ? ORDER BY domain")
        .all(day)
        .map((row) => textOf(row.domain)),
    counts: (day: Day, domain: string) =>
      file
        .prepare("SELECT * FROM tls_result WHERE day = ? AND domain = ? ORDER BY policy, count DESC, type, host")
        .all(day, domain)
        .map(countOf),
  };
}

function countOf(row: Record<string, unknown>): TlsResultCount {
  return {
    policy: policyOf(textOf(row.policy)),
    type: textOf(row.type) as TlsResultType, // written by this file from a checked value
    host: orNull(row.host),
    sendingAddress: orNull(row.sending),
    receivingAddress: orNull(row.receiving),
    reason: orNull(row.reason),
    count: integerOf(row.count),
  };
}

function policyOf(json: string): AppliedPolicy {
  const [type, strings, mxHosts] = JSON.parse(json) as [AppliedPolicy["type"], readonly string[], readonly string[]]; // by columnsOf
  return { type, strings, mxHosts };
}

function orNull(value: unknown): string | null {
  const text = textOf(value);
  return text === "" ? null : text;
}
