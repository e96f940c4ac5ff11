import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "./model.ts";

const WORKERS = "workers";

/**
 * Whether something is at `path`. Throws where that cannot be told, as in a folder of another user: taken for an absence it would
 * show that user an empty queue.
 */
export function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The database of the queue; of the first worker where there are several. */
export function queueFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "queue.sqlite");
}

/** What is a worker's alone, its control socket and the queue of all but the first. `worker` counts from 1. */
export function workerFolder(config: Pick<Config, "dataDir">, worker: number): string {
  return join(config.dataDir, WORKERS, String(worker));
}

/** The database of a worker's queue. The first keeps that of a daemon without workers, so that switching between the two loses nothing. */
export function workerQueueFile(config: Pick<Config, "dataDir">, worker: number): string {
  return worker === 1 ? queueFile(config) : join(workerFolder(config, worker), "queue.sqlite");
}

/**
 * The workers that have a queue on disk, in order: those that run, and former ones whose mail still waits. Throws where the data folder
 * cannot be looked into.
 */
export function workersWithQueue(config: Pick<Config, "dataDir">): readonly number[] {
  const folder = join(config.dataDir, WORKERS);
  const others = isThere(folder) ? readdirSync(folder).filter((name) => /^[1-9]\d{0,5}$/.test(name)) : [];
  return [1, ...others.map(Number).filter((worker) => worker !== 1)]
    .filter((worker) => isThere(workerQueueFile(config, worker)))
    .sort((a, b) => a - b);
}

/** The users who may submit. */
export function usersFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "users.sqlite");
}

/** What users sent lately; may be deleted without losing mail. */
export function sendingFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "limits.sqlite");
}

/** What is known of other mail systems; may be deleted without losing mail. */
export function trustFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "trust.sqlite");
}

/** Where a running daemon takes the orders of the command line, unless that path is too long for a socket. */
export function controlSocketFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "control.sock");
}
