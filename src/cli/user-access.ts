// What the `user` commands share: the users of a configuration, and how a change ends.
import type { Result } from "../base/index.ts";
import type { Users } from "../daemon/index.ts";
import { readConfig } from "./configuration.ts";
import { complain, EXIT, print, readInput, splitPassword } from "./terminal.ts";

/** Runs with the users of the configuration; its problems end the command. Sets the exit code. */
export async function withUsers(file: string, run: (users: Users) => Promise<number>): Promise<void> {
  const config = readConfig(file);
  if (config === null) {
    process.exitCode = EXIT.failed;
    return;
  }
  const { openUsers } = await import("../daemon/setup.ts");
  try {
    process.exitCode = await run(openUsers(config));
  } catch (cause) {
    // The file cannot be reached, or users are kept elsewhere: one plain line that says which.
    if (!(cause instanceof Error) || process.env.POSTERN_DEBUG === "1") throw cause;
    complain(cause.message);
    process.exitCode = EXIT.failed;
  }
}

/** Tells how a change ended, and gives the exit code. */
export function conclude<T>(command: string, changed: Result<T, string>, done: (value: T) => string): number {
  if (!changed.ok) {
    complain(`${command}: ${changed.error}`);
    return EXIT.failed;
  }
  print(done(changed.value));
  return EXIT.done;
}

/** The first line of standard input; null, after a complaint, where it is empty. */
export async function readPassword(command: string): Promise<string | null> {
  const { password } = splitPassword(await readInput());
  if (password !== "") return password;
  complain(`${command}: the first line of standard input is empty; write the password there`);
  return null;
}
