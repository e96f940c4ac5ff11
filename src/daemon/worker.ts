// One of several processes that serve a configuration; started by `workers.ts`, never by hand.
import { ok } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { makeLog } from "../logging.ts";
import type { Told } from "../metrics/index.ts";
import { serveOrders } from "../workers/index.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { startPulse } from "./pulse.ts";
import type { WorkerShare } from "./share.ts";

/** What a worker is told: the configuration as the supervisor read it, whatever the file says by now. */
export interface WorkerTask {
  readonly config: Config;
  readonly share: WorkerShare;
}

export type WorkerReport = Pick<Daemon, "listeners">;

// The supervisor passes lines on until it is gone itself.
process.stdout.on("error", () => {});

serveOrders<WorkerTask, WorkerReport, Told | null>(async ({ config, share }) => {
  process.title = `postern worker ${share.worker}`;
  const log = makeLog(config.log).child({ worker: share.worker });
  const die = (error: Error): never => {
    log.error("worker.broke", { error });
    process.exit(1);
  };
  process.on("uncaughtException", die);
  const started = await startDaemon(config, { log, share, onDeath: die });
  if (!started.ok) return started;
  const { listeners, reload, tell, stop } = started.value;
  let { pulse } = config.log;
  startPulse({ every: () => pulse, log });
  return ok({
    report: { listeners },
    async reload(task) {
      const reloaded = await reload(task?.config);
      if (!reloaded.ok) return reloaded;
      const { level } = reloaded.value.config.log;
      log.setLevel(level);
      ({ pulse } = reloaded.value.config.log);
      return ok(undefined);
    },
    tell,
    stop,
  });
});
