/**
 * The composition root: the only place that knows every concrete thing. It opens what a configuration names, ties intake,
 * queue and delivery together, and takes all of it down again in the opposite order.
 */
import { mkdirSync } from "node:fs";
import { combineOperations, createControlServer, createOperations, socketPath } from "../admin/index.ts";
import { err, type Log, mathRandom, ok, type Result, unwrap } from "../base/index.ts";
import { createPool } from "../client/index.ts";
import { type Config, workerFolder } from "../config/index.ts";
import { createDeliverer, createReporter, recipientTest, selfTest } from "../delivery/index.ts";
import {
  createHome,
  createPeers,
  createReceiver,
  createRelayPolicy,
  createSubmissionPolicy,
  freeSpaceOf,
  type SubmissionRules,
  sendersOf,
} from "../intake/index.ts";
import { type Endpoint, inNetworks, systemClock } from "../net/index.ts";
import type { Tokens } from "../oauth/index.ts";
import { createRunner, defaultRunnerLimits, type OperableStore, type QueueStore, type Runner } from "../queue/index.ts";
import { createServer, type ListenerOptions, type Policy, type ServerLimits } from "../server/index.ts";
import { parseDomain } from "../smtp/index.ts";
import { configuredAuthenticator, loadTokens, servedTokens } from "./auth.ts";
import { domainLimits, hostLoads, retryExceptions, retryRule } from "./burdens.ts";
import { checkDataFolder, listenProblem } from "./checks.ts";
import { type FormerQueues, openFormerQueues } from "./former-queues.ts";
import { createMailDomains } from "./mail-domains.ts";
import { loadNextHops, type NextHops } from "./next-hops.ts";
import { openQueue } from "./queue-file.ts";
import { reload } from "./reload.ts";
import { configuredResolver } from "./resolver.ts";
import { alone, divided, type WorkerShare } from "./share.ts";
import { findStsPolicies } from "./sts.ts";
import { loadTls, type ServingTls } from "./tls.ts";
import { createTlsReporting, openTrust, type Trust } from "./trust.ts";
import { openServedUsers, type ServedUsers } from "./users.ts";
import { openWeb } from "./web.ts";

/** A running Postern. */
export interface Daemon {
  readonly listeners: readonly {
    readonly service: "mx" | "submission";
    readonly tls: "starttls" | "implicit" | "none";
    readonly local: Endpoint;
  }[];
  /**
   * Reads certificates and authorities anew: those that are served, those of peers, those of routes and of `[delivery] ca`. On a problem
   * the old ones stay in use. Running sessions keep theirs.
   */
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
  whole: Config,
  options: {
    readonly log: Log;
    /** The queue's thread died: nothing more can be taken or recorded. End the process, nothing acknowledged is lost. */
    readonly onDeath?: (error: Error) => void;
    /** Which of several processes on this configuration it is; default: it is alone, whatever `workers` says. */
    readonly share?: WorkerShare;
  },
): Promise<Result<Daemon, readonly string[]>> {
  const { log, onDeath, share = alone } = options;
  const config = divided(whole, share.workers);
  await using resources = new AsyncDisposableStack();
  const problem = checkDataFolder(config);
  if (problem !== null) return err([problem]);
  const tls = loadTls(config);
  if (!tls.ok) return tls;
  const nextHops = loadNextHops(config);
  if (!nextHops.ok) return nextHops;
  const loaded = loadTokens(config);
  if (!loaded.ok) return loaded;
  const tokens = servedTokens(loaded.value);
  const store = await openQueue({ config, log, onDeath }, share.worker);
  if (!store.ok) return err([store.error]);
  resources.defer(() => store.value.close());
  const former = await openFormerQueues({ config, share, log, onDeath });
  if (!former.ok) return err([former.error]);
  resources.defer(() => former.value.stop(0));

  const trust = openTrust(config, { hold: config.delivery.downgradeHold, log });
  if (!trust.ok) return err([trust.error]);
  resources.defer(() => trust.value.close());

  const {
    runner: queue,
    start,
    renew,
  } = createQueueSide(
    { config, share, store: store.value, former: former.value, trust: trust.value, nextHops: nextHops.value, log },
    resources,
  );
  const users = openServedUsers(config, log);
  if (!users.ok) return err([users.error]);
  resources.defer(() => users.value.close());
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const policies = createPolicies({
    config,
    store: store.value,
    runner: queue,
    users: users.value,
    workers: share.workers,
    tokens: tokens.tokens,
    lookups: lookups.signal,
    log,
  });
  const server = createServer({
    hostname: config.hostname,
    listeners: config.listeners.map((listener) => listenerOptions(listener, { policies, tls: tls.value, share })),
    policy: policies.mx,
    ...(tls.value === null ? {} : { tls: tls.value.plain }),
    limits: serverLimits(config),
    log,
  });
  resources.defer(() => server.stop({ grace: config.timeouts.stop }));

  const control = await openControl({ config, share, store: store.value, former: former.value, runner: queue, log });
  if (!control.ok) return err([control.error]);
  resources.defer(() => control.value.close());

  const started = await server.start();
  if (!started.ok) {
    const { listener, problem: cause } = started.error;
    return err([listenProblem(`${listener.address}:${listener.port}`, cause)]);
  }
  const web = await openWeb(share.worker === 1 ? config : { ...config, web: [] }, tls.value, log);
  if (!web.ok) return err([web.error]);
  resources.defer(() => web.value.stop());
  start();
  const endpoints = [...started.value, ...web.value.endpoints].map(({ address, port }) => `${address}:${port}`);
  log.info("daemon.started", { listeners: endpoints });

  const owned = resources.move();
  return ok({
    listeners: config.listeners.map(({ service, tls: mode }, at) => ({
      service,
      tls: mode,
      local: started.value[at] ?? { address: "", port: 0 },
    })),
    reload: async () => reload({ config, tls: tls.value, tokens, users: users.value, renew, log }),
    async stop() {
      log.info("daemon.stopping", {});
      await owned.disposeAsync();
      log.info("daemon.stopped", {});
    },
  });
}

interface QueueParts {
  readonly config: Config;
  readonly share: WorkerShare;
  readonly store: OperableStore;
  readonly former: FormerQueues;
  readonly trust: Trust;
  readonly nextHops: NextHops;
  readonly log: Log;
}

/** Everything behind the waist: from the due message to its outcome, and the reports on the connections that it took. */
function createQueueSide(
  { config, share, store, former, trust, nextHops, log }: QueueParts,
  resources: AsyncDisposableStack,
): { readonly runner: Runner; start(): void; renew(nextHops: NextHops): void } {
  // A lookup that nobody waits for any more would keep the process for the rest of its timeouts.
  const lookups = new AbortController();
  resources.defer(() => lookups.abort());
  const resolver = configuredResolver(config, lookups.signal);
  let { trusted } = nextHops;
  const ca = (): typeof trusted => trusted;
  const sts = config.delivery.mtaSts
    ? findStsPolicies({ config, refresh: share.worker === 1, file: trust.file, resolver, ca, log })
    : null;
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
    loads: hostLoads(config, { clock: systemClock, random: mathRandom }),
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
  const runnerOf = (of: QueueStore, limits: { readonly total: number; readonly memory: number }) =>
    createRunner({
      store: of,
      deliverer,
      reporter: createReporter({
        hostname: config.hostname,
        clock: systemClock,
        nextId: () => of.nextId(),
        lifetime: config.queue.giveUpAfter,
        log,
      }),
      clock: systemClock,
      random: mathRandom,
      log,
      rules: retryRule(config),
      exceptions: retryExceptions(config),
      limits: { ...limits, ...destinationWindows(config, share) },
      limitOf: domainLimits(config),
    });
  const runner = runnerOf(store, { total: former.deliveriesLeft, memory: config.limits.memory });
  const { stop: grace } = config.timeouts;
  resources.defer(() => Promise.all([runner.stop(grace), former.stop(grace)]).then(() => {}));
  if (config.tlsReport.send && share.worker === 1) {
    const reports = createTlsReporting({ config, trust, resolver, store, runner, ca, log });
    resources.defer(() => reports.close());
    reports.start();
  }
  const start = (): void => {
    runner.start();
    former.start((of, total) => runnerOf(of, { total, memory: 0 }));
  };
  const renew = (next: NextHops): void => {
    trusted = next.trusted;
    deliverer.renew({ routes: next.routes, ca: next.extraCa });
  };
  return { runner, start, renew };
}

/** What a destination is spared counts for all workers together. */
function destinationWindows({ queue }: Config, { workers }: WorkerShare) {
  const destinationMost = queue.destinationConcurrency;
  const destinationStart = Math.min(Math.ceil(defaultRunnerLimits.destinationStart / workers), destinationMost);
  return { destinationStart, destinationMost };
}

interface PolicyParts {
  readonly config: Config;
  readonly store: QueueStore;
  readonly runner: Runner;
  readonly users: ServedUsers;
  /** Processes that serve the same configuration. */
  readonly workers: number;
  readonly tokens: Tokens | null;
  /** Given when nobody waits for DNS any more. */
  readonly lookups: AbortSignal;
  readonly log: Log;
}

/** The MTA and the MSA, over one receiver. */
function createPolicies({
  config,
  store,
  runner,
  users,
  workers,
  tokens,
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
  const authenticator = configuredAuthenticator(config, { credentials: users.source, tokens, workers, log });
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
      senders: sendersOf(users.source, domains),
      limiter: users.limiter,
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

interface ListenerParts {
  readonly policies: Record<"mx" | "submission", Policy>;
  readonly tls: ServingTls | null;
  readonly share: WorkerShare;
}

function listenerOptions(
  listener: Config["listeners"][number],
  { policies, tls, share }: ListenerParts,
): ListenerOptions {
  return {
    ...listener.address,
    reusePort: share.workers > 1,
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

interface ControlParts extends Pick<QueueParts, "config" | "share" | "store" | "former" | "log"> {
  readonly runner: Runner;
}

/** A worker has a socket of its own, through which the supervisor asks it. */
async function openControl({ config, share, store, former, runner, log }: ControlParts) {
  const dataDir = share.workers === 1 ? config.dataDir : workerFolder(config, share.worker);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = socketPath({ dataDir }, true);
  if (!path.ok) return path;
  const own = createOperations({ store, clock: systemClock, poke: () => runner.poke() });
  const operations = combineOperations(() => [own, ...former.operations()]);
  return await createControlServer({ path: path.value, operations, log });
}
