// What would become of mail to an address under a configuration, by the parts that the daemon itself is made of.
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { domainToASCII } from "node:url";
import { err, mathRandom, messageOf, ok, type Result, silentLog } from "../base/index.ts";
import { type Config, configLine } from "../config/index.ts";
import { RouteTable, selfTest } from "../delivery/index.ts";
import { type ExplainReport, explain } from "../inspection/index.ts";
import { systemClock } from "../net/index.ts";
import { type Mailbox, parseMailbox } from "../smtp/index.ts";
import { createStsFetch, type KeptStsPolicies } from "../trust/index.ts";
import { retryExceptions, retryRule } from "./burdens.ts";
import { loadNextHops } from "./next-hops.ts";
import { configuredResolver } from "./resolver.ts";
import { findStsPolicies } from "./sts.ts";
import { readTrust, type Trust } from "./trust.ts";

export type { DemandReport, ExplainReport, HopReport, LookupReport, TryReport } from "../inspection/index.ts";

/**
 * Follows the way of mail to `address`, up to where a connection would be made. What a daemon on the same data folder remembers of
 * hosts and policies counts. Each problem is one plain line.
 */
export async function explainAddress(
  config: Config,
  address: string,
): Promise<Result<ExplainReport, readonly string[]>> {
  const mailbox = parseMailbox(address);
  if (!mailbox.ok) return err([`${address} is not an address such as ann@example.org`]);
  const nextHops = loadNextHops(config);
  if (!nextHops.ok) return nextHops;
  const trust = readTrust(config, { hold: config.delivery.downgradeHold });
  if (!trust.ok) return err([trust.error]);
  try {
    const { routes, trusted } = nextHops.value;
    return ok(await explainMailbox(config, mailbox.value, { routes, trusted, trust: trust.value }));
  } finally {
    trust.value?.close();
  }
}

interface Known {
  readonly routes: ConstructorParameters<typeof RouteTable>[1];
  readonly trusted: readonly string[] | null;
  readonly trust: Trust | null;
}

async function explainMailbox(
  config: Config,
  mailbox: Mailbox,
  { routes, trusted, trust }: Known,
): Promise<ExplainReport> {
  const { delivery } = config;
  let policies: KeptStsPolicies | null = null;
  try {
    return await explain(mailbox, {
      routes: new RouteTable(config.domains, routes),
      port: delivery.port,
      resolver: configuredResolver(config),
      random: mathRandom,
      hostname: domainToASCII(config.hostname) || config.hostname,
      isSelf: selfTest(config.listeners.map((listener) => listener.address)),
      dane: delivery.dane,
      memory: trust?.memory ?? null,
      clearAfterFailure: delivery.afterTlsFailure === "clear",
      sts(resolver) {
        if (!delivery.mtaSts) return null;
        policies = findStsPolicies({
          config,
          refresh: false,
          file: trust?.file ?? null,
          resolver,
          ca: () => trusted,
          stsFetch: createStsFetch,
          clock: systemClock,
          log: silentLog,
        });
        return policies;
      },
      retry: retryRule(config),
      exceptions: retryExceptions(config),
      lineOf: (kind, name) => lineOf(config, kind, name),
      folderProblem,
    });
  } finally {
    closePolicies(policies);
  }
}

function closePolicies(policies: KeptStsPolicies | null): void {
  policies?.close();
}

function lineOf(config: Config, kind: "domain" | "route", name: string): number | null {
  const at =
    kind === "domain"
      ? config.domains.findIndex((domain) => domain.name === name)
      : config.routes.findIndex(({ match }) => match === name);
  return at === -1 ? null : configLine(config, [kind, at]);
}

/** Folders are made when the first mail comes; what is there of the way must be a folder that this user may write. */
function folderProblem(path: string): string | null {
  let existing = path;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    if (!statSync(existing).isDirectory()) return `${existing} is not a folder`;
    accessSync(existing, constants.W_OK | constants.X_OK);
    return null;
  } catch (cause) {
    return `${existing} cannot be written: ${messageOf(cause)}`;
  }
}
