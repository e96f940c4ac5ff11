import type { Log } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { type Daemon, startDaemon, startPulse, startWorkers, workerCount } from "../daemon/index.ts";
import { complain, EXIT } from "./terminal.ts";

interface ServingOptions {
  readonly config: Config;
  readonly log: Log;
  /** Called once all listeners take connections. */
  readonly ready?: (daemon: Daemon) => void;
}

/**
 * Runs the daemon until it is told to stop. SIGTERM or SIGINT: gracefully, a second one at once. SIGHUP: certificates are read
 * anew. The result is the exit code.
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
  const pulse = startPulse({ every: config.log.pulse, log });
  const onHangup = () => void reload(daemon);
  process.on("SIGHUP", onHangup);
  ready?.(daemon);
  await told;
  pulse.cancel();
  await daemon.stop();
  process.off("SIGHUP", onHangup);
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

async function reload(daemon: Daemon): Promise<void> {
  const reloaded = await daemon.reload();
  if (!reloaded.ok) for (const line of reloaded.error) complain(`reload: ${line}`);
}
