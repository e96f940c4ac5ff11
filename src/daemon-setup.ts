// What an operator sets up by the command line before, or beside, a running daemon: users and a first certificate.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { err, ok, type Result } from "./base/index.ts";
import { type Config, usersFile } from "./config/index.ts";
import { checkDataFolder } from "./daemon-checks.ts";
import { openCredentials } from "./intake/index.ts";
import { makeCertificate } from "./net/index.ts";

/** The users who may submit mail. A running daemon knows of a change at once. */
export interface Users {
  /** Adds a user, or fails with one plain line: a name that is taken, a name or password that may not be. */
  add(name: string, password: string): Promise<Result<void, string>>;
  /** In order of name. */
  list(): Promise<readonly string[]>;
  /** False where there is no such user. */
  remove(name: string): Promise<boolean>;
}

/** Opens the users of a configuration for one operation at a time. Rejects when the file cannot be read or written. */
export function openUsers(config: Config): Users {
  const using = async <T>(operate: (credentials: ReturnType<typeof openCredentials>) => T | Promise<T>): Promise<T> => {
    const problem = checkDataFolder(config);
    if (problem !== null) throw new Error(problem);
    const credentials = openCredentials(usersFile(config));
    try {
      return await operate(credentials);
    } finally {
      credentials.close();
    }
  };
  return {
    add: (name, password) =>
      using(async (credentials) => {
        const added = await credentials.add(name, password);
        return added.ok ? ok(undefined) : err(added.error.text);
      }),
    list: () => using((credentials) => credentials.list()),
    remove: (name) => using((credentials) => credentials.remove(name)),
  };
}

/** Makes a self-signed certificate for a first start. The key file is readable by its owner alone. */
export async function writeSelfSignedCertificate(
  names: readonly string[],
  certificatePath: string,
  keyPath: string,
): Promise<void> {
  const pair = await makeCertificate({ names, ip: ["127.0.0.1", "::1"] });
  for (const path of [certificatePath, keyPath]) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(keyPath, pair.privateKey, { mode: 0o600 });
  chmodSync(keyPath, 0o600);
  writeFileSync(certificatePath, pair.certificate);
}
