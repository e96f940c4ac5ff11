// The queues of workers that run no more: fewer are configured than before. Their mail is delivered from where it is.
import { rmSync } from "node:fs";
import { type AdminOperations, createOperations } from "../admin/index.ts";
import { asError, type Duration, err, type Log, MINUTE, ok, type Result, type Timer } from "../base/index.ts";
import { type Config, workerFolder, workersWithQueue } from "../config/index.ts";
import { systemClock } from "../net/index.ts";
import type { OperableStore, QueueStore, Runner } from "../queue/index.ts";
import { openQueue } from "./queue-file.ts";
import { formerWorkers, type WorkerShare } from "./share.ts";
import { toldRunner } from "./told-runner.ts";

/** How often it is looked whether a former queue is empty by now. */
const LOOK_EVERY: Duration = MINUTE;

/** The part of all deliveries at once that former queues get, together. */
const PART_OF_DELIVERIES = 0.1;

export interface FormerQueuesParts {
  readonly config: Config;
  readonly share: WorkerShare;
  readonly log: Log;
  readonly onDeath: ((error: Error) => void) | undefined;
}

/** Former queues with mail in them. Each is closed and removed as soon as it is empty. */
export interface FormerQueues {
  /** Deliveries at once that are left for the queue of this worker. */
  readonly deliveriesLeft: number;
  /** What an operator sees and does, queue by queue, of those that are open now. */
  operations(): readonly AdminOperations[];
  /** Delivers from now on, by runners made with at most `total` deliveries at once. */
  start(createRunner: (store: QueueStore, total: number) => Runner): void;
  /** Stops the runners, as `Runner.stop`, and closes the queues. */
  stop(grace: Duration): Promise<void>;
}

interface Former {
  readonly worker: number;
  readonly store: OperableStore;
  readonly operations: AdminOperations;
  runner: Runner | null;
}

/** Opens what there is. Fails with one plain line where one cannot be opened: its mail would be forgotten. */
export async function openFormerQueues(parts: FormerQueuesParts): Promise<Result<FormerQueues, string>> {
  const { config, share } = parts;
  const opened = new Set<Former>();
  for (const worker of formerWorkers(workersWithQueue(config), share)) {
    const store = await openQueue(parts, worker);
    if (!store.ok) {
      await Promise.all([...opened].map((other) => other.store.close()));
      return err(store.error);
    }
    const former: Former = {
      worker,
      store: store.value,
      operations: toldRunner(
        createOperations({ store: store.value, clock: systemClock, poke: () => former.runner?.poke() }),
        () => former.runner,
      ),
      runner: null,
    };
    if (!(await removedEmpty(former, parts))) opened.add(former);
  }
  return ok(new OpenFormerQueues(opened, parts));
}

class OpenFormerQueues implements FormerQueues {
  readonly deliveriesLeft: number;
  readonly #opened: Set<Former>;
  readonly #parts: FormerQueuesParts;
  readonly #totalEach: number;
  #timer: Timer | null = null;
  #looking: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(opened: Set<Former>, parts: FormerQueuesParts) {
    const { concurrency } = parts.config.queue;
    this.#opened = opened;
    this.#parts = parts;
    this.#totalEach = Math.max(1, Math.floor((concurrency * PART_OF_DELIVERIES) / Math.max(1, opened.size)));
    this.deliveriesLeft = Math.max(1, concurrency - this.#totalEach * opened.size);
  }

  operations(): readonly AdminOperations[] {
    return [...this.#opened].map(({ operations }) => operations);
  }

  start(createRunner: (store: QueueStore, total: number) => Runner): void {
    for (const former of this.#opened) {
      former.runner = createRunner(former.store, this.#totalEach);
      former.runner.start();
      this.#parts.log.info("worker.queue.adopted", { former: former.worker });
    }
    this.#lookLater();
  }

  async stop(grace: Duration): Promise<void> {
    this.#stopping = true;
    this.#timer?.cancel();
    await this.#looking;
    await Promise.all(
      [...this.#opened].map(async ({ runner, store }) => {
        await runner?.stop(grace);
        await store.close();
      }),
    );
  }

  #lookLater(): void {
    if (this.#stopping || this.#opened.size === 0) return;
    this.#timer = systemClock.after(LOOK_EVERY, () => {
      this.#looking = this.#look().finally(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    for (const former of [...this.#opened]) {
      if (await removedEmpty(former, this.#parts)) this.#opened.delete(former);
    }
  }
}

/** Closes and removes a queue without mail: nothing puts any into it. False where it has some, or cannot be looked into now. */
async function removedEmpty(
  { worker, store, runner }: Former,
  { config, log }: Pick<FormerQueuesParts, "config" | "log">,
): Promise<boolean> {
  try {
    if ((await store.list({ limit: 1 })).length > 0) return false;
    await runner?.stop(0);
    await store.close();
    rmSync(workerFolder(config, worker), { recursive: true, force: true });
    log.info("worker.queue.emptied", { former: worker });
    return true;
  } catch (cause) {
    log.error("worker.queue.failed", { former: worker, error: asError(cause) });
    return false;
  }
}
