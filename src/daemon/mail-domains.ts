// What the MSA asks of the domains of senders and recipients, answered by the rules of delivery.
import type { Random } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import { type HostLookup, lookUpExchangers, RouteTable, selfTest } from "../delivery/index.ts";
import type { DomainVerdict, MailDomains } from "../intake/index.ts";
import type { Resolver } from "../net/index.ts";

/**
 * Whether mail for a mailbox would get away from here. Asks DNS only for domains whose mail goes by MX: what a route sends to a named
 * host is that host's to judge.
 */
export function createMailDomains(
  config: Pick<Config, "hostname" | "domains" | "routes" | "delivery" | "listeners">,
  { resolver, random }: { readonly resolver: Resolver; readonly random: Random },
): MailDomains {
  const table = new RouteTable(
    config.domains,
    config.routes.map(({ match, via }) => ({ match, via })),
  );
  const lookup = {
    resolver,
    random,
    hostname: config.hostname,
    port: config.delivery.port,
    isSelf: selfTest(config.listeners.map(({ address }) => address)),
  };
  return {
    check(mailbox) {
      const route = table.route(mailbox);
      if (route.kind === "none") return "noDomain";
      return route.kind === "mx" ? lookUpExchangers(route.domain, lookup).then(verdictOf) : "reachable";
    },
  };
}

/** By the status that a delivery would end with. */
const VERDICTS: ReadonlyMap<string, DomainVerdict> = new Map([
  ["5.1.10", "nullMx"],
  ["5.1.2", "noDomain"],
  ["5.4.4", "noHost"],
  ["5.4.6", "loop"],
]);

function verdictOf(found: HostLookup): DomainVerdict {
  if (found.kind === "hosts") return "reachable";
  if (found.kind === "deferred") return "unknown";
  return VERDICTS.get(found.problem.status) ?? "unknown";
}
