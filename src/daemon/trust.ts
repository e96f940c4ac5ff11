// What is known of other mail systems, as a configuration has it kept, and the reports on it that go to them.
import { domainToASCII } from "node:url";
import {
  type Clock,
  DAY,
  type Duration,
  err,
  type Log,
  later,
  mathRandom,
  messageOf,
  ok,
  type Random,
  type Result,
  silentLog,
  unwrap,
} from "../base/index.ts";
import { type Config, isThere, trustFile } from "../config/index.ts";
import { formatTlsReport } from "../message/index.ts";
import { type Resolver, systemClock } from "../net/index.ts";
import type { QueueStore, Runner } from "../queue/index.ts";
import { needsSmtpUtf8, parseMailbox } from "../smtp/index.ts";
import {
  createHostMemory,
  createTlsReports,
  createTlsResults,
  type HostMemoryStore,
  type MailedTlsReport,
  openTrustFile,
  type TlsReports,
  type TlsResultsStore,
} from "../trust/index.ts";

/** How long a report may be on its way: another follows a day later. */
const REPORT_LIFETIME: Duration = DAY;

/** The trust file, open, with those of its tables that are no policies. */
export interface Trust {
  readonly file: ReturnType<typeof openTrustFile>;
  readonly memory: HostMemoryStore;
  readonly results: TlsResultsStore;
  /** Writes out what was counted, and closes the file. */
  close(): void;
}

export interface TrustOptions {
  /** For how long a host that shows less than it proved is held to that, milliseconds. */
  readonly hold: Duration;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** Opens what is known of other mail systems. Fails with one plain line where the file cannot be used. */
export function openTrust(config: Pick<Config, "dataDir">, options: TrustOptions): Result<Trust, string> {
  const { hold, clock = systemClock, log = silentLog } = options;
  const path = trustFile(config);
  let file: Trust["file"] | null = null;
  try {
    file = openTrustFile(path);
    return ok(trustIn(file, { hold, clock, log }));
  } catch (cause) {
    file?.close();
    const reason = messageOf(cause);
    const where = reason.includes(path) ? reason : `${path} cannot be used: ${reason}`;
    return err(`${where}; where it is damaged delete it, there is no mail in it`);
  }
}

/** The same over a file that is open already. */
export function trustIn(file: Trust["file"], options: Required<TrustOptions>): Trust {
  const { hold, clock, log } = options;
  const memory = createHostMemory({ file, clock, hold, log });
  const results = createTlsResults({ file, clock, log });
  const close = (): void => {
    results.close();
    file.close();
  };
  return { file, memory, results, close };
}

/** As `openTrust`, for the command line: null where nothing is known yet, for only the daemon makes the file. */
export function readTrust(
  config: Pick<Config, "dataDir">,
  options: TrustOptions = { hold: DAY },
): Result<Trust | null, string> {
  try {
    return isThere(trustFile(config)) ? openTrust(config, options) : ok(null);
  } catch (cause) {
    const reason = messageOf(cause);
    return err(`what is known of other servers cannot be looked at: ${reason}; run this as the user of the server`);
  }
}

export interface TlsReportingParts {
  readonly config: Pick<Config, "hostname" | "tlsReport" | "queue">;
  readonly trust: Pick<Trust, "file" | "results">;
  readonly resolver: Pick<Resolver, "txt" | "addresses">;
  readonly store: Pick<QueueStore, "createDraft">;
  readonly runner: Pick<Runner, "poke">;
  /** Authorities trusted now where reports are POSTed, PEM; null for the system's. */
  ca(): readonly string[] | null;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log: Log;
}

/** The reports to other domains; mailed ones go into the queue. */
export function createTlsReporting(parts: TlsReportingParts): TlsReports {
  const { config, trust, resolver, clock = systemClock } = parts;
  const { organization, contact, networks } = config.tlsReport;
  return createTlsReports({
    ...trust,
    resolver,
    https: () => ({ resolver, networks, ca: parts.ca() }),
    submitter: { organization, contact },
    mail: (report) => queueReport({ ...parts, clock }, report),
    clock,
    random: parts.random ?? mathRandom,
    log: parts.log,
  });
}

/** Resolves when the mail is on disk. */
async function queueReport(
  { config, store, runner, clock }: TlsReportingParts & { readonly clock: Clock },
  report: MailedTlsReport,
): Promise<void> {
  await using draft = store.createDraft();
  const from = unwrap(parseMailbox(config.tlsReport.from));
  const at = clock.now();
  const hostname = domainToASCII(config.hostname) || config.hostname;
  const octets = formatTlsReport({ ...report, id: draft.id, hostname, from, at });
  const { length } = octets;
  await draft.append(octets);
  await draft.keep({
    id: draft.id,
    receivedAt: at,
    expiresAt: later(at, Math.min(REPORT_LIFETIME, config.queue.giveUpAfter)),
    reversePath: from,
    parameters: {
      // RFC 8460 §3: it goes out despite all failures of TLS, which may be what it tells of.
      tlsOptional: true,
      ...(needsSmtpUtf8(report.to) ? { body: "8BITMIME" as const, smtputf8: true as const } : {}),
    },
    origin: { service: "local", sessionId: null, address: null, hello: null, identity: null, tls: null },
    // A report that did not arrive is no news to anybody: the log has it.
    recipients: [{ mailbox: report.to, parameters: { notify: ["NEVER"] } }],
    size: length,
  });
  runner.poke();
}
