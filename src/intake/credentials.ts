import { createHmac, randomBytes } from "node:crypto";
import { type Clock, HOUR, type Instant, instant, later, MINUTE } from "../base/index.ts";
import { appPasswordDigest } from "./app-password.ts";
import type { Account, CredentialSource, ScramLookup, Verification } from "./credential-source.ts";
import { type HashCost, PasswordHasher } from "./password-hash.ts";
import { prepareName, preparePassword } from "./prepared-strings.ts";
import { decoyScramKeys, formatScramKeys, isWeakerScram, makeScramKeys, readScramKeys } from "./scram-verifier.ts";
import { parseSenderGrant } from "./sender-grant.ts";
import { UserFile, type UserRow } from "./user-file.ts";
import { FileRegister, type UserRegister } from "./user-register.ts";

/**
 * The users who may submit mail. Names have no case and are compared after SASLprep; `identity` and `list` give that one
 * form. What comes from `UserRegister` is for the operator. Every method throws when the users file cannot be read or written.
 */
export interface Credentials extends CredentialSource, UserRegister {
  /** App passwords count too. */
  verify(name: string, password: string): Promise<Verification>;
  /** App passwords do not count: which one is meant cannot be known before the proof. */
  scram(name: string): ScramLookup;
  account(identity: string): Account | null;
}

export interface CredentialsOptions {
  readonly clock?: Pick<Clock, "now">;
  /** What a password check costs; the default is the recommended one. A user who was added under a lower one is brought to it by a login. */
  readonly cost?: HashCost;
  /** Iterations of the SCRAM verifier (RFC 7677 §4); likewise. */
  readonly scramIterations?: number;
  /** Password checks at the same time, and waiting in line. */
  readonly concurrency?: number;
  readonly waiting?: number;
  /** How long the thread stands still for a file that another process has locked, once it is open; milliseconds. Default 2000. */
  readonly lockTimeout?: number;
}

/** How long a password that was right is taken again without the costly check: many clients log in for each message. */
const REMEMBERED_FOR = 10 * MINUTE;
const MAX_REMEMBERED = 1024;

/** Accounts that are kept read; all are forgotten when the file changes. */
const MAX_ACCOUNTS = 10_000;

/** To what the last use of an app password is told: each write of it is synced. */
const USE_PRECISION = HOUR;

/**
 * Opens the users file, made with mode 0600 where there is none. Changes by other processes count at once. Throws with one
 * plain line when the file cannot be opened.
 */
export function openCredentials(path: string, options: CredentialsOptions = {}): Credentials {
  return new FileCredentials(new UserFile(path, options.lockTimeout), options);
}

class FileCredentials extends FileRegister implements Credentials {
  readonly #file: UserFile;
  readonly #clock: Pick<Clock, "now">;
  readonly #hasher: PasswordHasher;
  readonly #scramIterations: number | undefined;
  readonly #decoy: string;
  /** Right passwords seen lately, as a keyed hash that means nothing outside this process, and until when. */
  readonly #remembered = new Map<string, Instant>();
  readonly #rememberKey = randomBytes(32);
  readonly #accounts = new Map<string, Account | null>();
  /** Of the file that `#accounts` was read from. */
  #accountsVersion = "";

  constructor(file: UserFile, options: CredentialsOptions) {
    const clock = options.clock ?? { now: () => instant(Date.now()) };
    const hasher = new PasswordHasher(options);
    super({ file, clock, hasher, scramIterations: options.scramIterations });
    this.#file = file;
    this.#clock = clock;
    this.#hasher = hasher;
    this.#scramIterations = options.scramIterations;
    this.#decoy = this.#hasher.decoy();
  }

  async verify(name: string, password: string): Promise<Verification> {
    const user = prepareName(name, "query");
    const prepared = preparePassword(password, "query");
    const found = user === null ? null : this.#file.find(user);
    // A disabled user is checked as one who does not exist.
    const row = found === null || found.disabledAt !== null ? null : found;
    const token = row === null || prepared === null ? null : this.#token(row, prepared);
    if (row !== null && token !== null && this.#remembers(token)) return { kind: "verified", identity: row.name };
    if (row !== null && prepared !== null && this.#isAppPassword(row.name, prepared)) {
      return { kind: "verified", identity: row.name };
    }
    const matches = await this.#hasher.verify(prepared ?? "", row?.password ?? this.#decoy);
    if (matches === "busy") return { kind: "busy" };
    if (!matches || row === null || prepared === null) return { kind: "refused" };
    const strong = await this.#strengthened(row, prepared);
    this.#remember(this.#token(strong, prepared));
    return { kind: "verified", identity: row.name };
  }

  scram(name: string): ScramLookup {
    const user = prepareName(name, "query");
    const row = user === null ? null : this.#file.find(user);
    if (row !== null) {
      return { identity: row.disabledAt === null ? row.name : null, keys: readScramKeys(row.scram) };
    }
    // By the one form of the name: a salt that changed with the case of the name would tell that there is no such user.
    return { identity: null, keys: decoyScramKeys(this.#file.secret, user ?? name, this.#scramIterations) };
  }

  account(identity: string): Account | null {
    const version = this.#file.version();
    if (version !== this.#accountsVersion || this.#accounts.size >= MAX_ACCOUNTS) this.#accounts.clear();
    this.#accountsVersion = version;
    const known = this.#accounts.get(identity);
    if (known !== undefined) return known;
    const account = this.#readAccount(identity);
    this.#accounts.set(identity, account);
    return account;
  }

  close(): void {
    this.#remembered.clear();
    this.#accounts.clear();
    this.#file.close();
  }

  #readAccount(identity: string): Account | null {
    const row = this.#file.find(identity);
    if (row === null || row.disabledAt !== null) return null;
    const grants = this.#file.grants(identity).flatMap((sender) => {
      const grant = parseSenderGrant(sender);
      return grant.ok ? [grant.value] : [];
    });
    return { byName: true, grants, limits: Object.fromEntries(this.#file.limits(identity)) };
  }

  #isAppPassword(user: string, password: string): boolean {
    const digest = appPasswordDigest(user, password);
    const found = digest === null ? null : this.#file.findAppPassword(user, digest);
    if (found === null) return false;
    const now = this.#clock.now();
    if (found.usedAt === null || now - found.usedAt >= USE_PRECISION) this.#noteUse(user, found.name, now);
    return true;
  }

  #noteUse(user: string, name: string, now: Instant): void {
    try {
      this.#file.useAppPassword(user, name, now);
    } catch {
      // A file that cannot be written now is no reason to refuse the right password; the next login tells of its use.
    }
  }

  /** The only time that a password is at hand: hashes made at a lower cost than today's are made anew. */
  async #strengthened(row: UserRow, password: string): Promise<UserRow> {
    const weak = this.#hasher.isWeaker(row.password) || isWeakerScram(row.scram, this.#scramIterations);
    if (!weak) return row;
    const hash = await this.#hasher.hash(password);
    const scram = formatScramKeys(await makeScramKeys(password, this.#scramIterations));
    const strong = { ...row, password: hash, scram };
    try {
      // Not where the password was changed meanwhile.
      return this.#file.setPassword(strong, row.password) ? strong : row;
    } catch {
      return row; // A file that cannot be written now is no reason to refuse the right password; the next login tries again.
    }
  }

  /** Covers the stored hash, so that a changed or removed user is forgotten at once. */
  #token(row: UserRow, password: string): string {
    return createHmac("sha256", this.#rememberKey).update(`${row.name}\0${row.password}\0${password}`).digest("base64");
  }

  #remembers(token: string): boolean {
    const until = this.#remembered.get(token);
    if (until === undefined) return false;
    if (this.#clock.now() < until) return true;
    this.#remembered.delete(token);
    return false;
  }

  #remember(token: string): void {
    if (this.#remembered.size >= MAX_REMEMBERED) {
      const oldest = this.#remembered.keys().next();
      if (!oldest.done) this.#remembered.delete(oldest.value);
    }
    this.#remembered.set(token, later(this.#clock.now(), REMEMBERED_FOR));
  }
}
