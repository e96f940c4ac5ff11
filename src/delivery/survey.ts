import { isIP } from "node:net";
import type { Random } from "../base/index.ts";
import { type DaneFinding, findDane, type HostMemory, type StsFinding, type StsPolicies } from "../trust/index.ts";
import { type HostLookup, type HostLookupContext, lookUpExchangers, lookUpHost, type MailHost } from "./mx.ts";
import { type Plan, planAttempts } from "./plan.ts";
import { isLiteral, leastDemand, type Route } from "./route.ts";
import type { RouteDemand, TlsQuestion } from "./tls-policy.ts";

/** Where mail is to be handed over, and what the configuration demands there. */
export interface NextHop {
  /** The recipients' domain, whose exchangers are asked for; null for a host that the configuration names. */
  readonly domain: string | null;
  /** The host to be looked up; of a domain its name. */
  readonly host: string;
  readonly port: number;
  readonly protocol: "smtp" | "lmtp";
  /** TLS from the first octet. */
  readonly implicit: boolean;
  readonly demand: RouteDemand;
  /** False for the last step into our own mailboxes, which is no matter of other mail systems. */
  readonly remembered: boolean;
}

/** What the message says of TLS. */
export type TlsWish = Pick<TlsQuestion, "requireTls" | "tlsOptional">;

/** Who is asked. */
export interface SurveyContext extends Omit<HostLookupContext, "port"> {
  readonly random: Random;
  /** Ask for TLSA records where they would count; for a route that demands DANE they are asked for in any case. */
  readonly dane: boolean;
  /** Null: no policies. */
  readonly sts: StsPolicies | null;
  /** Null: nothing is remembered. */
  readonly memory: HostMemory | null;
}

/** All that was found out for one next hop, and what follows from it. Nothing has been connected to. */
export interface Survey {
  readonly lookup: HostLookup;
  readonly sts: StsFinding;
  /** One for each host of the lookup, in order. */
  readonly dane: readonly DaneFinding[];
  /** Empty where the lookup gave no hosts. */
  readonly plan: Plan;
}

/** The next hop of a route, null where no host is asked. `port` is the one at MX hosts. */
export function nextHopOf(route: Route, port: number): NextHop | null {
  switch (route.kind) {
    case "mx": {
      const { domain, demand } = route;
      return { domain, host: domain, port, protocol: "smtp", implicit: false, demand, remembered: true };
    }
    case "relay": {
      const { via, demand } = route;
      const protocol = via.kind === "lmtp" ? "lmtp" : "smtp";
      const implicit = via.kind === "smtps";
      return { domain: null, host: via.host, port: via.port, protocol, implicit, demand, remembered: true };
    }
    case "local": {
      if (route.deliver.kind !== "lmtp") return null;
      const { host, port: lmtpPort } = route.deliver;
      const demand = leastDemand(`local domain ${route.domain}`);
      return { domain: null, host, port: lmtpPort, protocol: "lmtp", implicit: false, demand, remembered: false };
    }
    default:
      return null;
  }
}

/** Looks up the hosts, what their domain publishes and what they proved before, and plans by it. */
export async function survey(hop: NextHop, wish: TlsWish, context: SurveyContext): Promise<Survey> {
  const { domain, host, port, demand } = hop;
  // Asked for side by side with the hosts, and not waited for where those come to nothing.
  const policy = publishedPolicy(hop, context);
  const lookup = await (domain === null
    ? lookUpHost(host, { ...context, port })
    : lookUpExchangers(domain, { ...context, port }));
  if (lookup.kind !== "hosts") return { lookup, sts: NOT_ASKED, dane: [], plan: { attempts: [], ruledOut: [] } };
  const { hosts } = lookup;
  const sts = policy === null ? NOT_ASKED : await policy;
  const dane = asksDane(hop, wish, lookup.secure, context)
    ? await Promise.all(hosts.map((one) => daneOf(one, hop, context)))
    : hosts.map(() => (lookup.secure ? NO_DANE : UNSIGNED));
  const memory = hop.remembered && demand.level !== "off" && !wish.tlsOptional ? context.memory : null;
  const name = policyDomain(hop);
  const plan = planAttempts({
    hosts: hosts.map((one, i) => ({
      ...one,
      dane: dane[i] ?? NO_DANE,
      remembered: memory?.recall(name, one.name.toLowerCase()) ?? null,
    })),
    route: demand,
    reported: domain !== null && !isLiteral(domain),
    domain: hop.remembered ? name : null,
    port,
    protocol: hop.protocol,
    implicit: hop.implicit,
    secureName: lookup.secure,
    sts,
    ...wish,
  });
  return { lookup, sts, dane, plan };
}

const NOT_ASKED: StsFinding = { kind: "none", reason: "no policy counts here", failure: null };
const NO_DANE: DaneFinding = { kind: "none", reason: "TLSA records are not asked for here" };
const UNSIGNED: DaneFinding = { kind: "none", reason: "the MX answer is not validated by DNSSEC" };

/** What a host is remembered under: the recipients' domain, or the configured next hop itself. */
function policyDomain({ domain, host, port }: NextHop): string {
  return domain ?? `${host.toLowerCase()}:${port}`;
}

/** A policy speaks for the exchangers of a domain (RFC 8461 §4); `off` wants none. */
function publishedPolicy({ domain, demand }: NextHop, { sts }: SurveyContext): Promise<StsFinding> | null {
  if (domain === null || isLiteral(domain) || sts === null || demand.level === "off") return null;
  return sts.find(domain);
}

/**
 * RFC 7672 §2.2.1: for exchangers that a validated MX named. At a configured host (§2.2.2) only where its records are the proof that is
 * wanted, since each lookup that can fail is one more way for mail to wait.
 */
function asksDane({ domain, demand }: NextHop, wish: TlsWish, secure: boolean, { dane }: SurveyContext): boolean {
  if (!secure || demand.level === "off") return false;
  if (demand.level === "dane") return true;
  return dane && (domain !== null || demand.level === "verified" || wish.requireTls);
}

function daneOf(host: MailHost, { domain, port }: NextHop, { resolver }: SurveyContext): Promise<DaneFinding> {
  if (isLiteral(host.name) || isIP(host.name) !== 0) {
    return Promise.resolve({ kind: "none", reason: `${host.name} is an address, for which no TLSA record speaks` });
  }
  return findDane({ resolver, host, nextHop: domain, port });
}
