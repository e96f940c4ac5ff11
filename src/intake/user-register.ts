import { type Clock, err, type Instant, ok, type Result } from "../base/index.ts";
import { appPasswordDigest, makeAppPassword } from "./app-password.ts";
import type { SendingLimit, SendingLimits } from "./credential-source.ts";
import type { PasswordHasher } from "./password-hash.ts";
import { prepareName, preparePassword } from "./prepared-strings.ts";
import { formatScramKeys, makeScramKeys } from "./scram-verifier.ts";
import { formatSenderGrant, parseSenderGrant } from "./sender-grant.ts";
import type { AppPasswordRow, UserFile, UserRow } from "./user-file.ts";

/** Why nothing was changed; `text` is one plain line for the operator. */
export interface CredentialProblem {
  readonly kind: "badName" | "badPassword" | "badGrant" | "exists" | "unknown" | "tooMany";
  readonly text: string;
}

/** A user as an operator sees it; nothing here is secret. */
export interface UserSummary {
  readonly name: string;
  readonly disabledAt: Instant | null;
  /** What the user may send as besides the addresses of the name, as `parseSenderGrant` reads it. */
  readonly grants: readonly string[];
  readonly limits: Partial<SendingLimits>;
  readonly appPasswords: readonly AppPasswordRow[];
}

type Change<T = void> = Result<T, CredentialProblem>;

/** More than anybody has devices; each is a row that a login looks through. */
const MAX_APP_PASSWORDS = 50;
const MAX_GRANTS = 1000;

/** The users file as an operator changes it. Every method throws when the file cannot be read or written. */
export interface UserRegister {
  /** Resolves when the user is on disk. */
  add(name: string, password: string): Promise<Change>;
  /** In order of name. */
  list(): readonly string[];
  /** In order of name. */
  summaries(): readonly UserSummary[];
  summary(name: string): Change<UserSummary>;
  /** With all that is kept of the user. False where there is none. */
  remove(name: string): boolean;
  /** App passwords stay as they are. */
  changePassword(name: string, password: string): Promise<Change>;
  /** A disabled user keeps everything and may do nothing. */
  setDisabled(name: string, disabled: boolean): Change;
  /** `ann@example.org`, `@example.org` or `*`. */
  addGrant(name: string, grant: string): Change;
  removeGrant(name: string, grant: string): Change;
  /** Null: what everybody has. 0: no limit. */
  setLimit(name: string, limit: SendingLimit, value: number | null): Change;
  /** The one time that the password is told. */
  addAppPassword(name: string, label: string): Change<string>;
  removeAppPassword(name: string, label: string): Change;
}

export interface RegisterParts {
  readonly file: UserFile;
  readonly clock: Pick<Clock, "now">;
  readonly hasher: PasswordHasher;
  readonly scramIterations: number | undefined;
}

export class FileRegister implements UserRegister {
  readonly #parts: RegisterParts;

  constructor(parts: RegisterParts) {
    this.#parts = parts;
  }

  async add(name: string, password: string): Promise<Change> {
    const user = prepareName(name, "store");
    if (user === null) {
      return problem("badName", "a user name is 1 to 255 octets of printable characters without white space");
    }
    const row = await this.#row(user, password);
    if (!row.ok) return row;
    const { file, clock } = this.#parts;
    if (file.insert(row.value, clock.now())) return ok(undefined);
    return problem("exists", `there is a user ${user} already; 'postern user passwd' changes the password`);
  }

  list(): readonly string[] {
    return this.#parts.file.users().map(({ name }) => name);
  }

  summaries(): readonly UserSummary[] {
    return this.#parts.file.users().map((row) => this.#summaryOf(row));
  }

  summary(name: string): Change<UserSummary> {
    const user = this.#find(name);
    return user.ok ? ok(this.#summaryOf(user.value)) : user;
  }

  remove(name: string): boolean {
    const user = prepareName(name, "query");
    return user !== null && this.#parts.file.remove(user);
  }

  async changePassword(name: string, password: string): Promise<Change> {
    const user = this.#find(name);
    if (!user.ok) return user;
    const row = await this.#row(user.value.name, password);
    if (!row.ok) return row;
    return this.#parts.file.setPassword(row.value) ? ok(undefined) : unknown(name);
  }

  setDisabled(name: string, disabled: boolean): Change {
    const { file, clock } = this.#parts;
    const user = this.#find(name);
    if (!user.ok) return user;
    // Since when it is so is kept where it is so already.
    if (disabled === (user.value.disabledAt !== null)) return ok(undefined);
    return file.disable(user.value.name, disabled ? clock.now() : null) ? ok(undefined) : unknown(name);
  }

  addGrant(name: string, grant: string): Change {
    const user = this.#find(name);
    if (!user.ok) return user;
    const parsed = parseSenderGrant(grant);
    if (!parsed.ok) return problem("badGrant", parsed.error);
    const { file } = this.#parts;
    if (file.grants(user.value.name).length >= MAX_GRANTS)
      return problem("tooMany", `${name} has ${MAX_GRANTS} already`);
    if (file.addGrant(user.value.name, formatSenderGrant(parsed.value))) return ok(undefined);
    return problem("exists", `${user.value.name} has ${grant} already`);
  }

  removeGrant(name: string, grant: string): Change {
    const user = this.#find(name);
    if (!user.ok) return user;
    const parsed = parseSenderGrant(grant);
    if (!parsed.ok) return problem("badGrant", parsed.error);
    if (this.#parts.file.removeGrant(user.value.name, formatSenderGrant(parsed.value))) return ok(undefined);
    return problem("unknown", `${user.value.name} has no ${grant}; 'postern user alias list' shows all`);
  }

  setLimit(name: string, limit: SendingLimit, value: number | null): Change {
    const user = this.#find(name);
    if (!user.ok) return user;
    this.#parts.file.setLimit(user.value.name, limit, value);
    return ok(undefined);
  }

  addAppPassword(name: string, label: string): Change<string> {
    const user = this.#find(name);
    if (!user.ok) return user;
    if (label.trim() !== label || label.length === 0 || label.length > 64 || /\p{C}/u.test(label)) {
      return problem("badName", "the name of an app password is 1 to 64 printable characters");
    }
    const { file, clock } = this.#parts;
    if (file.appPasswords(user.value.name).length >= MAX_APP_PASSWORDS) {
      return problem("tooMany", `${user.value.name} has ${MAX_APP_PASSWORDS} app passwords already; remove one first`);
    }
    const password = makeAppPassword();
    const digest = appPasswordDigest(user.value.name, password);
    if (digest !== null && file.addAppPassword(user.value.name, label, digest, clock.now())) return ok(password);
    return problem("exists", `${user.value.name} has an app password ${label} already; remove it first`);
  }

  removeAppPassword(name: string, label: string): Change {
    const user = this.#find(name);
    if (!user.ok) return user;
    if (this.#parts.file.removeAppPassword(user.value.name, label)) return ok(undefined);
    return problem(
      "unknown",
      `${user.value.name} has no app password ${label}; 'postern user app-password list' shows all`,
    );
  }

  #summaryOf({ name, disabledAt }: UserRow): UserSummary {
    const { file } = this.#parts;
    return {
      name,
      disabledAt,
      grants: file.grants(name),
      limits: Object.fromEntries(file.limits(name)),
      appPasswords: file.appPasswords(name),
    };
  }

  #find(name: string): Change<UserRow> {
    const user = prepareName(name, "query");
    const row = user === null ? null : this.#parts.file.find(user);
    return row === null ? unknown(name) : ok(row);
  }

  async #row(name: string, password: string): Promise<Change<Omit<UserRow, "disabledAt">>> {
    const prepared = preparePassword(password, "store");
    if (prepared === null) {
      const text = "a password is 1 to 1024 octets of printable characters that Unicode 3.2 knows (RFC 4013)";
      return problem("badPassword", text);
    }
    const { hasher, scramIterations } = this.#parts;
    const [hash, scram] = await Promise.all([hasher.hash(prepared), makeScramKeys(prepared, scramIterations)]);
    return ok({ name, password: hash, scram: formatScramKeys(scram) });
  }
}

function unknown(name: string): Result<never, CredentialProblem> {
  return problem("unknown", `there is no user ${name}; 'postern user list' shows all`);
}

function problem(kind: CredentialProblem["kind"], text: string): Result<never, CredentialProblem> {
  return err({ kind, text });
}
