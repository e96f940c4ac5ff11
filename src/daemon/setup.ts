// What an operator sets up by the command line before, or beside, a running daemon: users and a first certificate.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { err, ok, type Result } from "../base/index.ts";
import { type Config, type UserLimit, usersFile } from "../config/index.ts";
import { type CredentialProblem, openCredentials, type UserRegister, type UserSummary } from "../intake/index.ts";
import { makeCertificate } from "../net/index.ts";
import { checkDataFolder } from "./checks.ts";

/** A change of a user: done, or one plain line that says why not. */
type Change<T = void> = Promise<Result<T, string>>;

/** The users who may submit mail. A running daemon knows of a change at once. */
export interface Users {
  /** Adds a user, or fails: a name that is taken, a name or password that may not be. */
  add(name: string, password: string): Change;
  /** In order of name. */
  list(): Promise<readonly string[]>;
  /** In order of name, with all that is kept of each and is no secret. */
  summaries(): Promise<readonly UserSummary[]>;
  find(name: string): Change<UserSummary>;
  /** False where there is no such user. */
  remove(name: string): Promise<boolean>;
  changePassword(name: string, password: string): Change;
  setDisabled(name: string, disabled: boolean): Change;
  /** What a user may send as besides the own addresses: `ann@example.org`, `@example.org` or `*`. */
  addGrant(name: string, grant: string): Change;
  removeGrant(name: string, grant: string): Change;
  /** Null: what the configuration says counts again. 0: no limit. All or none of them are set. */
  setLimits(name: string, limits: readonly { readonly limit: UserLimit; readonly value: number | null }[]): Change;
  /** Gives the password, which is told this once. */
  addAppPassword(name: string, label: string): Change<string>;
  removeAppPassword(name: string, label: string): Change;
}

/** Opens the users of a configuration for one operation at a time. Rejects when the file cannot be read or written. */
export function openUsers(config: Config): Users {
  const using = async <T>(operate: (register: UserRegister) => T | Promise<T>): Promise<T> => {
    const { source } = config.auth;
    if (source.kind !== "users") {
      throw new Error(
        "users are kept elsewhere ([auth] source); change them there, or remove that key to use the users file",
      );
    }
    const problem = checkDataFolder(config);
    if (problem !== null) throw new Error(problem);
    const credentials = openCredentials(usersFile(config));
    try {
      return await operate(credentials);
    } finally {
      credentials.close();
    }
  };
  const change = <T>(
    operate: (register: UserRegister) => Result<T, CredentialProblem> | Promise<Result<T, CredentialProblem>>,
  ): Change<T> =>
    using(async (register) => {
      const changed = await operate(register);
      return changed.ok ? changed : err(changed.error.text);
    });
  return {
    add: (name, password) => change((register) => register.add(name, password)),
    list: () => using((register) => register.list()),
    summaries: () => using((register) => register.summaries()),
    find: (name) => change((register) => register.summary(name)),
    remove: (name) => using((register) => register.remove(name)),
    changePassword: (name, password) => change((register) => register.changePassword(name, password)),
    setDisabled: (name, disabled) => change((register) => register.setDisabled(name, disabled)),
    addGrant: (name, grant) => change((register) => register.addGrant(name, grant)),
    removeGrant: (name, grant) => change((register) => register.removeGrant(name, grant)),
    setLimits: (name, limits) =>
      change((register) => {
        for (const { limit, value } of limits) {
          const set = register.setLimit(name, limit, value);
          if (!set.ok) return set; // There is no such user, which the first one tells.
        }
        return ok(undefined);
      }),
    addAppPassword: (name, label) => change((register) => register.addAppPassword(name, label)),
    removeAppPassword: (name, label) => change((register) => register.removeAppPassword(name, label)),
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
