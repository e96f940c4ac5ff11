import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { domainToASCII } from "node:url";
import { parse, TomlError } from "smol-toml";
import { err, messageOf, ok, type Result } from "../base/index.ts";
import { authOf } from "./auth.ts";
import { autoconfigOf } from "./autoconfig.ts";
import { contradictions } from "./consistency.ts";
import type { Config, DeliveryConfig, LocalDelivery, RouteConfig } from "./model.ts";
import { Places } from "./places.ts";
import { type ConfigProblem, type Finding, findingsOf } from "./problems.ts";
import { limitOf, retryOf } from "./queueing.ts";
import { type Settings, settings } from "./schema.ts";
import { mtaStsOf } from "./web.ts";

/** Reads and checks a configuration file. A failure lists every problem, in the order of the file. */
export function loadConfig(file: string): Result<Config, readonly ConfigProblem[]> {
  let source: string;
  try {
    source = readFileSync(file, "utf8");
  } catch (cause) {
    return err([{ file, line: null, key: "", problem: unreadable(cause), remedy: "name a file with --config FILE" }]);
  }
  return parseConfig(source, file);
}

/** Checks the text of a configuration. `file` is where relative paths start from and what problems name. */
export function parseConfig(source: string, file: string): Result<Config, readonly ConfigProblem[]> {
  let written: unknown;
  try {
    written = parse(source);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const problem = `is not TOML: ${tomlComplaint(cause)}`;
    return err([{ file, line: cause.line, key: "", problem, remedy: `look at column ${cause.column} of this line` }]);
  }
  const places = new Places(source);
  const checked = settings.safeParse(written, { reportInput: true });
  const found = [...(checked.error?.issues ?? []).flatMap(findingsOf), ...contradictions(written)];
  if (checked.success && found.length === 0) return ok(configOf(checked.data, resolve(file), places));
  return err(inOrder(found, places, file));
}

function inOrder(found: readonly Finding[], places: Places, file: string): readonly ConfigProblem[] {
  return found
    .map(({ path, problem, remedy }) => ({
      file,
      line: places.line(path),
      key: path.filter((key) => typeof key === "string").join("."),
      problem,
      remedy,
    }))
    .sort((a, b) => a.line - b.line);
}

/** The parser's sentence without its drawing of the place. */
function tomlComplaint(error: TomlError): string {
  return (error.message.split("\n")[0] ?? "").replace(/^Invalid TOML document: /, "");
}

function unreadable(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : null;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "this user may not read it";
  if (code === "EISDIR") return "is a folder, not a file";
  return `cannot be read (${messageOf(cause)})`;
}

function configOf(given: Settings, file: string, places: Places): Config {
  const folder = dirname(file);
  return {
    file,
    folder,
    hostname: inALabels(given.hostname),
    dataDir: resolve(folder, given.data_dir),
    workers: given.workers,
    listeners: given.listener.map(({ client_certificates, session_tickets, ...listener }) => ({
      ...listener,
      clientCertificates: client_certificates,
      sessionTickets: session_tickets,
    })),
    tls: given.tls === undefined ? null : tlsOf(given.tls, folder),
    domains: given.domain.map((domain) => ({ ...domain, deliver: inFolder(domain.deliver, folder) })),
    smtp: given.smtp,
    auth: authOf(given.auth, folder),
    submission: {
      sender: given.submission.sender,
      qualifyDomain: given.submission.qualify_domain ?? null,
      hideClient: given.submission.hide_client,
      limits: { ...given.submission.limits, message_size: given.submission.limits.message_size ?? 0 },
      addressLimits: { ...given.submission.address_limits, new_recipients_per_day: 0, message_size: 0, sessions: 0 },
    },
    relay: given.relay,
    peers: peersOf(given.peer, folder, places),
    routes: given.route.map((route) => routeOf(route, folder)),
    delivery: deliveryOf(given.delivery, folder),
    web: given.web,
    mtaSts: mtaStsOf(given),
    autoconfig: autoconfigOf(given.autoconfig),
    dns: { servers: given.dns.servers, trustAd: given.dns.trust_ad },
    tlsReport: tlsReportOf(given),
    limits: {
      messageSize: given.limits.message_size,
      recipients: given.limits.recipients,
      transactions: given.limits.transactions,
      connections: given.limits.connections,
      connectionsPerAddress: given.limits.connections_per_address,
      errors: given.limits.errors,
      hops: given.limits.hops,
      futureRelease: given.limits.future_release,
      memory: given.limits.memory,
    },
    timeouts: given.timeouts,
    queue: {
      retryFirst: given.queue.retry_first,
      retryLongest: given.queue.retry_longest,
      giveUpAfter: given.queue.give_up_after,
      warnAfter: given.queue.warn_after,
      concurrency: given.queue.concurrency,
      destinationConcurrency: given.queue.destination_concurrency,
      history: { age: given.queue.history, recipients: given.queue.history_recipients },
    },
    retries: given.retry.map(retryOf),
    limitRules: given.limit.map(limitOf),
    log: given.log,
    metrics: given.metrics ?? null,
  };
}

/** A name as it may stand in a greeting, in EHLO and in any header section. */
function inALabels(name: string): string {
  return domainToASCII(name) || name;
}

function tlsOf(given: NonNullable<Settings["tls"]>, folder: string): Config["tls"] {
  const pair = (files: { certificate: string; private_key: string }) => ({
    certificate: resolve(folder, files.certificate),
    privateKey: resolve(folder, files.private_key),
  });
  return {
    keyPairs: [pair(given), ...given.additional.map(pair)],
    nextPrivateKey: given.next_private_key === undefined ? null : resolve(folder, given.next_private_key),
  };
}

function routeOf(route: Settings["route"][number], folder: string): RouteConfig {
  const { match, via, tls, ca, pins, min_version, client_certificate, client_private_key } = route;
  const shown =
    client_certificate === undefined || client_private_key === undefined
      ? null
      : { certificate: resolve(folder, client_certificate), privateKey: resolve(folder, client_private_key) };
  return {
    match,
    via,
    tls,
    ca: ca.map((file) => resolve(folder, file)),
    pins,
    minVersion: `TLSv${min_version}`,
    clientCertificate: shown,
  };
}

function deliveryOf(delivery: Settings["delivery"], folder: string): DeliveryConfig {
  return {
    port: delivery.port,
    eightBit: delivery.eight_bit,
    chunking: delivery.chunking,
    leastRate: delivery.least_rate,
    mtaSts: delivery.mta_sts,
    dane: delivery.dane,
    ca: delivery.ca.map((file) => resolve(folder, file)),
    afterTlsFailure: delivery.after_tls_failure,
    downgradeHold: delivery.downgrade_hold,
    tlsResumption: delivery.tls_resumption,
  };
}

function inFolder(deliver: LocalDelivery, folder: string): LocalDelivery {
  return deliver.kind === "maildir" ? { kind: "maildir", path: resolve(folder, deliver.path) } : deliver;
}

function tlsReportOf({ hostname, tls_report: given }: Settings): Config["tlsReport"] {
  // Reports are ASCII (RFC 8460 §5.3).
  const contact = given.contact ?? `postmaster@${inALabels(hostname)}`;
  return {
    send: given.send,
    contact,
    from: given.from ?? contact,
    organization: given.organization ?? hostname,
    networks: given.networks,
  };
}

function peersOf(given: Settings["peer"], folder: string, places: Places): Config["peers"] {
  return given.map(({ name, spki = [], ca, names = [], user, relay, senders, limits }, position) => ({
    name,
    spki,
    ca: ca === undefined ? null : { file: resolve(folder, ca), line: places.line(["peer", position, "ca"]) },
    names,
    user: user ?? null,
    relay,
    senders,
    limits: {
      messageSize: limits.message_size ?? null,
      recipients: limits.recipients ?? null,
      transactions: limits.transactions ?? null,
      connections: limits.connections ?? null,
    },
  }));
}
