/**
 * A running Postern: opens what a configuration names, has it tied together (`composition.ts`: `policies.ts` before the queue,
 * `queue-side.ts` behind it), and takes all of it down again in the opposite order.
 */
import { mkdirSync } from "node:fs";
import { type AdminOperations, combineOperations, createControlServer, socketPath } from "../admin/index.ts";
import { err, type Log, ok, type Result } from "../base/index.ts";
import { type Config, type Taken, takeWhileRunning, workerFolder } from "../config/index.ts";
import type { Told } from "../metrics/index.ts";
import type { Endpoint } from "../net/index.ts";
import { loadTokens } from "./auth.ts";
import { checkDataFolder, listenProblem } from "./checks.ts";
import { type CompositionParts, compose } from "./composition.ts";
import { openFormerQueues } from "./former-queues.ts";
import { startMetering } from "./metering.ts";
import { openMetrics } from "./metrics-page.ts";
import { loadNextHops } from "./next-hops.ts";
import { openQueue } from "./queue-file.ts";
import { inTurn, reload, tellRestart } from "./reload.ts";
import { alone, divided, type WorkerShare } from "./share.ts";
import { machine } from "./surroundings.ts";
import { loadTls } from "./tls.ts";
import { openTrust } from "./trust.ts";
import { openServedUsers } from "./users.ts";
import { openWeb } from "./web.ts";

/** A running Postern. */
export interface Daemon {
  readonly listeners: readonly {
    readonly service: "mx" | "submission";
    readonly tls: "starttls" | "implicit" | "none";
    readonly local: Endpoint;
  }[];
  /**
   * Takes of `next` all that needs no restart, and reads all files anew that are named there: certificates, authorities, secrets. On a
   * problem everything stays as it was. What runs ends by the rules that it began with. Without `next` only the files are read.
   */
  reload(next?: Config): Promise<Result<Taken, readonly string[]>>;
  /** What it has measured so far; null without `[metrics]`. */
  tell(): Promise<Told | null>;
  /** Graceful: no new connections, running transactions and deliveries end or are cut after the configured time. */
  stop(): Promise<void>;
}

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
  const { onDeath, share = alone } = options;
  const config = divided(whole, share.workers);
  await using resources = new AsyncDisposableStack();
  const metering = config.metrics === null ? null : startMetering(config, share.worker, options.log);
  resources.defer(() => metering?.close());
  const log = metering?.log ?? options.log;
  const problem = checkDataFolder(config);
  if (problem !== null) return err([problem]);
  const tls = loadTls(config);
  if (!tls.ok) return tls;
  const nextHops = loadNextHops(config);
  if (!nextHops.ok) return nextHops;
  const tokens = await loadTokens(config);
  if (!tokens.ok) return tokens;
  const store = await openQueue({ config, log, onDeath, watch: metering?.watch }, share.worker);
  if (!store.ok) return err([store.error]);
  resources.defer(() => store.value.close());
  const former = await openFormerQueues({ config, share, log, onDeath });
  if (!former.ok) return err([former.error]);
  resources.defer(() => former.value.stop(0));

  const trust = openTrust(config, { hold: config.delivery.downgradeHold, log });
  if (!trust.ok) return err([trust.error]);
  resources.defer(() => trust.value.close());

  const users = openServedUsers(config, log);
  if (!users.ok) return err([users.error]);
  resources.defer(() => users.value.close());
  const parts: CompositionParts = {
    config,
    share,
    store: store.value,
    former: former.value,
    trust: trust.value,
    nextHops: nextHops.value,
    users: users.value,
    tokens: tokens.value,
    tls: tls.value,
    on: machine,
    log,
    ...(metering === null ? {} : { logOf: metering.logOf }),
  };
  // Asked until the last delivery has ended: a command that opened the queue itself before would know nothing of claims.
  let control: { close(): Promise<void> } | null = null;
  resources.defer(() => control?.close());
  const { server, runner, start, renew, ...composed } = compose(parts, resources);

  const operations = combineOperations(() => [composed.operations, ...former.value.operations()]);
  metering?.see({ operations, store: store.value, runner });
  const opened = await openControl({ config, share, operations, log });
  if (!opened.ok) return err([opened.error]);
  control = opened.value;

  const started = await server.start();
  if (!started.ok) {
    const { listener, problem: cause } = started.error;
    return err([listenProblem(`${listener.address}:${listener.port}`, cause)]);
  }
  const web = await openWeb(share.worker === 1 ? config : { ...config, web: [] }, tls.value, log);
  if (!web.ok) return err([web.error]);
  resources.defer(() => web.value.stop());
  const metrics = await openMetrics(share.workers === 1 ? config : { metrics: null }, metering, log);
  if (!metrics.ok) return err([metrics.error]);
  resources.defer(() => metrics.value.stop());
  start();
  const endpoints = [...started.value, ...web.value.endpoints, ...metrics.value.endpoints].map(
    ({ address, port }) => `${address}:${port}`,
  );
  log.info("daemon.started", { listeners: endpoints });

  const owned = resources.move();
  let inForce = whole;
  return ok({
    listeners: config.listeners.map(({ service, tls: mode }, at) => ({
      service,
      tls: mode,
      local: started.value[at] ?? { address: "", port: 0 },
    })),
    reload: inTurn(async (next?: Config) => {
      const taken = takeWhileRunning(inForce, next ?? inForce);
      const changed = divided(taken.config, share.workers);
      const reloaded = await reload(changed, { tls: tls.value, users: users.value, web: web.value, renew, log });
      if (!reloaded.ok) return reloaded;
      inForce = taken.config;
      tellRestart(taken.restart, log);
      return ok(taken);
    }),
    tell: async () => (await metering?.tell()) ?? null,
    async stop() {
      log.info("daemon.stopping", {});
      await owned.disposeAsync();
      log.info("daemon.stopped", {});
    },
  });
}

interface ControlParts extends Pick<CompositionParts, "config" | "share" | "log"> {
  readonly operations: AdminOperations;
}

/** A worker has a socket of its own, through which the supervisor asks it. */
async function openControl({ config, share, operations, log }: ControlParts) {
  const dataDir = share.workers === 1 ? config.dataDir : workerFolder(config, share.worker);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = socketPath({ dataDir }, true);
  if (!path.ok) return path;
  return await createControlServer({ path: path.value, operations, log });
}
