import { isIP } from "node:net";
import { type Random, shuffle } from "../base/index.ts";
import type { DnsAnswer, MxRecord, Resolver } from "../net/index.ts";
import type { DeliveryProblem } from "../queue/index.ts";
import { literalAddress } from "../smtp/index.ts";
import { isLiteral } from "./route.ts";

/** Mail exchangers looked at for one domain; the rest is passed over (a hostile zone may list hundreds). */
export const MAX_HOSTS = 10;
/** IP addresses of one host that are tried. */
const MAX_ADDRESSES = 8;

/** A host that takes mail, with where it can be reached: IPv6 and IPv4 in turn, at least one address. */
export interface MailHost {
  /** As routed, or as MX names it. */
  readonly name: string;
  /** Where its addresses were found, after CNAMEs; else its name (RFC 7672 §2.2.2). */
  readonly canonical: string;
  readonly addresses: readonly string[];
  /** Its addresses, of each family that has any, are validated by DNSSEC. */
  readonly secure: boolean;
}

/** What DNS says of where mail goes, best host first. */
export type HostLookup =
  | {
      readonly kind: "hosts";
      readonly hosts: readonly MailHost[];
      /** Hosts of which nothing is known just now: no one may conclude that all hosts refused. */
      readonly unresolved: readonly string[];
      /** True when the way from the domain to the names is validated by DNSSEC, or configured. */
      readonly secure: boolean;
    }
  | { readonly kind: "deferred" | "failed"; readonly problem: DeliveryProblem };

export interface HostLookupContext {
  readonly resolver: Resolver;
  readonly random: Random;
  /** Our own name: an exchanger so named is this host. */
  readonly hostname: string;
  /** The port that will be connected to. */
  readonly port: number;
  /** Is this address and port one that we listen on? */
  isSelf(address: string, port: number): boolean;
}

interface Found {
  readonly canonical: string;
  readonly addresses: readonly string[];
  /** What DNS said where a lookup failed, null where none did. */
  readonly failure: string | null;
  readonly secure: boolean;
}

/**
 * Finds the hosts for a domain (A-labels, or an address literal): RFC 5321 §5.1, null MX RFC 7505. A failed MX lookup defers and
 * never falls back to an address, for it says nothing of whether there is an MX.
 */
export async function lookUpExchangers(domain: string, context: HostLookupContext): Promise<HostLookup> {
  if (isLiteral(domain)) return literalHost(domain, context);
  const answer = await context.resolver.mx(domain);
  switch (answer.kind) {
    case "failed":
      return problem("deferred", "4.4.3", `the MX lookup for ${domain} failed: ${answer.reason}`);
    case "noName":
      return problem("failed", "5.1.2", `the domain ${domain} does not exist`);
    case "noData":
      return await implicitExchanger(domain, answer.secure, context);
    case "found":
      return await exchangers(domain, answer.records, answer.secure, context);
  }
}

/** Finds the addresses of a host that a route names: no MX is asked. */
export async function lookUpHost(host: string, context: HostLookupContext): Promise<HostLookup> {
  const found = isIP(host) === 0 ? await addressesOf(host, context) : known(host, host);
  if (found.addresses.length === 0) {
    // A configured host without an address is the operator's to repair, so that mail waits for it.
    if (found.failure !== null) {
      return problem(
        "deferred",
        "4.4.3",
        `the address lookup for the configured host ${host} failed: ${found.failure}`,
      );
    }
    return problem("deferred", "4.4.4", `the configured host ${host} has no address record in DNS`);
  }
  if (found.addresses.some((address) => context.isSelf(address, context.port))) {
    return problem("deferred", "4.3.5", `the configured host ${host} port ${context.port} is this server itself`);
  }
  return { kind: "hosts", hosts: [hostOf(host, found)], unresolved: [], secure: true };
}

/** An address needs no name: no TLSA record can speak for it (RFC 7672 §2.2). */
function known(name: string, address: string): Found {
  return { canonical: name, addresses: [address], failure: null, secure: false };
}

function hostOf(name: string, { canonical, addresses, secure }: Found): MailHost {
  return { name, canonical, addresses, secure };
}

function literalHost(domain: string, context: HostLookupContext): HostLookup {
  const address = isLiteral(domain) ? literalAddress(domain) : null;
  if (address === null) return problem("failed", "5.1.2", `${domain} names no IP address`);
  if (context.isSelf(address, context.port)) return loop(domain);
  return { kind: "hosts", hosts: [hostOf(domain, known(domain, address))], unresolved: [], secure: true };
}

/** RFC 5321 §5.1: no MX at all, so the domain is its own exchanger with preference 0. */
async function implicitExchanger(domain: string, secure: boolean, context: HostLookupContext): Promise<HostLookup> {
  if (domain === context.hostname.toLowerCase()) return loop(domain);
  const found = await addressesOf(domain, context);
  if (found.addresses.length === 0) {
    if (found.failure !== null) {
      return problem("deferred", "4.4.3", `the address lookup for ${domain} failed: ${found.failure}`);
    }
    return problem("failed", "5.4.4", `the domain ${domain} has neither MX nor address records`);
  }
  if (found.addresses.some((address) => context.isSelf(address, context.port))) return loop(domain);
  return { kind: "hosts", hosts: [hostOf(domain, found)], unresolved: [], secure };
}

async function exchangers(
  domain: string,
  records: readonly MxRecord[],
  secure: boolean,
  context: HostLookupContext,
): Promise<HostLookup> {
  // RFC 7505 §3: a null MX counts only where it stands alone; beside others the zone contradicts itself.
  if (records.length === 1 && records[0]?.exchange === "") {
    return problem("failed", "5.1.10", `the domain ${domain} takes no mail (null MX)`);
  }
  const ordered = orderRecords(records, context.random);
  const bounded = ordered.slice(0, MAX_HOSTS);
  const found = await Promise.all(bounded.map(({ exchange }) => addressesOf(exchange, context)));
  const own = ownPreference(ordered, found, context);
  const hosts: MailHost[] = [];
  const unresolved: string[] = [];
  const failures: string[] = [];
  for (const [i, record] of bounded.entries()) {
    const host = found[i];
    // RFC 5321 §5.1: this host's own preference and all worse ones would send the mail in a circle.
    if (host === undefined || record.preference >= own) continue;
    if (host.addresses.length > 0) hosts.push(hostOf(record.exchange, host));
    else if (host.failure !== null) {
      unresolved.push(record.exchange);
      failures.push(`${record.exchange}: ${host.failure}`);
    }
  }
  if (hosts.length > 0) return { kind: "hosts", hosts, unresolved, secure };
  if (unresolved.length > 0) {
    return problem("deferred", "4.4.3", `the address lookup failed for ${failures.join("; ")}`);
  }
  if (own !== Number.POSITIVE_INFINITY) return loop(domain);
  return problem("failed", "5.4.4", `no mail exchanger of ${domain} has an address`);
}

/** By preference, equals in an order drawn anew for each delivery (RFC 5321 §5.1); each name once, at its best. */
export function orderRecords(records: readonly MxRecord[], random: Random): MxRecord[] {
  const named = records.filter(({ exchange }) => exchange !== "");
  const sorted = shuffle(named, random).sort((a, b) => a.preference - b.preference);
  const seen = new Set<string>();
  return sorted.filter(({ exchange }) => {
    const fresh = !seen.has(exchange);
    seen.add(exchange);
    return fresh;
  });
}

/** The best preference under which this very host is listed, by name or by address; infinite where it is not. */
function ownPreference(ordered: readonly MxRecord[], found: readonly Found[], context: HostLookupContext): number {
  const hostname = context.hostname.toLowerCase();
  const own = ordered.find(
    ({ exchange }, i) =>
      exchange === hostname || found[i]?.addresses.some((address) => context.isSelf(address, context.port)) === true,
  );
  return own?.preference ?? Number.POSITIVE_INFINITY;
}

async function addressesOf(name: string, context: HostLookupContext): Promise<Found> {
  const [six, four] = await Promise.all([context.resolver.addresses(name, 6), context.resolver.addresses(name, 4)]);
  const addresses = interleave(
    six.kind === "found" ? shuffle(six.records, context.random) : [],
    four.kind === "found" ? shuffle(four.records, context.random) : [],
  );
  return {
    canonical: canonicalName(name, six, four),
    addresses: addresses.slice(0, MAX_ADDRESSES),
    failure: failureOf(four) ?? failureOf(six),
    secure: isSecure(six, four),
  };
}

/** The name both families were found at; where they disagree, no alias is to be believed. */
function canonicalName(name: string, six: DnsAnswer<string>, four: DnsAnswer<string>): string {
  const found = new Set([six, four].flatMap((answer) => (answer.kind === "found" ? [answer.name] : [])));
  const [only] = found;
  return only === undefined || found.size > 1 ? name : only;
}

/**
 * RFC 7672 §2.2.2 looks at the address records that will be connected to. A family without any, or whose lookup failed, takes nothing
 * away: who breaks or empties one answer must not be able to hide that the zone is signed, and with it the TLSA records.
 */
function isSecure(six: DnsAnswer<string>, four: DnsAnswer<string>): boolean {
  const found = [six, four].filter(({ kind }) => kind === "found");
  return found.length > 0 && found.every((answer) => answer.kind === "found" && answer.secure);
}

function failureOf(answer: DnsAnswer<string>): string | null {
  return answer.kind === "failed" ? answer.reason : null;
}

/** IPv6 and IPv4 in turn, so that a broken family costs one head start and not a timeout each (RFC 8305 §4). */
export function interleave(six: readonly string[], four: readonly string[]): string[] {
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(six.length, four.length); i++) {
    const a = six[i];
    const b = four[i];
    if (a !== undefined) mixed.push(a);
    if (b !== undefined) mixed.push(b);
  }
  return mixed;
}

function loop(domain: string): HostLookup {
  return problem("failed", "5.4.6", `mail for ${domain} would come back to this server, which does not take it`);
}

function problem(kind: "deferred" | "failed", status: string, text: string): HostLookup {
  return { kind, problem: { text, reply: null, status } };
}
