import { isIP } from "node:net";
import { type DnsAnswer, type Resolver, type TlsaRecord, usableTlsa } from "../net/index.ts";
import type { DaneFinding } from "./model.ts";

/** A host that mail may go to, as the address lookup left it. */
export interface DaneHost {
  /** As the MX record or the route names it: lower-case A-labels, or an IP address. */
  readonly name: string;
  /** Where its addresses were found: the same, or the name at the end of its CNAMEs. */
  readonly canonical: string;
  /**
   * True where each answer that gave an address was validated by DNSSEC, CNAMEs included. A family whose lookup failed or that has no
   * address must not make it false: whoever can drop the AAAA answer would switch DANE off.
   */
  readonly secure: boolean;
}

interface DaneQuestion {
  readonly resolver: Resolver;
  readonly host: DaneHost;
  /**
   * The domain whose validated MX records (or whose validated lack of them) led to the host. Null for a host that is configured, or that
   * an unvalidated MX named.
   */
  readonly nextHop: string | null;
  /** That will be connected to. */
  readonly port: number;
}

const DANE_TA = 2;

/**
 * Finds what a host's TLSA records demand (RFC 7672 §2.2). The addresses must have been looked up before: hosts in unsigned zones are
 * not asked for TLSA, for many of their name servers answer that query with an error (§2.2.2). Whether a host that was named by an
 * unvalidated MX is looked at is the caller's decision (§2.2.1). Never rejects.
 */
export async function findDane({ resolver, host, nextHop, port }: DaneQuestion): Promise<DaneFinding> {
  if (host.name.startsWith("[") || isIP(host.name) !== 0)
    return none(`${host.name} is an address, which has no TLSA records`);
  const bases = await candidates(resolver, host);
  if ("kind" in bases) return bases;
  const reasons: string[] = [];
  for (const base of bases) {
    const owner = `_${port}._tcp.${base}`;
    const answer = await resolver.tlsa(owner);
    if (answer.kind === "failed") return failed("TLSA", owner, answer);
    // RFC 7672 §2.2.3: the first that has validated records is the base; what is not validated counts as none.
    if (answer.kind === "found" && answer.secure) return await judge(resolver, { owner, base, answer, host, nextHop });
    reasons.push(absence(owner, answer));
  }
  return none(reasons.join("; "));
}

/** The names that TLSA records may stand under, the best first (RFC 7672 §2.2.2, §2.2.3); never one in the middle of a chain. */
async function candidates(resolver: Resolver, { name, canonical, secure }: DaneHost): Promise<string[] | DaneFinding> {
  if (secure) return canonical === name ? [name] : [canonical, name];
  if (canonical === name) return none(`the addresses of ${name} are not validated by DNSSEC`);
  // RFC 7672 §2.1.3: the end of the chain is unsigned. Its first link may be signed all the same, and then the host's own zone can
  // hold TLSA records; one query for the link alone tells.
  const link = await resolver.cname(name);
  if (link.kind === "failed") return failed("CNAME", name, link);
  if (link.kind === "found" && link.secure) return [name];
  return none(`${name} is an alias that is not validated by DNSSEC`);
}

interface Found {
  readonly owner: string;
  readonly base: string;
  readonly answer: Extract<DnsAnswer<TlsaRecord>, { kind: "found" }>;
  readonly host: DaneHost;
  readonly nextHop: string | null;
}

async function judge(resolver: Resolver, { owner, base, answer, host, nextHop }: Found): Promise<DaneFinding> {
  const records = usableTlsa(answer.records);
  if (records.length === 0) {
    const shown = answer.records.map(({ usage, selector, matchingType }) => `${usage} ${selector} ${matchingType}`);
    return {
      kind: "unusable",
      owner,
      base,
      reason: `of no usable kind, or malformed: ${[...new Set(shown)].join(", ")}`,
    };
  }
  const named = records.some(({ usage }) => usage === DANE_TA);
  const names = named ? await references(resolver, base, host, nextHop) : [base];
  return { kind: "records", owner, base, names, records };
}

/**
 * The names a certificate under a trust anchor may bear (RFC 7672 §3.2.2): the base; for a host that MX named the next hop and what
 * that is an alias for; for one that no MX named its name before the aliases.
 */
async function references(
  resolver: Resolver,
  base: string,
  host: DaneHost,
  nextHop: string | null,
): Promise<readonly string[]> {
  if (nextHop === null || nextHop === host.name) return [...new Set([base, host.name])];
  // The answer that led here, in all likelihood remembered. Without it only the third name is lacking.
  const mx = await resolver.mx(nextHop);
  const expanded = mx.kind === "found" && mx.secure ? [mx.name] : [];
  return [...new Set([base, nextHop, ...expanded])];
}

function absence(owner: string, answer: Exclude<DnsAnswer<TlsaRecord>, { kind: "failed" }>): string {
  if (answer.kind === "found") return `the TLSA records of ${owner} are not validated by DNSSEC`;
  return `${owner} has no TLSA records`;
}

function none(reason: string): DaneFinding {
  return { kind: "none", reason };
}

/** RFC 7672 §2.1.2: whoever can make a lookup fail must not be able to switch DANE off by it. */
function failed(type: string, name: string, { detail }: { readonly detail: string }): DaneFinding {
  return { kind: "failed", detail: `the ${type} lookup for ${name} failed: ${detail}` };
}
