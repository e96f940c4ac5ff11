import { closeSync, openSync } from "node:fs";

/**
 * Makes the file at `path`, readable by its owner alone, where there is none; SQLite gives the files beside it the same mode.
 * One that exists is not even opened: closing it again would end the locks that this process holds on it (POSIX).
 */
export function makePrivateFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    // Whatever else is wrong with the place, SQLite says so itself.
    if (!(error instanceof Error)) throw error;
  }
}
