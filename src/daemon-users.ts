// Who may submit, and how much, as a configuration says it.
import { readFileSync } from "node:fs";
import { err, type Log, ok, type Result } from "./base/index.ts";
import { type Config, sendingFile, usersFile } from "./config/index.ts";
import { createDovecotSource, createHttpSource } from "./credentials/index.ts";
import {
  type CredentialSource,
  createSendingLimiter,
  openCredentials,
  openSendingFile,
  type SendingLimiter,
} from "./intake/index.ts";
import { systemClock } from "./net/index.ts";

/** Users, and what they sent. */
export interface ServedUsers {
  readonly source: CredentialSource;
  readonly limiter: SendingLimiter;
  close(): void;
}

/** Fails with one plain line where a file cannot be opened. */
export function openServedUsers(config: Config, log: Log): Result<ServedUsers, string> {
  try {
    const source = openCredentialSource(config);
    const limiter = createSendingLimiter({
      accounts: source,
      users: config.submission.limits,
      addresses: config.submission.addressLimits,
      file: openSendingFile(sendingFile(config)),
      clock: systemClock,
      log,
    });
    const close = (): void => {
      limiter.close();
      source.close();
    };
    return ok({ source, limiter, close });
  } catch (cause) {
    return err(cause instanceof Error ? cause.message : String(cause));
  }
}

function openCredentialSource(config: Config): CredentialSource {
  const { source } = config.auth;
  switch (source.kind) {
    case "users":
      return openCredentials(usersFile(config));
    case "dovecot":
      return createDovecotSource({ at: source.at, clock: systemClock });
    case "http":
      return createHttpSource({ url: source.url, ca: readAuthorities(source.ca) });
  }
}

function readAuthorities(files: readonly string[]): readonly string[] {
  return files.map((file) => {
    try {
      return readFileSync(file, "utf8");
    } catch (cause) {
      const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      throw new Error(`[auth] source_ca: ${file} cannot be read (${reason}); name a file that this user may read`);
    }
  });
}
