// What a running daemon takes when it is told to: its configuration, and the files that are named there.
import { err, type Log, ok, type Result } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { loadTokens } from "./auth.ts";
import type { Rules } from "./composition.ts";
import { loadNextHops } from "./next-hops.ts";
import type { ServingTls } from "./tls.ts";
import { loadSourceCa, type ServedUsers } from "./users.ts";
import type { Web } from "./web.ts";

export interface ReloadParts {
  /** Null where nothing is served over TLS. */
  readonly tls: Pick<ServingTls, "prepare" | "plain"> | null;
  readonly users: Pick<ServedUsers, "renew">;
  readonly web: Pick<Web, "renew">;
  /** Of the two halves and the server. */
  renew(rules: Rules): void;
  readonly log: Log;
}

/** Puts `config` into use, which differs in nothing that only a restart changes. All of it or nothing: with a problem in one file everything stays as it was. */
export async function reload(
  config: Config,
  { tls, users, web, renew, log }: ReloadParts,
): Promise<Result<void, readonly string[]>> {
  const tokens = await loadTokens(config);
  const nextHops = loadNextHops(config);
  const sourceCa = loadSourceCa(config);
  const served = tls?.prepare(config) ?? ok(() => {});
  if (!nextHops.ok || !tokens.ok || !sourceCa.ok || !served.ok) {
    const problems = [nextHops, tokens, sourceCa, served].flatMap((each) => (each.ok ? [] : each.error));
    log.error("daemon.reload.failed", { problems });
    return err(problems);
  }
  served.value();
  users.renew(config.submission, sourceCa.value);
  web.renew(config);
  renew({ config, nextHops: nextHops.value, tokens: tokens.value });
  log.info("daemon.reloaded", tls === null ? {} : { certificatesExpire: new Date(tls.plain.expires).toISOString() });
  return ok(undefined);
}

/** The same, one after the other: a later reload finds what the one before made of it. */
export function inTurn<Next, Done>(take: (next: Next) => Promise<Done>): (next: Next) => Promise<Done> {
  let turn: Promise<unknown> = Promise.resolve();
  return (next) => {
    const taken = turn.then(() => take(next));
    turn = taken.catch(() => {});
    return taken;
  };
}

/** Tells of each key of a changed file that only a restart puts into use. */
export function tellRestart(keys: readonly string[], log: Log): void {
  for (const key of keys) log.warn("daemon.restart.needed", { key });
}
