import { existsSync } from "node:fs";
import { type Clock, err, instant, ok, type Result } from "../base/index.ts";
import { type Config, queueFile } from "../config/index.ts";
import { createMemoryStore, openSqliteStore, type QueueStore, StoreError } from "../queue/index.ts";
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
  try {
    const store = await openStore(config);
    return ok({ ...createOperations({ store, clock: wallClock }), running: false, close: () => store.close() });
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    return err(`the queue ${queueFile(config)} cannot be opened: ${cause.message}`);
  }
}

/** A data folder that never had a queue has an empty one; looking at it must not make files. */
async function openStore(config: Config): Promise<QueueStore> {
  if (!existsSync(queueFile(config))) return createMemoryStore({ clock: wallClock });
  return openSqliteStore({ path: queueFile(config), clock: wallClock, role: "admin" });
}

const wallClock: Clock = {
  now: () => instant(Date.now()),
  after(delay, action) {
    const timer = setTimeout(action, delay).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
