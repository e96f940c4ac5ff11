import { type Clock, err, instant, messageOf, ok, type Result } from "../base/index.ts";
import { type Config, isThere, workerQueueFile, workersWithQueue } from "../config/index.ts";
import { createMemoryStore, type OperableStore, openSqliteStore, StoreError } from "../queue/index.ts";
import { combineOperations } from "./combined.ts";
import { connectControl } from "./control-client.ts";
import { type AdminOperations, createOperations } from "./operations.ts";
import { socketPath } from "./socket-path.ts";

/** The operations on the queue of a configuration, whoever carries them out. */
export interface Admin extends AdminOperations {
  /** True when a running daemon carries them out, false when the store is open here. */
  readonly running: boolean;
  close(): Promise<void>;
}

/**
 * Reaches the queue of `config`: through the running daemon's control socket, or, when no daemon answers, by opening the store
 * itself. The failure is one plain line.
 */
export async function openAdmin(config: Config): Promise<Result<Admin, string>> {
  const path = socketPath(config, false);
  if (!path.ok) return path;
  const daemon = await connectControl(path.value);
  if (daemon !== null) return ok({ ...daemon, running: true, close: async () => daemon.close() });
  await using opened = new AsyncDisposableStack();
  const stores: OperableStore[] = [];
  const workers = workersOnDisk(config);
  if (!workers.ok) return workers;
  for (const worker of workers.value) {
    const store = await openWorkerStore(config, worker);
    if (!store.ok) return store;
    opened.defer(() => store.value.close());
    stores.push(store.value);
  }
  // A data folder that never had a queue has an empty one; looking at it must not make files.
  if (stores.length === 0) stores.push(createMemoryStore({ clock: wallClock }));
  const queues = stores.map((store) => createOperations({ store, clock: wallClock }));
  const operations = combineOperations(() => queues);
  const owned = opened.move();
  return ok({ ...operations, running: false, close: () => owned.disposeAsync() });
}

/** A worker's queue, opened here because the worker is not running. */
export interface StoppedWorker extends AdminOperations {
  close(): Promise<void>;
}

/** Opens the queue of one worker that is not running; one that never ran has an empty one. The failure is one plain line. */
export async function openStoppedWorker(config: Config, worker: number): Promise<Result<StoppedWorker, string>> {
  const store = await openWorkerStore(config, worker);
  if (!store.ok) return store;
  const operations = createOperations({ store: store.value, clock: wallClock });
  return ok({ ...operations, close: () => store.value.close() });
}

function workersOnDisk(config: Config): Result<readonly number[], string> {
  try {
    return ok(workersWithQueue(config));
  } catch (cause) {
    const reason = messageOf(cause);
    return err(`the queue in ${config.dataDir} cannot be looked at: ${reason}; run this as the user of the server`);
  }
}

async function openWorkerStore(config: Config, worker: number): Promise<Result<OperableStore, string>> {
  const path = workerQueueFile(config, worker);
  try {
    if (!isThere(path)) return ok(createMemoryStore({ clock: wallClock }));
    return ok(await openSqliteStore({ path, clock: wallClock, role: "admin" }));
  } catch (cause) {
    const isSystems = cause instanceof Error && "code" in cause;
    if (!(cause instanceof StoreError || isSystems)) throw cause;
    return err(`the queue ${path} cannot be opened: ${cause.message}`);
  }
}

const wallClock: Clock = {
  now: () => instant(Date.now()),
  after(delay, action) {
    const timer = setTimeout(action, delay).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
