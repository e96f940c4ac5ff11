// Who may submit, and how much, as a configuration says it.
import { readFileSync } from "node:fs";
import { codeOf, err, type Log, messageOf, ok, type Result } from "../base/index.ts";
import { type Config, sendingFile, usersFile } from "../config/index.ts";
import { createDovecotSource, createHttpSource } from "../credentials/index.ts";
import {
  type CredentialSource,
  createSendingLimiter,
  openSendingFile,
  openServedCredentials,
  type SendingLimiter,
} from "../intake/index.ts";
import { readCertificates, systemClock } from "../net/index.ts";

/** Authorities that the web service with the users is trusted by, PEM; none: the system's. */
type SourceCa = readonly string[];

/** Reads those of a configuration; each problem is one line. */
export function loadSourceCa({ auth: { source } }: Pick<Config, "auth">): Result<SourceCa, readonly string[]> {
  if (source.kind !== "http") return ok([]);
  const read = source.ca.map((file) => ({ file, text: readAuthorities(file) }));
  const problems = read.flatMap(({ file, text }) => (text.ok ? [] : [`[auth] source_ca: ${file} ${text.error}`]));
  return problems.length > 0 ? err(problems) : ok(read.flatMap(({ text }) => (text.ok ? [text.value] : [])));
}

/** Users, and what they sent. */
export interface ServedUsers {
  readonly source: CredentialSource;
  readonly limiter: SendingLimiter;
  /** Puts limits, and authorities that were read anew, in the place of those before. */
  renew(submission: Config["submission"], ca: SourceCa): void;
  close(): void;
}

/** Fails with one plain line where a file cannot be opened. */
export function openServedUsers(config: Config, log: Log): Result<ServedUsers, string> {
  const loaded = loadSourceCa(config);
  if (!loaded.ok) return err(loaded.error.join("; "));
  let ca = loaded.value;
  let { submission } = config;
  const renew = (rules: Config["submission"], next: SourceCa): void => {
    submission = rules;
    ca = next;
  };
  try {
    const source = openCredentialSource(config, () => ca);
    const limiter = createSendingLimiter({
      accounts: source,
      users: () => submission.limits,
      addresses: () => submission.addressLimits,
      file: openSendingFile(sendingFile(config)),
      clock: systemClock,
      log,
    });
    const close = (): void => {
      limiter.close();
      source.close();
    };
    return ok({ source, limiter, renew, close });
  } catch (cause) {
    return err(messageOf(cause));
  }
}

function openCredentialSource(config: Config, ca: () => SourceCa): CredentialSource {
  const { source } = config.auth;
  switch (source.kind) {
    case "users":
      return openServedCredentials(usersFile(config), { clock: systemClock });
    case "dovecot":
      return createDovecotSource({ at: source.at, clock: systemClock });
    case "http":
      return createHttpSource({ url: source.url, ca });
  }
}

function readAuthorities(file: string): Result<string, string> {
  try {
    const text = readFileSync(file, "utf8");
    const read = readCertificates(text);
    return read.ok ? ok(text) : err(`holds no certificate in PEM (${read.error}); name the authority's`);
  } catch (cause) {
    const reason = codeOf(cause);
    return err(`cannot be read (${reason}); name a file that this user may read`);
  }
}
