/**
 * The composition root: the only place that knows every concrete thing. It opens what a configuration names, ties intake,
 * queue and delivery together, and takes all of it down again in the opposite order.
 */
import { createControlServer, createOperations, socketPath } from "./admin/index.ts";
import { err, type Log, mathRandom, ok, type Result, unwrap } from "./base/index.ts";
import { createPool } from "./client/index.ts";
import { type Config, queueFile, usersFile } from "./config/index.ts";
import { checkDataFolder, listenProblem } from "./daemon-checks.ts";
import { createMailDomains } from "./daemon-mail-domains.ts";
import { loadNextHops, type NextHops } from "./daemon-next-hops.ts";
import { configuredResolver } from "./daemon-resolver.ts";
import { findStsPolicies } from "./daemon-sts.ts";
import { loadTls, type ServingTls } from "./daemon-tls.ts";
import { createTlsReporting, openTrust, type Trust } from "./daemon-trust.ts";
import { openWeb } from "./daemon-web.ts";
import { createDeliverer, createReporter, recipientTest, selfTest } from "./delivery/index.ts";
import {
  type Credentials,
  createAuthenticator,
  createHome,
  createPeers,
  createReceiver,
  createRelayPolicy,
  createSubmissionPolicy,
  freeSpaceOf,
  openCredentials,
  type SubmissionRules,
  sendersOf,
} from "./intake/index.ts";
import { type Endpoint, inNetworks, systemClock } from "./net/index.ts";
import { createRunner, openSqliteStore, type QueueStore, type Runner, StoreError } from "./queue/index.ts";
import { createServer, type ListenerOptions, type Policy, type ServerLimits } from "./server/index.ts";
import { parseDomain } from "./smtp/index.ts";

export { checkConfig } from "./daemon-checks.ts";
export { openUsers, type Users, writeSelfSignedCertificate } from "./daemon-setup.ts";
export { readTrust } from "./daemon-trust.ts";

/** A running Postern. */
export interface Daemon {
  readonly listeners: readonly {
    readonly service: "mx" | "submission";
    readonly tls: "starttls" | "implicit" | "none";
    readonly local: Endpoint;
  }[];
  /** Reads the certificates anew, and the authorities of peers; on a problem the old ones stay in use. Running sessions keep theirs. */
  reload(): Promise<Result<void, readonly string[]>>;
  /** Graceful: no new connections, running transactions and deliveries end or are cut after the configured time. */
  stop(): Promise<void>;
}

/** Octets of the disk that are never filled with mail: room to record outcomes and to log. */
const FREE_SPACE_FLOOR = 100 * 1024 * 1024;
/** A header section may be this large (octets); beyond it the message is refused. */
const HEADER_LIMIT = 256 * 1024;

/** Starts everything, or nothing: on a failure what was opened is closed again, and each problem is one plain line. */
export async function startDaemon(
  config: Config,
  options: {
    readonly log: Log;
    /** The queue's thread died: nothing more can be taken or recorded. End the process, nothing acknowledged is lost. */
    readonly onDeath?: (error: Error) => void;
  },
): Promise<Result<Daemon, readonly string[]>> {
  const { log } = options;
  await using resources = new AsyncDisposableStack();
  const problem = checkDataFolder(config);
  if (problem !== null) return err([problem]);
  const tls = loadTls(config);
  if (!tls.ok) return tls;
  const nextHops = loadNextHops(config);
  if (!nextHops.ok) return nextHops;
  const store = await openQueue(config, log, options.onDeath);
  if (!store.ok) return err([store.error]);
  resources.defer(() => store.value.close());

  const trust = openTrust(config, { hold: config.delivery.downgradeHold, log });
  if (!trust.ok) return err([trust.error]);
  resources.defer(() => trust.value.close());

  const queue = createQueueSide(
    { config, store: store.value, trust: trust.value, nextHops: nextHops.value, log },
    resources,
  );
  const credentials = openCredentials(usersFile(config));
  resources.defer(() => credentials.close());
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const policies = createPolicies({
    config,
    store: store.value,
    runner: queue,
    credentials,
    lookups: lookups.signal,
    log,
  });
  const server = createServer({
    hostname: config.hostname,
    listeners: config.listeners.map((listener) => listenerOptions(listener, policies, tls.value)),
    policy: policies.mx,
    ...(tls.value === null ? {} : { tls: tls.value.plain }),
    limits: serverLimits(config),
    log,
  });
  resources.defer(() => server.stop({ grace: config.timeouts.stop }));

  const control = await openControl(config, store.value, queue, log);
  if (!control.ok) return err([control.error]);
  resources.defer(() => control.value.close());

  const started = await server.start();
  if (!started.ok) {
    const { listener, problem: cause } = started.error;
    return err([listenProblem(`${listener.address}:${listener.port}`, cause)]);
  }
  const web = await openWeb(config, tls.value, log);
  if (!web.ok) return err([web.error]);
  resources.defer(() => web.value.stop());
  queue.start();
  const endpoints = [...started.value, ...web.value.endpoints].map(({ address, port }) => `${address}:${port}`);
  log.info("daemon.started", { listeners: endpoints });

  const owned = resources.move();
  return ok({
    listeners: config.listeners.map(({ service, tls: mode }, at) => ({
      service,
      tls: mode,
      local: started.value[at] ?? { address: "", port: 0 },
    })),
    reload: async () => reload(tls.value, log),
    async stop() {
      log.info("daemon.stopping", {});
      await owned.disposeAsync();
      log.info("daemon.stopped", {});
    },
  });
}

async function openQueue(
  config: Config,
  log: Log,
  onDeath: (error: Error) => void = () => {},
): Promise<Result<QueueStore, string>> {
  try {
    return ok(await openSqliteStore({ path: queueFile(config), clock: systemClock, log, onDeath }));
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    if (cause.kind === "busy") return err(`another Postern is running on ${config.dataDir}; stop it first`);
    return err(`the queue ${queueFile(config)} cannot be opened: ${cause.message}`);
  }
}

interface QueueParts {
  readonly config: Config;
  readonly store: QueueStore;
  readonly trust: Trust;
  readonly nextHops: NextHops;
  readonly log: Log;
}

/** Everything behind the waist: from the due message to its outcome, and the reports on the connections that it took. */
function createQueueSide({ config, store, trust, nextHops, log }: QueueParts, resources: AsyncDisposableStack): Runner {
  // A lookup that nobody waits for any more would keep the process for the rest of its timeouts.
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const resolver = configuredResolver(config, lookups.signal);
  const { trusted: ca } = nextHops;
  const sts = config.delivery.mtaSts ? findStsPolicies({ config, file: trust.file, resolver, ca, log }) : null;
  resources.defer(() => sts?.close());
  const pool = createPool({ clock: systemClock });
  resources.defer(() => pool.close());
  const deliverer = createDeliverer({
    hostname: config.hostname,
    domains: config.domains,
    routes: nextHops.routes,
    port: config.delivery.port,
    ca: nextHops.extraCa,
    dane: config.delivery.dane,
    ...(sts === null ? {} : { sts }),
    memory: trust.memory,
    results: trust.results,
    clearTextAfterTlsFailure: config.delivery.afterTlsFailure === "clear",
    tlsResumption: config.delivery.tlsResumption,
    eightBit: config.delivery.eightBit,
    chunking: config.delivery.chunking,
    resolver,
    pool,
    clock: systemClock,
    log,
    isSelf: selfTest(config.listeners.map(({ address }) => address)),
    connectTimeout: config.timeouts.connect,
    handshakeTimeout: config.timeouts.handshake,
  });
  const reporter = createReporter({
    hostname: config.hostname,
    clock: systemClock,
    nextId: () => store.nextId(),
    lifetime: config.queue.giveUpAfter,
    log,
  });
  const runner = createRunner({
    store,
    deliverer,
    reporter,
    clock: systemClock,
    random: mathRandom,
    log,
    rules: {
      first: config.queue.retryFirst,
      longest: config.queue.retryLongest,
      giveUpAfter: config.queue.giveUpAfter,
      warnAfter: config.queue.warnAfter,
    },
    limits: { total: config.queue.concurrency, memory: config.limits.memory },
  });
  resources.defer(() => runner.stop(config.timeouts.stop));
  if (config.tlsReport.send) {
    const reports = createTlsReporting({ config, trust, resolver, store, runner, ca, log });
    resources.defer(() => reports.close());
    reports.start();
  }
  return runner;
}

interface PolicyParts {
  readonly config: Config;
  readonly store: QueueStore;
  readonly runner: Runner;
  readonly credentials: Credentials;
  /** Given when nobody waits for DNS any more. */
  readonly lookups: AbortSignal;
  readonly log: Log;
}

/** The MTA and the MSA, over one receiver. */
function createPolicies({
  config,
  store,
  runner,
  credentials,
  lookups,
  log,
}: PolicyParts): Record<"mx" | "submission", Policy> {
  const domains = config.domains.map(({ name }) => unwrap(parseDomain(name)));
  const hostname = unwrap(parseDomain(config.hostname));
  const home = createHome({ hostname, domains });
  const receive = createReceiver({
    hostname: config.hostname,
    store,
    offer: (accepted) => void runner.offer(accepted),
    freeSpace: freeSpaceOf(config.dataDir, systemClock),
    canonical: (mailbox) => home.canonical(mailbox),
    clock: systemClock,
    log,
    limits: {
      hops: config.limits.hops,
      header: HEADER_LIMIT,
      giveUpAfter: config.queue.giveUpAfter,
      freeSpaceFloor: FREE_SPACE_FLOOR,
    },
  });
  const authenticator = createAuthenticator({ credentials, clock: systemClock, log });
  const knows = recipientTest(config.domains);
  const { vrfy } = config.smtp;
  const { messageSize, recipients } = config.limits;
  const limits = { messageSize, recipients };
  return {
    mx: createRelayPolicy({
      home,
      mayRelay: inNetworks(config.relay.networks),
      peers: createPeers({ rules: config.peers, log }),
      receive,
      knows,
      vrfy,
      limits,
      log,
    }),
    submission: createSubmissionPolicy({
      hostname,
      authenticator,
      senders: sendersOf(credentials, domains),
      rules: submissionRules(config),
      mailDomains: createMailDomains(config, configuredResolver(config, lookups)),
      receive,
      home,
      knows,
      vrfy,
      limits: { ...limits, header: HEADER_LIMIT, futureRelease: config.limits.futureRelease },
      clock: systemClock,
      log,
    }),
  };
}

function submissionRules({ submission }: Config): SubmissionRules {
  const { sender, qualifyDomain, hideClient } = submission;
  return { sender, hideClient, qualifyDomain: qualifyDomain === null ? null : unwrap(parseDomain(qualifyDomain)) };
}

function listenerOptions(
  listener: Config["listeners"][number],
  policies: Record<"mx" | "submission", Policy>,
  tls: ServingTls | null,
): ListenerOptions {
  return {
    ...listener.address,
    tls: listener.tls,
    ...(tls === null ? {} : { serverTls: tls.of(listener) }),
    requireCertificate: listener.clientCertificates === "require",
    policy: policies[listener.service],
    proxy: inNetworks(listener.proxy),
    xclient: inNetworks(listener.xclient),
    // Programs of users send bare LF; other servers that do are forging or broken (message smuggling).
    bareNewlines: listener.service === "submission" ? "repair" : "refuse",
  };
}

function serverLimits({ limits, timeouts }: Config): Partial<ServerLimits> {
  return {
    connections: limits.connections,
    connectionsPerAddress: limits.connectionsPerAddress,
    errors: limits.errors,
    transactions: limits.transactions,
    command: timeouts.command,
    bodyBlock: timeouts.data,
    handshake: timeouts.handshake,
  };
}

async function openControl(config: Config, store: QueueStore, runner: Runner, log: Log) {
  const path = socketPath(config, true);
  if (!path.ok) return path;
  const operations = createOperations({ store, clock: systemClock, poke: () => runner.poke() });
  return await createControlServer({ path: path.value, operations, log });
}

function reload(tls: ServingTls | null, log: Log): Result<void, readonly string[]> {
  if (tls === null) return ok(undefined);
  const reloaded = tls.reload();
  if (reloaded.ok) log.info("daemon.reloaded", { certificatesExpire: new Date(tls.plain.expires).toISOString() });
  else log.error("daemon.reload.failed", { problems: reloaded.error });
  return reloaded;
}
