import type { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import {
  asError,
  type Clock,
  DAY,
  type Duration,
  encodeUtf8,
  err,
  HOUR,
  type Log,
  MINUTE,
  messageOf,
  ok,
  printable,
  type Random,
  type Result,
  SECOND,
  type Timer,
} from "../base/index.ts";
import { type DnsAnswer, type HttpsOptions, httpsRequest, type Resolver } from "../net/index.ts";
import type { Mailbox } from "../smtp/index.ts";
import { events } from "./events.ts";
import { formatDay, type ReportSubmitter, reportFileName, reportId, submitterDomain, tlsReport } from "./tls-report.ts";
import { openReportMarks } from "./tls-report-marks.ts";
import { parseTlsReportRecords, type ReportDestination } from "./tls-report-record.ts";
import { type Day, dayOf, type TlsResultsStore } from "./tls-results.ts";

/** A report that is to go into the queue. Texts are one line of ASCII. */
export interface MailedTlsReport {
  readonly to: Mailbox;
  readonly domain: string;
  readonly submitter: string;
  readonly reportId: string;
  /** `2026-11-22`, UTC. */
  readonly day: string;
  readonly fileName: string;
  readonly gzip: Uint8Array;
}

export interface TlsReportsOptions {
  /** By `openTrustFile`; holds what was sent. */
  readonly file: DatabaseSync;
  readonly results: TlsResultsStore;
  readonly resolver: Pick<Resolver, "txt">;
  /** For reports that are POSTed. */
  /** Asked for each report that is POSTed: what is trusted may change. */
  https(): HttpsOptions;
  readonly submitter: ReportSubmitter;
  /** Takes a mail into the queue; rejects where it was not taken. */
  readonly mail: (report: MailedTlsReport) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface TlsReports {
  /** Sends from now on: each UTC day is reported in the four hours behind it (RFC 8460 §4.1), and what was missed, soon. */
  start(): void;
  /** Sends what is due now. Returns how many reports are left to be tried again. Never rejects. */
  run(): Promise<number>;
  /** Begins nothing more, and ends what is on its way. */
  close(): Promise<void>;
}

/** RFC 8460 §4.1: not all reporters at midnight. */
const SPREAD: Duration = 4 * HOUR;
/** Results are written out once a minute, and a little later where the file is busy. */
const WRITTEN_OUT: Duration = 2 * MINUTE;
/** After a start in the rest of the day. */
const CATCH_UP: Duration = 10 * MINUTE;
const RETRY: Duration = HOUR;
/** From the first try on. */
const GIVE_UP_AFTER: Duration = DAY;
const KEEP_DAYS = 30;

const AT_ONCE = 8;
const POST_TIMEOUT: Duration = MINUTE;
const MAX_ANSWER = 1024 * 1024;

const zip = promisify(gzip);

/** Collects nothing and counts nothing; it reads what `createTlsResults` wrote and sends it to the domains that ask for it. */
export function createTlsReports(options: TlsReportsOptions): TlsReports {
  const { clock, random, log, results } = options;
  const marks = openReportMarks(options.file);
  const stop = new AbortController();
  const sender = createSender(options, marks, stop.signal);
  let timer: Timer | null = null;
  let running: Promise<number> | null = null;

  const sendAll = async (): Promise<number> => {
    try {
      results.flush();
      const today = dayOf(clock.now());
      marks.prune(today - KEEP_DAYS);
      return await inTurns(marks.pending(today), ({ day, domain }) => sender(day, domain));
    } catch (cause) {
      log.error(events.reportsBroke, { err: asError(cause) });
      return 1;
    }
  };
  const run = (): Promise<number> => {
    running ??= sendAll().finally(() => {
      running = null;
    });
    return running;
  };
  const wait = (delay: Duration): void => {
    timer = clock.after(Math.max(SECOND, delay), () => {
      void run().then((left) => {
        if (!stop.signal.aborted) wait(left > 0 ? retryDelay(random) : nextDelay(clock.now(), random));
      });
    });
  };
  return {
    start: () => wait(firstDelay(clock.now(), random)),
    run,
    async close() {
      stop.abort();
      timer?.cancel();
      await running;
    },
  };
}

/** In what is left of the four hours, else soon: what was missed by being down should not wait for another midnight. */
function firstDelay(now: number, random: Random): Duration {
  return random.next() * Math.max(CATCH_UP, SPREAD - (now % DAY));
}

/** Not before other processes have written out what they counted in the last minute of the day. */
function nextDelay(now: number, random: Random): Duration {
  return DAY - (now % DAY) + WRITTEN_OUT + random.next() * (SPREAD - WRITTEN_OUT);
}

function retryDelay(random: Random): Duration {
  return RETRY * (0.5 + random.next());
}

/** Sums what `task` returns for all items, `AT_ONCE` of them at a time. */
async function inTurns<T>(items: readonly T[], task: (item: T) => Promise<number>): Promise<number> {
  const queue = items.values();
  let sum = 0;
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      const one = await task(item);
      sum += one;
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return sum;
}

/** Sends the report of a day and domain; 1 where that is to be tried again, 0 where it is settled. */
function createSender(options: TlsReportsOptions, marks: ReturnType<typeof openReportMarks>, signal: AbortSignal) {
  const { clock, log, resolver, results, submitter } = options;
  const ended = new Promise<DnsAnswer<string>>((resolve) => {
    const given = { kind: "failed", reason: "timeout", detail: "given up" } as const;
    signal.addEventListener("abort", () => resolve(given), { once: true });
  });
  const later = (firstTry: number, told: { domain: string; day: string; to: string; detail: string }): number => {
    const final = clock.now() >= firstTry + GIVE_UP_AFTER;
    log.warn(events.reportFailed, { ...told, final });
    return final ? 0 : 1;
  };

  const sendTo = async (destination: ReportDestination, day: Day, domain: string): Promise<Result<void, string>> => {
    const facts = { submitter, day, domain };
    const report = tlsReport({ ...facts, counts: results.counts(day, domain) });
    const octets = new Uint8Array(await zip(encodeUtf8(JSON.stringify(report))));
    if (destination.kind === "https") return post(options.https(), destination.url, octets, signal);
    try {
      await options.mail({
        to: destination.mailbox,
        domain,
        submitter: submitterDomain(submitter),
        reportId: reportId(facts),
        day: formatDay(day),
        fileName: reportFileName(facts),
        gzip: octets,
      });
      return ok(undefined);
    } catch (cause) {
      return err(`the queue did not take it: ${messageOf(cause)}`);
    }
  };

  const destinations = async (domain: string): Promise<Result<readonly ReportDestination[], string>> => {
    // What is no name in DNS, such as an address literal, publishes nothing.
    if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(domain)) return ok([]);
    const answer = await Promise.race([resolver.txt(`_smtp._tls.${domain}`), ended]);
    if (answer.kind === "failed") return err(`its record could not be looked up: ${answer.detail}`);
    const record = parseTlsReportRecords(answer.kind === "found" ? answer.records : []);
    const complaints = record.ok ? (record.value?.skipped ?? []) : [record.error];
    if (complaints.length > 0) log.warn(events.reportRecord, { domain, detail: printable(complaints.join("; ")) });
    return ok(record.ok ? (record.value?.destinations ?? []) : []);
  };

  return async (day: Day, domain: string): Promise<number> => {
    if (signal.aborted) return 1;
    const firstTry = marks.begin(day, domain, clock.now());
    const told = { domain, day: formatDay(day) };
    const found = await destinations(domain);
    if (signal.aborted) return 1;
    let left = found.ok ? 0 : later(firstTry, { ...told, to: "", detail: found.error });
    for (const destination of found.ok ? found.value : []) {
      const to = destination.uri;
      if (signal.aborted) return 1;
      if (marks.isSent(day, domain, to)) continue;
      const sent = await sendTo(destination, day, domain);
      if (signal.aborted && !sent.ok) return 1;
      if (sent.ok) {
        marks.sent(day, domain, to);
        log.info(events.reportSent, { ...told, to, report: reportId({ submitter, day, domain }) });
      } else left += later(firstTry, { ...told, to, detail: sent.error });
    }
    if (left === 0) marks.settle(day, domain);
    return Math.min(left, 1);
  };
}

/** RFC 8460 §5.4. The host has to prove its name, though §3 would let that go. */
async function post(
  https: HttpsOptions,
  url: URL,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Result<void, string>> {
  const answer = await httpsRequest(https, {
    host: url.hostname,
    port: url.port === "" ? 443 : Number(url.port),
    method: "POST",
    path: `${url.pathname}${url.search}`,
    headers: { "content-type": "application/tlsrpt+gzip" },
    body,
    bodyLimit: MAX_ANSWER,
    timeout: POST_TIMEOUT,
    signal,
  });
  if (!answer.ok) return err(printable(answer.error.detail));
  const { status } = answer.value;
  return status >= 200 && status < 300 ? ok(undefined) : err(`${url.hostname} answered with ${status}`);
}
