import { isIP } from "node:net";
import type { KeyPair } from "../net/index.ts";
import type { RouteOverride } from "../queue/index.ts";
import { type AddressLiteral, type Domain, isAddressLiteral, type Mailbox } from "../smtp/index.ts";
import { asciiDomain } from "./ascii-domain.ts";
import { hasMailbox } from "./local/recipients.ts";
import type { RouteDemand } from "./tls-policy.ts";
import type { TlsVersion } from "./tls-requirement.ts";

export { asciiDomain };

/** What a connection must prove at least, named by the proof: the levels of a route. */
export type TlsLevel = "off" | "opportunistic" | "encrypted" | "verified" | "dane";

/** Where a route sends mail. `host` is a name or an IP address without brackets; a name is looked up, never its MX. */
export type Via =
  | { readonly kind: "mx" }
  | { readonly kind: "smtp" | "smtps" | "lmtp"; readonly host: string; readonly port: number };

/** What happens with mail of a domain that ends here. `path` may hold `{user}` and `{domain}`. */
export type LocalDelivery =
  | { readonly kind: "maildir"; readonly path: string }
  | { readonly kind: "lmtp"; readonly host: string; readonly port: number }
  | { readonly kind: "discard" };

/** A domain whose mail ends here. It wins over every route. */
export interface LocalDomain {
  readonly name: string;
  readonly deliver: LocalDelivery;
  /** Local parts that have a mailbox, `*` for every one; default `*`. The postmaster has one in any case (RFC 5321 §4.5.1). */
  readonly recipients?: readonly string[];
}

/** One line of the table of routes, read in order; the first match wins. */
export interface RouteRule {
  /** `*` everything, `example.org` that domain alone, `.example.org` its sub-domains alone. */
  readonly match: string;
  readonly via: Via;
  /** Default opportunistic. */
  readonly tls?: TlsLevel;
  /** Authorities in PEM, in place of those trusted by default. None: those. */
  readonly ca?: readonly string[];
  /** Keys that are as good as a proven name: SHA-256 of the SPKI, hex in lower case. */
  readonly pins?: readonly string[];
  /** Default TLS 1.2. */
  readonly minVersion?: TlsVersion;
  /** Shown to hosts that ask for one. */
  readonly clientCertificate?: KeyPair;
}

/** Where mail for one mailbox goes, and by which line of the configuration. */
export type Route =
  | { readonly kind: "local"; readonly domain: string; readonly deliver: LocalDelivery; readonly key: string }
  | { readonly kind: "mx"; readonly domain: string; readonly demand: RouteDemand; readonly key: string }
  | {
      readonly kind: "relay";
      readonly via: Exclude<Via, { readonly kind: "mx" }>;
      readonly demand: RouteDemand;
      readonly key: string;
    }
  /** The domain is ours and has no such mailbox. */
  | { readonly kind: "unknown"; readonly domain: string; readonly key: string }
  /** The domain has no form that DNS knows. */
  | { readonly kind: "none"; readonly domain: string; readonly key: string };

/** Routes mailboxes by the configured domains and rules. Pure; made once for a configuration. */
export class RouteTable {
  readonly #domains = new Map<string, LocalDomain>();
  readonly #rules: readonly {
    readonly match: string;
    readonly via: Via;
    readonly demand: RouteDemand;
    readonly key: string;
  }[];

  constructor(domains: readonly LocalDomain[], rules: readonly RouteRule[]) {
    for (const domain of domains) {
      this.#domains.set(asciiDomain(domain.name) ?? domain.name, domain);
    }
    this.#rules = rules.map((rule) => ({
      match: asciiMatch(rule.match),
      via: rule.via,
      demand: demandOf(rule),
      key: relayKey(rule),
    }));
  }

  /** `override`: the recipient's own next hop, chosen by an operator; it wins over all that is configured. */
  route(mailbox: Mailbox, override?: RouteOverride): Route {
    if (override !== undefined) return overriding(override);
    const domain = asciiDomain(mailbox.domain);
    if (domain === null) return { kind: "none", domain: mailbox.domain, key: mailbox.domain };
    const local = this.#domains.get(domain);
    if (local !== undefined) return localRoute(local, domain, mailbox);
    const rule = this.#rules.find(({ match }) => matches(match, domain));
    if (rule === undefined) return { kind: "mx", domain, demand: NO_ROUTE, key: domain };
    const { via, demand, key } = rule;
    return via.kind === "mx" ? { kind: "mx", domain, demand, key: domain } : { kind: "relay", via, demand, key };
  }
}

function overriding({ kind, host, port, tls }: RouteOverride): Route {
  const demand = { ...leastDemand("rerouted by the operator"), level: tls };
  const key = `${kind}://${authority(host, port)}`;
  return { kind: "relay", via: { kind, host, port }, demand, key: tls === "opportunistic" ? key : `${key}#${tls}` };
}

const NO_ROUTE: RouteDemand = leastDemand("no route matches");

/** What is demanded where the configuration says nothing of it: opportunistic, TLS 1.2. */
export function leastDemand(reason: string): RouteDemand {
  return { level: "opportunistic", reason, ca: null, pins: [], minVersion: "TLSv1.2", clientCertificate: null };
}

/** Made once for a rule, so that what it holds is one object for all its mail. */
function demandOf({ match, tls, ca, pins, minVersion, clientCertificate }: RouteRule): RouteDemand {
  return {
    level: tls ?? "opportunistic",
    reason: `route "${match}"`,
    ca: ca === undefined || ca.length === 0 ? null : ca,
    pins: pins ?? [],
    minVersion: minVersion ?? "TLSv1.2",
    clientCertificate: clientCertificate ?? null,
  };
}

/** Two routes over one smarthost that demand different proofs must not share a job. */
function relayKey(rule: RouteRule): string {
  const { via, match } = rule;
  if (via.kind === "mx") return "";
  const { level, ca, pins, minVersion, clientCertificate } = demandOf(rule);
  const key = `${via.kind}://${authority(via.host, via.port)}`;
  const plain = ca === null && pins.length === 0 && minVersion === "TLSv1.2" && clientCertificate === null;
  if (!plain) return `${key}#${level} ${match}`;
  return level === "opportunistic" ? key : `${key}#${level}`;
}

function localRoute(local: LocalDomain, domain: string, mailbox: Mailbox): Route {
  const { deliver } = local;
  if (!hasMailbox(local, mailbox)) return { kind: "unknown", domain, key: `unknown:${domain}` };
  return { kind: "local", domain, deliver, key: localKey(domain, deliver) };
}

function localKey(domain: string, deliver: LocalDelivery): string {
  if (deliver.kind === "lmtp") return `local:lmtp://${authority(deliver.host, deliver.port)}`;
  return `local:${deliver.kind}:${domain}`;
}

function authority(host: string, port: number): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host.toLowerCase()}:${port}`;
}

function asciiMatch(match: string): string {
  if (match === "*") return match;
  const subDomains = match.startsWith(".");
  const name = subDomains ? match.slice(1) : match;
  const ascii = asciiDomain(name) ?? name;
  return subDomains ? `.${ascii}` : ascii;
}

function matches(match: string, domain: string): boolean {
  if (match === "*") return true;
  if (match.startsWith(".")) return domain.length > match.length && domain.endsWith(match);
  return match === domain;
}

/** The IP literal of a route's domain, for which no MX is asked (RFC 5321 §5.1 deals in names only). */
export function isLiteral(domain: string): domain is AddressLiteral {
  // A route's domain comes from a Mailbox, so that it is one of the two.
  return isAddressLiteral(domain as Domain | AddressLiteral);
}

/** Whether a mailbox of these domains exists. One of any other domain is not for this server to deny. */
export function recipientTest(domains: readonly LocalDomain[]): (mailbox: Mailbox) => boolean {
  const table = new RouteTable(domains, []);
  return (mailbox) => table.route(mailbox).kind !== "unknown";
}
