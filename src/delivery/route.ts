import { isIP } from "node:net";
import { type AddressLiteral, type Domain, isAddressLiteral, type Mailbox } from "../smtp/index.ts";
import { asciiDomain } from "./ascii-domain.ts";
import { hasMailbox } from "./local/recipients.ts";

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
}

/** Where mail for one mailbox goes, and by which line of the configuration. */
export type Route =
  | { readonly kind: "local"; readonly domain: string; readonly deliver: LocalDelivery; readonly key: string }
  | {
      readonly kind: "mx";
      readonly domain: string;
      readonly tls: TlsLevel;
      readonly key: string;
      readonly rule: string;
    }
  | {
      readonly kind: "relay";
      readonly via: Exclude<Via, { readonly kind: "mx" }>;
      readonly tls: TlsLevel;
      readonly key: string;
      readonly rule: string;
    }
  /** The domain is ours and has no such mailbox. */
  | { readonly kind: "unknown"; readonly domain: string; readonly key: string }
  /** The domain has no form that DNS knows. */
  | { readonly kind: "none"; readonly domain: string; readonly key: string };

/** Routes mailboxes by the configured domains and rules. Pure; made once for a configuration. */
export class RouteTable {
  readonly #domains = new Map<string, LocalDomain>();
  readonly #rules: readonly { readonly match: string; readonly via: Via; readonly tls: TlsLevel }[];

  constructor(domains: readonly LocalDomain[], rules: readonly RouteRule[]) {
    for (const domain of domains) {
      this.#domains.set(asciiDomain(domain.name) ?? domain.name, domain);
    }
    this.#rules = rules.map((rule) => ({
      match: asciiMatch(rule.match),
      via: rule.via,
      tls: rule.tls ?? "opportunistic",
    }));
  }

  route(mailbox: Mailbox): Route {
    const domain = asciiDomain(mailbox.domain);
    if (domain === null) return { kind: "none", domain: mailbox.domain, key: mailbox.domain };
    const local = this.#domains.get(domain);
    if (local !== undefined) return localRoute(local, domain, mailbox);
    const rule = this.#rules.find(({ match }) => matches(match, domain));
    if (rule === undefined) return viaMx(domain, "opportunistic", "no route matches");
    const reason = `route "${rule.match}"`;
    if (rule.via.kind === "mx") return viaMx(domain, rule.tls, reason);
    const key = `${rule.via.kind}://${authority(rule.via.host, rule.via.port)}`;
    return {
      kind: "relay",
      via: rule.via,
      tls: rule.tls,
      // Two routes over one smarthost that demand different proofs must not share a job.
      key: rule.tls === "opportunistic" ? key : `${key}#${rule.tls}`,
      rule: reason,
    };
  }
}

function localRoute(local: LocalDomain, domain: string, mailbox: Mailbox): Route {
  const { deliver } = local;
  if (!hasMailbox(local, mailbox)) return { kind: "unknown", domain, key: `unknown:${domain}` };
  return { kind: "local", domain, deliver, key: localKey(domain, deliver) };
}

function viaMx(domain: string, tls: TlsLevel, rule: string): Route {
  return { kind: "mx", domain, tls, key: domain, rule };
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
