import { closeSync, openSync, statSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { type Instant, instant, messageOf } from "../base/index.ts";
import { bringUserFormat } from "./user-format.ts";

/** A user as stored: the name in its one form, an argon2id PHC string, and a SCRAM verifier. */
export interface UserRow {
  readonly name: string;
  readonly password: string;
  readonly scram: string;
  readonly disabledAt: Instant | null;
}

export interface AppPasswordRow {
  readonly name: string;
  readonly addedAt: Instant;
  /** To the hour; null: never. */
  readonly usedAt: Instant | null;
}

type Row = Record<string, SQLOutputValue>;

/** Milliseconds to wait for another process that writes at this moment; its transaction is one row long. */
const LOCK_TIMEOUT = 2000;

/**
 * The users file: an SQLite file of its own. A database and not a text file, because the command line writes
 * while the daemon reads: SQLite brings the lock between two writers, the atomic and synced write, and a reader that
 * always sees the last commit, where a text file would need all three made by hand.
 */
export class UserFile {
  readonly #path: string;
  readonly #lockTimeout: number;
  #open: OpenFile;
  #changes = 0;

  /** `lockTimeout`: how long each method waits for a lock, by standing still, milliseconds. The opening may take the usual time. */
  constructor(path: string, lockTimeout = LOCK_TIMEOUT) {
    this.#path = path;
    this.#lockTimeout = lockTimeout;
    this.#open = openFile(path, LOCK_TIMEOUT);
    this.#open.database.exec(`PRAGMA busy_timeout = ${lockTimeout}`);
  }

  /** Random octets made with the file and kept as long as it. */
  get secret(): Uint8Array {
    return this.#current().secret;
  }

  /** Another value after each change of the file, whoever made it: what was read under the same one is still true. */
  version(): string {
    const { identity } = this.#current();
    return `${identity} ${this.#get("PRAGMA data_version")?.data_version} ${this.#changes}`;
  }

  find(name: string): UserRow | null {
    const row = this.#get("SELECT name, password, scram, disabled_at FROM users WHERE name = ?", name);
    return row === undefined ? null : userOf(row);
  }

  /** In order of name. */
  users(): readonly UserRow[] {
    return this.#all("SELECT name, password, scram, disabled_at FROM users ORDER BY name").map(userOf);
  }

  /** False where the name is taken. */
  insert({ name, password, scram }: Omit<UserRow, "disabledAt">, at: Instant): boolean {
    const values = [name, password, scram, at];
    return this.#run("INSERT OR IGNORE INTO users (name, password, scram, added_at) VALUES (?, ?, ?, ?)", ...values);
  }

  /** With all that is kept of the user. */
  remove(name: string): boolean {
    return this.#run("DELETE FROM users WHERE name = ?", name);
  }

  /** False where there is no such user, or where its hash is not `instead` any more. */
  setPassword({ name, password, scram }: Omit<UserRow, "disabledAt">, instead: string | null = null): boolean {
    const values = [password, scram, name, instead];
    return this.#run(
      "UPDATE users SET password = ?, scram = ? WHERE name = ? AND password = ifnull(?, password)",
      ...values,
    );
  }

  disable(name: string, at: Instant | null): boolean {
    return this.#run("UPDATE users SET disabled_at = ? WHERE name = ?", at, name);
  }

  grants(user: string): readonly string[] {
    return this.#all("SELECT sender FROM grants WHERE user = ? ORDER BY sender", user).map((row) => text(row.sender));
  }

  /** False where it is there already. The user must exist. */
  addGrant(user: string, sender: string): boolean {
    return this.#run("INSERT OR IGNORE INTO grants (user, sender) VALUES (?, ?)", user, sender);
  }

  removeGrant(user: string, sender: string): boolean {
    return this.#run("DELETE FROM grants WHERE user = ? AND sender = ?", user, sender);
  }

  limits(user: string): readonly (readonly [name: string, value: number])[] {
    const rows = this.#all("SELECT name, value FROM limits WHERE user = ? ORDER BY name", user);
    return rows.map((row) => [text(row.name), number(row.value)]);
  }

  /** `value` null: what everybody has counts again. The user must exist. */
  setLimit(user: string, name: string, value: number | null): void {
    if (value === null) this.#run("DELETE FROM limits WHERE user = ? AND name = ?", user, name);
    else this.#run("INSERT OR REPLACE INTO limits (user, name, value) VALUES (?, ?, ?)", user, name, value);
  }

  appPasswords(user: string): readonly AppPasswordRow[] {
    const rows = this.#all("SELECT name, added_at, used_at FROM app_passwords WHERE user = ? ORDER BY name", user);
    return rows.map((row) => ({
      name: text(row.name),
      addedAt: instant(number(row.added_at)),
      usedAt: row.used_at === null ? null : instant(number(row.used_at)),
    }));
  }

  /** False where the name is taken. The user must exist. */
  addAppPassword(user: string, name: string, digest: Uint8Array, at: Instant): boolean {
    const values = [user, name, digest, at];
    return this.#run(
      "INSERT OR IGNORE INTO app_passwords (user, name, digest, added_at) VALUES (?, ?, ?, ?)",
      ...values,
    );
  }

  removeAppPassword(user: string, name: string): boolean {
    return this.#run("DELETE FROM app_passwords WHERE user = ? AND name = ?", user, name);
  }

  findAppPassword(user: string, digest: Uint8Array): Pick<AppPasswordRow, "name" | "usedAt"> | null {
    const row = this.#get("SELECT name, used_at FROM app_passwords WHERE user = ? AND digest = ?", user, digest);
    if (row === undefined) return null;
    return { name: text(row.name), usedAt: row.used_at === null ? null : instant(number(row.used_at)) };
  }

  /** Waits for no other writer, unlike all the rest: somebody is logging in, and every session would wait with them. */
  useAppPassword(user: string, name: string, at: Instant): void {
    const { database } = this.#current();
    database.exec("PRAGMA busy_timeout = 0");
    try {
      this.#run("UPDATE app_passwords SET used_at = ? WHERE user = ? AND name = ?", at, user, name);
    } finally {
      database.exec(`PRAGMA busy_timeout = ${this.#lockTimeout}`);
    }
  }

  close(): void {
    this.#open.database.close();
  }

  #get(sql: string, ...values: readonly SQLInputValue[]): Row | undefined {
    return this.#statement(sql).get(...values);
  }

  #all(sql: string, ...values: readonly SQLInputValue[]): readonly Row[] {
    return this.#statement(sql).all(...values);
  }

  /** True where a row changed. */
  #run(sql: string, ...values: readonly SQLInputValue[]): boolean {
    this.#changes++;
    return Number(this.#statement(sql).run(...values).changes) > 0;
  }

  #statement(sql: string): StatementSync {
    const { database, statements } = this.#current();
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const made = database.prepare(sql);
    statements.set(sql, made);
    return made;
  }

  /** The file by its name: one that was put back from a backup, or deleted, is another file than the one held open. */
  #current(): OpenFile {
    if (identityOf(this.#path) !== this.#open.identity) {
      const replaced = this.#open;
      this.#open = openFile(this.#path, this.#lockTimeout);
      replaced.database.close();
    }
    return this.#open;
  }
}

interface OpenFile {
  readonly identity: string | null;
  readonly database: DatabaseSync;
  readonly secret: Uint8Array;
  /** By their SQL, which never holds a value. */
  readonly statements: Map<string, StatementSync>;
}

function openFile(path: string, timeout: number): OpenFile {
  try {
    // Made here, because SQLite would make it readable by all; its journal takes the mode of the file.
    closeSync(openSync(path, "a", 0o600));
    const database = new DatabaseSync(path, { timeout, enableForeignKeyConstraints: true });
    try {
      // EXTRA also syncs the folder after the journal is deleted, so that an added user outlives a power cut.
      database.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON");
      bringUserFormat(database);
      return { identity: identityOf(path), database, secret: readSecret(database), statements: new Map() };
    } catch (cause) {
      database.close();
      throw cause;
    }
  } catch (cause) {
    const reason = messageOf(cause);
    throw new Error(`cannot open the users file ${path}: ${reason}`, { cause });
  }
}

function readSecret(database: DatabaseSync): Uint8Array {
  const value = database.prepare("SELECT value FROM secret").get()?.value;
  if (value instanceof Uint8Array) return value;
  throw new Error("it has lost its secret");
}

function identityOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
}

function userOf(row: Row): UserRow {
  return {
    name: text(row.name),
    password: text(row.password),
    scram: text(row.scram),
    disabledAt: row.disabled_at === null ? null : instant(number(row.disabled_at)),
  };
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error("the users file holds a row of the wrong form");
}

function number(value: unknown): number {
  if (typeof value === "number") return value;
  throw new Error("the users file holds a row of the wrong form");
}
