import { join } from "node:path";
import type { Config } from "./model.ts";

/** The database of the queue. */
export function queueFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "queue.sqlite");
}

/** The users who may submit. */
export function usersFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "users.sqlite");
}

/** What is known of other mail systems; may be deleted without losing mail. */
export function trustFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "trust.sqlite");
}

/** Where a running daemon takes the orders of the command line, unless that path is too long for a socket. */
export function controlSocketFile(config: Pick<Config, "dataDir">): string {
  return join(config.dataDir, "control.sock");
}
