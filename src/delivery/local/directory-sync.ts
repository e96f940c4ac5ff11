import { open } from "node:fs/promises";

/**
 * Syncs directories, so that the names of new files outlive a power cut. Callers that come while a sync of the same directory
 * runs share the next one: a busy mailbox costs one sync at a time, and none may lean on a sync begun before its own rename.
 */
export class DirectorySync {
  readonly #directories = new Map<string, { running: Promise<void>; next: Promise<void> | null }>();

  /** Resolves when all that was done in `directory` before this call is on the disk; rejects with the error of the file system. */
  sync(directory: string): Promise<void> {
    const known = this.#directories.get(directory);
    if (known === undefined) return this.#start(directory);
    known.next ??= known.running.then(
      () => this.#start(directory),
      () => this.#start(directory),
    );
    return known.next;
  }

  #start(directory: string): Promise<void> {
    const running = syncDirectory(directory).finally(() => {
      const entry = this.#directories.get(directory);
      if (entry?.running === running && entry.next === null) this.#directories.delete(directory);
    });
    this.#directories.set(directory, { running, next: null });
    return running;
  }
}

/** One sync of one directory. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
