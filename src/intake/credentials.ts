import { createHmac, randomBytes } from "node:crypto";
import { type Clock, err, type Instant, instant, later, MINUTE, ok, type Result } from "../base/index.ts";
import type { ScramKeys } from "../smtp/index.ts";
import { type HashCost, PasswordHasher } from "./password-hash.ts";
import { prepareName, preparePassword } from "./prepared-strings.ts";
import { decoyScramKeys, formatScramKeys, makeScramKeys, readScramKeys } from "./scram-verifier.ts";
import { UserFile } from "./user-file.ts";

/** Why a user was not added; `text` is one plain line for the operator. */
export interface CredentialProblem {
  readonly kind: "badName" | "badPassword" | "exists";
  readonly text: string;
}

/** "busy": too many checks wait already, nothing is known. */
export type Verification =
  | { readonly kind: "verified"; readonly identity: string }
  | { readonly kind: "refused" }
  | { readonly kind: "busy" };

/**
 * The users who may submit mail. Names have no case and are compared after SASLprep; `identity` and `list` give that one
 * form. All but `verify` and `scram` are for the operator. Every method throws when the users file cannot be read or written.
 */
export interface Credentials {
  /** Resolves when the user is on disk. */
  add(name: string, password: string): Promise<Result<void, CredentialProblem>>;
  /** In order of name. */
  list(): readonly string[];
  /** False where there is no such user. */
  remove(name: string): boolean;
  /** Takes the same work for a user that does not exist, so that the time tells nothing. */
  verify(name: string, password: string): Promise<Verification>;
  /** What SCRAM-SHA-256 needs. For a user that does not exist `identity` is null and no password matches the keys. */
  scram(name: string): { readonly identity: string | null; readonly keys: ScramKeys };
  close(): void;
}

export interface CredentialsOptions {
  readonly clock?: Pick<Clock, "now">;
  /** What a password check costs; the default is the recommended one. Only for users added from now on. */
  readonly cost?: HashCost;
  /** Iterations of the SCRAM verifier (RFC 7677 §4); only for users added from now on. */
  readonly scramIterations?: number;
  /** Password checks at the same time, and waiting in line. */
  readonly concurrency?: number;
  readonly waiting?: number;
}

/** How long a password that was right is taken again without the costly check: many clients log in for each message. */
const REMEMBERED_FOR = 10 * MINUTE;
const MAX_REMEMBERED = 1024;

/**
 * Opens the users file, made with mode 0600 where there is none. Changes by other processes count at once. Throws with one
 * plain line when the file cannot be opened.
 */
export function openCredentials(path: string, options: CredentialsOptions = {}): Credentials {
  return new FileCredentials(new UserFile(path), options);
}

class FileCredentials implements Credentials {
  readonly #file: UserFile;
  readonly #clock: Pick<Clock, "now">;
  readonly #hasher: PasswordHasher;
  readonly #scramIterations: number | undefined;
  readonly #decoy: string;
  /** Right passwords seen lately, as a keyed hash that means nothing outside this process, and until when. */
  readonly #remembered = new Map<string, Instant>();
  readonly #rememberKey = randomBytes(32);

  constructor(file: UserFile, options: CredentialsOptions) {
    this.#file = file;
    this.#clock = options.clock ?? { now: () => instant(Date.now()) };
    this.#hasher = new PasswordHasher(options);
    this.#scramIterations = options.scramIterations;
    this.#decoy = this.#hasher.decoy();
  }

  async add(name: string, password: string): Promise<Result<void, CredentialProblem>> {
    const user = prepareName(name, "store");
    if (user === null) {
      const text = "a user name is 1 to 255 octets of printable characters without white space";
      return err({ kind: "badName", text });
    }
    const prepared = preparePassword(password, "store");
    if (prepared === null) {
      const text = "a password is 1 to 1024 octets of printable characters that Unicode 3.2 knows (RFC 4013)";
      return err({ kind: "badPassword", text });
    }
    const [phc, scram] = await Promise.all([
      this.#hasher.hash(prepared),
      makeScramKeys(prepared, this.#scramIterations),
    ]);
    const added = this.#file.insert({ name: user, password: phc, scram: formatScramKeys(scram) }, this.#clock.now());
    return added ? ok(undefined) : err({ kind: "exists", text: `there is a user ${user} already; remove it first` });
  }

  list(): readonly string[] {
    return this.#file.names();
  }

  remove(name: string): boolean {
    const user = prepareName(name, "query");
    return user !== null && this.#file.remove(user);
  }

  async verify(name: string, password: string): Promise<Verification> {
    const user = prepareName(name, "query");
    const prepared = preparePassword(password, "query");
    const row = user === null ? null : this.#file.find(user);
    const token = row === null || prepared === null ? null : this.#token(row.name, row.password, prepared);
    if (row !== null && token !== null && this.#remembers(token)) return { kind: "verified", identity: row.name };
    const matches = await this.#hasher.verify(prepared ?? "", row?.password ?? this.#decoy);
    if (matches === "busy") return { kind: "busy" };
    if (!matches || row === null || token === null) return { kind: "refused" };
    this.#remember(token);
    return { kind: "verified", identity: row.name };
  }

  scram(name: string): { readonly identity: string | null; readonly keys: ScramKeys } {
    const user = prepareName(name, "query");
    const row = user === null ? null : this.#file.find(user);
    if (row !== null) return { identity: row.name, keys: readScramKeys(row.scram) };
    // By the one form of the name: a salt that changed with the case of the name would tell that there is no such user.
    return { identity: null, keys: decoyScramKeys(this.#file.secret, user ?? name, this.#scramIterations) };
  }

  close(): void {
    this.#remembered.clear();
    this.#file.close();
  }

  /** Covers the stored hash, so that a changed or removed user is forgotten at once. */
  #token(name: string, phc: string, password: string): string {
    return createHmac("sha256", this.#rememberKey).update(`${name}\0${phc}\0${password}`).digest("base64");
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
