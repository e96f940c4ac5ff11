// Several processes that serve one configuration, shown as one: each a whole daemon with a queue of its own.
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AdminError,
  type AdminOperations,
  combineOperations,
  connectControl,
  createControlServer,
  openStoppedWorker,
  socketPath,
} from "../admin/index.ts";
import { type Duration, err, type Log, ok, type Result, SECOND } from "../base/index.ts";
import { type Config, takeWhileRunning, workerFolder } from "../config/index.ts";
import type { Told } from "../metrics/index.ts";
import { systemClock } from "../net/index.ts";
import { createSupervisor, type Supervisor } from "../workers/index.ts";
import { checkDataFolder, checkFiles, checkPorts } from "./checks.ts";
import type { Daemon } from "./daemon.ts";
import { ofAll, startSupervisorMetering } from "./metering.ts";
import { openMetrics } from "./metrics-page.ts";
import { inTurn, tellRestart } from "./reload.ts";
import type { WorkerReport, WorkerTask } from "./worker.ts";

/** As many lanes as ids have; `config` allows no more. */
const MOST_WORKERS = 64;

/** What a worker needs for a stop besides the time that is configured, once for sessions and once for deliveries. */
const STOP_MARGIN: Duration = 15 * SECOND;

/** For the workers of a supervisor that was killed to notice it. */
const ORPHANS_PATIENCE: Duration = 5 * SECOND;

/** How many processes a configuration asks for. */
export function workerCount({ workers }: Pick<Config, "workers">): number {
  return workers === "auto" ? Math.min(MOST_WORKERS, availableParallelism()) : workers;
}

/** As `startDaemon`, in `workerCount` processes that this one starts and watches. */
export async function startWorkers(
  config: Config,
  options: { readonly log: Log },
): Promise<Result<Daemon, readonly string[]>> {
  const count = workerCount(config);
  await using resources = new AsyncDisposableStack();
  const metering = config.metrics === null ? null : startSupervisorMetering(count, options.log);
  resources.defer(() => metering?.close());
  const log = metering?.log ?? options.log;
  const folder = checkDataFolder(config);
  if (folder !== null) return err([folder]);
  let inForce = config;
  const supervisor = supervise(() => inForce, count, log);
  const control = await openControl(config, count, supervisor, log);
  if (!control.ok) return err([control.error]);
  resources.defer(() => control.value.close());
  await orphansGone(config, count);
  const ports = await checkPorts(config);
  if (ports.length > 0) return err(ports);

  // However this process ends, no worker may stay: the next supervisor needs the ports and the files.
  const kill = (): void => supervisor.kill();
  process.on("exit", kill);
  resources.defer(() => void process.off("exit", kill));
  resources.defer(() => supervisor.stop());
  const started = await supervisor.start();
  if (!started.ok) return started;
  const { listeners } = started.value;
  const metrics = await openMetrics(config, metering === null ? null : ofAll(supervisor, metering, count), log);
  if (!metrics.ok) return err([metrics.error]);
  resources.defer(() => metrics.value.stop());
  const all = [...listeners.map(({ local }) => local), ...metrics.value.endpoints];
  const endpoints = all.map(({ address, port }) => `${address}:${port}`);
  log.info("daemon.started", { listeners: endpoints, workers: count });

  const owned = resources.move();
  return ok({
    listeners,
    reload: inTurn(async (next?: Config) => {
      const taken = takeWhileRunning(inForce, next ?? inForce);
      // Looked at before the first worker is told, so that all of them take it or none.
      const problems = await checkFiles(taken.config);
      if (problems.length > 0) {
        log.error("daemon.reload.failed", { problems });
        return err(problems);
      }
      inForce = taken.config;
      tellRestart(taken.restart, log);
      const reloaded = await supervisor.reload();
      return reloaded.ok ? ok(taken) : reloaded;
    }),
    tell: async () => (await metering?.tell()) ?? null,
    async stop() {
      log.info("daemon.stopping", {});
      await owned.disposeAsync();
      log.info("daemon.stopped", {});
    },
  });
}

type Workers = Supervisor<WorkerReport, Told | null>;

function supervise(config: () => Config, count: number, log: Log): Workers {
  // The published package holds .js files, a checkout .ts ones that Node strips of their types.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return createSupervisor<WorkerTask, WorkerReport, Told | null>({
    program: new URL(`./worker.${extension}`, import.meta.url),
    count,
    task: (worker, first) => ({ config: configOf(config(), first), share: { worker, workers: count } }),
    output: process.stdout,
    patience: () => 2 * config().timeouts.stop + STOP_MARGIN,
    clock: systemClock,
    log,
  });
}

/** As a worker has it. */
function configOf(config: Config, first: WorkerReport | null): Config {
  const { format } = config.log;
  // To a worker its output is never a terminal.
  const shown = format === "auto" ? (process.stdout.isTTY ? "pretty" : "json") : format;
  return { ...config, log: { ...config.log, format: shown }, listeners: listenersOf(config, first) };
}

/** Where any free port may be taken, all take that of the first. */
function listenersOf({ listeners }: Config, first: WorkerReport | null): Config["listeners"] {
  return listeners.map((listener, at) => {
    const port = first?.listeners[at]?.local.port ?? listener.address.port;
    return { ...listener, address: { ...listener.address, port } };
  });
}

async function openControl(config: Config, count: number, supervisor: Workers, log: Log) {
  const path = socketPath(config, true);
  if (!path.ok) return path;
  const workers = Array.from({ length: count }, (_, at) => operationsOf(config, at + 1, supervisor));
  return await createControlServer({ path: path.value, operations: combineOperations(() => workers), log });
}

/** A worker that runs is asked; in place of one that does not its queue is opened here. */
function operationsOf(config: Config, worker: number, supervisor: Workers): AdminOperations {
  const ask = <T>(operation: (on: AdminOperations) => Promise<T>): Promise<T> =>
    supervisor.use(
      worker,
      () => askRunning(config, worker, operation),
      () => askStopped(config, worker, operation),
    );
  return {
    list: (request) => ask((on) => on.list(request)),
    show: (id) => ask((on) => on.show(id)),
    history: (request) => ask((on) => on.history(request)),
    act: (...given) => ask((on) => on.act(...given)),
    counts: () => ask((on) => on.counts()),
  };
}

async function askRunning<T>(
  config: Config,
  worker: number,
  operation: (on: AdminOperations) => Promise<T>,
): Promise<T> {
  const path = socketPath({ dataDir: workerFolder(config, worker) }, false);
  const client = path.ok ? await connectControl(path.value) : null;
  if (client === null) throw new AdminError(`worker ${worker} has just ended; try again in a moment`);
  try {
    return await operation(client);
  } finally {
    client.close();
  }
}

async function askStopped<T>(
  config: Config,
  worker: number,
  operation: (on: AdminOperations) => Promise<T>,
): Promise<T> {
  const opened = await openStoppedWorker(config, worker);
  if (!opened.ok) throw new AdminError(opened.error);
  try {
    return await operation(opened.value);
  } finally {
    await opened.value.close();
  }
}

/** The workers of a supervisor that was killed end by themselves, a moment later than it. */
async function orphansGone(config: Config, count: number): Promise<void> {
  const until = performance.now() + ORPHANS_PATIENCE;
  for (let worker = 1; worker <= count; ) {
    const path = socketPath({ dataDir: workerFolder(config, worker) }, false);
    const client = path.ok ? await connectControl(path.value) : null;
    client?.close();
    if (client === null || performance.now() > until) worker++;
    else await sleep(20);
  }
}
