import type { DatabaseSync } from "node:sqlite";
import type { Instant } from "../base/index.ts";
import { instantOf, integerOf, textOf } from "./columns.ts";
import type { Day } from "./tls-results.ts";

const TABLES = `
  CREATE TABLE IF NOT EXISTS tls_report (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    first_try INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (day, domain)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tls_report_sent (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    destination TEXT NOT NULL,
    PRIMARY KEY (day, domain, destination)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * What was sent, so that a report goes out once though the process was started anew. Reads the table of `createTlsResults`, which
 * has to be there. Throws where the file fails.
 */
export interface ReportMarks {
  /** Days before `today` and domains that have results and are not settled, oldest first. */
  pending(today: Day): readonly { readonly day: Day; readonly domain: string }[];
  /** When the report was tried first, which is now where it was not. */
  begin(day: Day, domain: string, now: Instant): Instant;
  isSent(day: Day, domain: string, destination: string): boolean;
  sent(day: Day, domain: string, destination: string): void;
  /** Nothing is left to do: sent, not wanted, or given up. */
  settle(day: Day, domain: string): void;
  /** Forgets the days before. */
  prune(before: Day): void;
}

export function openReportMarks(file: DatabaseSync): ReportMarks {
  file.exec(TABLES);
  const insert = file.prepare("INSERT OR IGNORE INTO tls_report VALUES (?, ?, ?, 0)");
  const find = file.prepare("SELECT first_try FROM tls_report WHERE day = ? AND domain = ?");
  const settle = file.prepare("UPDATE tls_report SET settled = 1 WHERE day = ? AND domain = ?");
  const sent = file.prepare("INSERT OR IGNORE INTO tls_report_sent VALUES (?, ?, ?)");
  const findSent = file.prepare("SELECT destination FROM tls_report_sent WHERE day = ? AND domain = ?");
  const pending = file.prepare(`
    SELECT DISTINCT day, domain FROM tls_result WHERE day < ?1
    EXCEPT SELECT day, domain FROM tls_report WHERE settled = 1
    ORDER BY day, domain
  `);
  return {
    pending: (today) => pending.all(today).map((row) => ({ day: integerOf(row.day), domain: textOf(row.domain) })),
    begin(day, domain, now) {
      const row = find.get(day, domain);
      if (row !== undefined) return instantOf(row.first_try);
      insert.run(day, domain, now);
      return now;
    },
    isSent: (day, domain, destination) =>
      findSent.all(day, domain).some((row) => textOf(row.destination) === destination),
    sent: (day, domain, destination) => void sent.run(day, domain, destination),
    settle: (day, domain) => void settle.run(day, domain),
    prune(before) {
      file.prepare("DELETE FROM tls_report WHERE day < ?").run(before);
      file.prepare("DELETE FROM tls_report_sent WHERE day < ?").run(before);
    },
  };
}
