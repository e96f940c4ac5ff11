import { DatabaseSync } from "node:sqlite";
import { err, ok, type Result } from "../../base/index.ts";
import { failureOf } from "./failure.ts";
import { makePrivateFile } from "./private-file.ts";
import type { Failure } from "./protocol.ts";

/** Held by the one process that delivers from a queue. */
export interface OwnerLock {
  release(): void;
}

/**
 * Takes the lock that makes this the only deliverer of the queue file at `path`. It is an exclusive SQLite lock on a file of its
 * own beside the queue, so the system ends it with the process, however that dies, and readers of the queue are not disturbed.
 * Fails with kind "busy" when another holds it.
 */
export function acquireOwner(path: string): Result<OwnerLock, Failure> {
  let database: DatabaseSync | null = null;
  try {
    makePrivateFile(`${path}.owner`);
    database = new DatabaseSync(`${path}.owner`);
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    const failure = failureOf(error);
    if (failure.kind !== "busy") return err(failure);
    return err({ kind: "busy", text: `another process delivers from the queue ${path}: stop it first` });
  }
  const held = database;
  return ok({ release: () => held.close() });
}
