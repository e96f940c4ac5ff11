// What a running daemon reads anew when it is told to: the files that certificates, authorities and the secrets for tokens lie in.
import { err, type Log, ok, type Result } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { loadTokens, type ServedTokens } from "./auth.ts";
import { loadNextHops, type NextHops } from "./next-hops.ts";
import type { ServingTls } from "./tls.ts";
import { loadSourceCa, type ServedUsers } from "./users.ts";

export interface ReloadParts {
  readonly config: Config;
  /** Null where nothing is served over TLS. */
  readonly tls: ServingTls | null;
  readonly tokens: Pick<ServedTokens, "renew">;
  readonly users: Pick<ServedUsers, "renew">;
  /** Puts what connections to others are made with into use. */
  renew(nextHops: NextHops): void;
  readonly log: Log;
}

/** All of it or nothing: with a problem in one file everything stays as it was. */
export function reload({ config, tls, tokens, users, renew, log }: ReloadParts): Result<void, readonly string[]> {
  const nextHops = loadNextHops(config);
  if (!nextHops.ok) return failed(nextHops.error, log);
  const checked = loadTokens(config);
  if (!checked.ok) return failed(checked.error, log);
  const sourceCa = loadSourceCa(config);
  if (!sourceCa.ok) return failed(sourceCa.error, log);
  const served = tls?.reload() ?? ok(undefined);
  if (!served.ok) return failed(served.error, log);
  renew(nextHops.value);
  tokens.renew(checked.value);
  users.renew(sourceCa.value);
  log.info("daemon.reloaded", tls === null ? {} : { certificatesExpire: new Date(tls.plain.expires).toISOString() });
  return ok(undefined);
}

function failed(problems: readonly string[], log: Log): Result<never, readonly string[]> {
  log.error("daemon.reload.failed", { problems });
  return err(problems);
}
