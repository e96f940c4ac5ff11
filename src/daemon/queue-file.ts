// The queue of this process, or of a worker whose mail it sees through.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { err, type Log, ok, type Result } from "../base/index.ts";
import { type Config, workerQueueFile } from "../config/index.ts";
import { systemClock } from "../net/index.ts";
import { type OperableStore, openSqliteStore, StoreError, type StoreWatch } from "../queue/index.ts";

export interface QueueFileParts {
  readonly config: Config;
  readonly log: Log;
  readonly onDeath?: ((error: Error) => void) | undefined;
  readonly watch?: StoreWatch | undefined;
}

/** Opens the queue of worker `worker` to deliver from it, made where there is none. A failure is one plain line. */
export async function openQueue(parts: QueueFileParts, worker: number): Promise<Result<OperableStore, string>> {
  const { config, log, onDeath, watch } = parts;
  const path = workerQueueFile(config, worker);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const settings = { path, clock: systemClock, log, lane: laneOf(worker), history: config.queue.history };
    return ok(
      await openSqliteStore({
        ...settings,
        ...(onDeath === undefined ? {} : { onDeath }),
        ...(watch === undefined ? {} : { watch }),
      }),
    );
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    if (cause instanceof StoreError && cause.kind === "busy") {
      return err(`another Postern is running on ${config.dataDir}; stop it first`);
    }
    return err(`the queue ${path} cannot be opened: ${cause.message}`);
  }
}

/** More than 64 workers cannot be configured; a folder of a higher number was made by hand, and shares a lane with another. */
function laneOf(worker: number): number {
  return (worker - 1) % 64;
}
