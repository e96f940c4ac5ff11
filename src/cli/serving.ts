import type { Log } from "../base/index.ts";
import { type Config, formatConfigProblem, loadConfig } from "../config/index.ts";
import { type Daemon, startDaemon, startPulse, startWorkers, workerCount } from "../daemon/index.ts";
import type { LeveledLog } from "../logging.ts";
import { complain, EXIT } from "./terminal.ts";

interface ServingOptions {
  readonly config: Config;
  readonly log: LeveledLog;
  /** Called once all listeners take connections. */
  readonly ready?: (daemon: Daemon) => void;
}

/**
 * Runs the daemon until it is told to stop. SIGTERM or SIGINT: gracefully, a second one at once. SIGHUP: its
 * configuration is read anew, with all files that are named there. The result is the exit code.
 */
export async function serve({ config, log, ready }: ServingOptions): Promise<number> {
  // Caught from the first moment, so that a signal during the start ends in a stop as well.
  const told = stopSignal();
  const started =
    workerCount(config) === 1
      ? await startDaemon(config, { log, onDeath: (error) => die(error, log) })
      : await startWorkers(config, { log });
  if (!started.ok) {
    for (const line of started.error) complain(line);
    return EXIT.failed;
  }
  const daemon = started.value;
  let rhythm = config.log.pulse;
  const pulse = startPulse({ every: () => rhythm, log });
  const hangups = onHangup(async () => {
    const inForce = await reload(daemon, config.file, log);
    if (inForce === null) return;
    rhythm = inForce.log.pulse;
    log.setLevel(inForce.log.level);
  });
  ready?.(daemon);
  await told;
  pulse.cancel();
  await daemon.stop();
  hangups.ignore();
  return EXIT.done;
}

/**
 * Without its queue the daemon could only refuse. Whoever supervises it starts a new one, which finds all that was acknowledged
 * and tries again what was in flight. At once: a graceful stop would wait for outcomes that nobody can write.
 */
function die(error: Error, log: Log): never {
  log.error("daemon.queue.died", { error });
  complain(`the queue cannot go on: ${error.message}; ending, so that a new start can`);
  process.exit(EXIT.failed);
}

/** Signals this close together are one, milliseconds: a terminal and `npm start` both pass a Ctrl-C on. */
const SAME_SIGNAL = 500;

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let first: number | null = null;
    const stop = (signal: NodeJS.Signals) => {
      first ??= performance.now();
      if (performance.now() - first > SAME_SIGNAL) process.exit(signal === "SIGINT" ? 130 : 143);
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

/** Acts at each SIGHUP, one after the other; those that come meanwhile are one. From `ignore` on they do nothing. */
function onHangup(act: () => Promise<void>): { ignore(): void } {
  let ignored = false;
  let waiting = false;
  let turn = Promise.resolve();
  process.on("SIGHUP", () => {
    if (waiting || ignored) return;
    waiting = true;
    turn = turn.then(() => {
      waiting = false;
      return act();
    });
  });
  return {
    ignore() {
      ignored = true;
    },
  };
}

/** The configuration that is in force then; null where that is the one before, after all problems were told. */
async function reload(daemon: Daemon, file: string, log: Log): Promise<Config | null> {
  const loaded = loadConfig(file);
  if (!loaded.ok) {
    const problems = loaded.error.map(formatConfigProblem);
    log.error("daemon.reload.failed", { problems });
    for (const problem of problems) complain(`reload: ${problem}`);
    return null;
  }
  const reloaded = await daemon.reload(loaded.value);
  if (!reloaded.ok) {
    for (const line of reloaded.error) complain(`reload: ${line}`);
    return null;
  }
  for (const key of reloaded.value.restart) complain(`reload: ${key} changed, which counts after a restart`);
  return reloaded.value.config;
}
