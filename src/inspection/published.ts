import { formatTlsa } from "../delivery/index.ts";
import type { DnsAnswer, Resolver } from "../net/index.ts";
import { formatStsRecord, parseStsRecords } from "../trust/index.ts";
import { formatSrv, type PublicNode, type RecordPurpose, type WantedRecord } from "./records.ts";

/**
 * What is published where a record should be. "unsigned": a TLSA record without DNSSEC, which nobody may use (RFC 7672 §2.2).
 * "failed": the lookup failed, so that nothing is known.
 */
export interface PublishedRecord {
  readonly status: "ok" | "missing" | "different" | "unsigned" | "failed";
  /** False where mail is no less safe for it. */
  readonly failure: boolean;
  /** What is there now, as a zone file has it. */
  readonly found: readonly string[];
  /** What is wrong, or worth knowing, and what to do; null when all is well. */
  readonly detail: string | null;
}

/** What the check of published records needs. */
export interface PublishedContext {
  readonly resolver: Resolver;
  readonly node: PublicNode;
  /** The resolver's DNSSEC verdict is believed (`dns.trust_ad`). */
  readonly trustAd: boolean;
}

type Check = (wanted: WantedRecord, context: PublishedContext) => Promise<PublishedRecord>;

const CHECKS: Record<RecordPurpose, Check> = {
  address: checkAddresses,
  spfHost: (wanted, context) => checkSpf(wanted, context),
  dane: checkTlsa,
  daneNext: checkTlsa,
  mx: checkMx,
  spf: (wanted, context) => checkSpf(wanted, context),
  mtaSts: checkStsRecord,
  mtaStsHost: checkAlias,
  tlsReports: checkTlsReports,
  submission: checkService,
  access: checkService,
  autoconfigHost: checkSettingsHost,
};

/** Compares one record with what is published, through the resolver. Never rejects. */
export function checkRecord(wanted: WantedRecord, context: PublishedContext): Promise<PublishedRecord> {
  return CHECKS[wanted.purpose](wanted, context);
}

async function checkAddresses({ name }: WantedRecord, { resolver }: PublishedContext): Promise<PublishedRecord> {
  const { addresses, failure } = await addressesOf(name, resolver);
  if (addresses.length > 0) return good(addresses);
  if (failure !== null) return unknown(failure);
  return missing("without an address nobody reaches this server");
}

async function checkMx({ name }: WantedRecord, { resolver, node }: PublishedContext): Promise<PublishedRecord> {
  const answer = await resolver.mx(name);
  const found = recordsOf(answer).map(({ preference, exchange }) => `${preference} ${exchange}.`);
  if (answer.kind === "failed") return unknown(answer.detail);
  if (answer.kind !== "found") return missing("other servers do not find where its mail goes");
  const own = answer.records.some(({ exchange }) => exchange === node.hostname);
  return own ? good(found) : different(found, `none of them is ${node.hostname}`);
}

/** Which key is meant does not matter where one that is shown is there: others may be of the key before, or of the next. */
async function checkTlsa({ name, data }: WantedRecord, context: PublishedContext): Promise<PublishedRecord> {
  const answer = await context.resolver.tlsa(name);
  if (answer.kind === "failed")
    return unknown(`${answer.detail}; servers that check DANE send no mail while this lasts`);
  const found = recordsOf(answer).map(formatTlsa);
  if (!answer.secure) return unsigned(found, context.trustAd);
  if (answer.kind !== "found") return missing("nobody can check the key of this server by DANE");
  if (found.includes(data ?? "")) return good(found);
  return different(
    found,
    "add this key before a certificate with it is shown, or servers that check DANE send no mail",
  );
}

function unsigned(found: readonly string[], trustAd: boolean): PublishedRecord {
  const detail = trustAd
    ? "the answer is not signed by DNSSEC, so that nobody may use it: sign the zone first"
    : "whether the answer is signed is not known: set trust_ad in [dns] for a resolver on a trusted path";
  // Where nothing is published nobody is led astray; a record that protects nothing is a mistake.
  return { status: "unsigned", failure: found.length > 0, found, detail };
}

/** Exactly one SPF record, and one that lets this server through. Lists of others (`include`) are not followed. */
async function checkSpf({ name, data }: WantedRecord, context: PublishedContext): Promise<PublishedRecord> {
  const answer = await context.resolver.txt(name);
  if (answer.kind === "failed") return unknown(answer.detail);
  const records = recordsOf(answer).filter((record) => /^v=spf1( |$)/i.test(record));
  const found = records.map(quoted);
  const [record] = records;
  if (record === undefined) return missing("receivers cannot tell this mail from forged mail");
  if (records.length > 1) return different(found, "there must be exactly one SPF record (RFC 7208 §3.2)");
  if (quoted(record) === data) return good(found);
  const { addresses } = await addressesOf(context.node.hostname, context.resolver);
  const terms = record.toLowerCase().split(/ +/).slice(1);
  if (terms.some((term) => namesServer(term, { name, node: context.node, addresses }))) return good(found);
  if (terms.some((term) => /^[+]?(include:|redirect=|exists:|ip[46]:.*\/)/.test(term))) {
    const detail =
      "it leads to other records or networks, which are not followed here: see that this server is among them";
    return { status: "ok", failure: false, found, detail };
  }
  return different(found, `it does not name ${context.node.hostname}`);
}

interface SpfSubject {
  readonly name: string;
  readonly node: PublicNode;
  readonly addresses: readonly string[];
}

/** Whether an SPF mechanism (RFC 7208 §5) lets this server through, by its name or one of its addresses. */
function namesServer(term: string, { name, node, addresses }: SpfSubject): boolean {
  const mechanism = term.replace(/^\+/, "");
  if (mechanism === `a:${node.hostname}` || (mechanism === "a" && name === node.hostname)) return true;
  if (mechanism === "mx" && node.exchanger && node.domains.includes(name)) return true;
  const [, address = ""] = /^ip[46]:(.*)$/.exec(mechanism) ?? [];
  return addresses.includes(address);
}

/** RFC 8461 §3.1: exactly one; its id must be that of the policy, or nobody fetches the new one. */
async function checkStsRecord({ name, data }: WantedRecord, context: PublishedContext): Promise<PublishedRecord> {
  const answer = await context.resolver.txt(name);
  if (answer.kind === "failed") return unknown(answer.detail);
  const found = recordsOf(answer).filter((record) => record.startsWith("v=STSv1"));
  if (found.length === 0) return missing("nobody asks for the MTA-STS policy");
  const id = parseStsRecords(found);
  if (!id.ok) return different(found.map(quoted), id.error);
  if (data === quoted(formatStsRecord(id.value))) return good(found.map(quoted));
  return different(found.map(quoted), "the id is not that of the policy now, so that nobody fetches the new one");
}

/** An alias, or addresses of this server: either leads here. */
async function checkAlias({ name }: WantedRecord, { resolver, node }: PublishedContext): Promise<PublishedRecord> {
  const [there, here] = await Promise.all([addressesOf(name, resolver), addressesOf(node.hostname, resolver)]);
  if (there.addresses.length === 0) {
    return there.failure === null ? missing("nobody can fetch the MTA-STS policy") : unknown(there.failure);
  }
  if (there.addresses.some((address) => here.addresses.includes(address))) return good(there.addresses);
  if (here.failure !== null) return unknown(here.failure);
  return different(there.addresses, `these are no addresses of ${node.hostname}`);
}

/** Mail is no less safe without it: people type more. */
async function checkSettingsHost(wanted: WantedRecord, context: PublishedContext): Promise<PublishedRecord> {
  const found = await checkAlias(wanted, context);
  if (found.status !== "missing") return found;
  return { ...found, failure: false, detail: "mail programs find no settings, so that people must type them" };
}

/** RFC 8460 §3: exactly one, with an address for reports; which one is the operator's choice. */
async function checkTlsReports({ name }: WantedRecord, { resolver }: PublishedContext): Promise<PublishedRecord> {
  const answer = await resolver.txt(name);
  if (answer.kind === "failed") return unknown(answer.detail);
  const records = recordsOf(answer).filter((record) => /^v=TLSRPTv1\s*(;|$)/.test(record));
  const found = records.map(quoted);
  const [record] = records;
  if (record === undefined) return missing("nobody reports TLS failures on the way here");
  if (records.length > 1) return different(found, "there must be exactly one, or none counts (RFC 8460 §3)");
  return /;\s*rua\s*=\s*(mailto|https):/i.test(record) ? good(found) : different(found, "it has no rua=");
}

async function checkService({ name, data }: WantedRecord, { resolver }: PublishedContext): Promise<PublishedRecord> {
  const answer = await resolver.srv(name);
  if (answer.kind === "failed") return unknown(answer.detail);
  if (answer.kind !== "found") return missing("mail programs must be told the server by hand");
  const found = answer.records.map(formatSrv);
  // Order and share are the operator's; the port and the server are not.
  const place = (text: string): string => text.split(" ").slice(2).join(" ");
  return found.some((each) => place(each) === place(data ?? "")) ? good(found) : different(found, "it leads elsewhere");
}

async function addressesOf(
  name: string,
  resolver: Resolver,
): Promise<{ readonly addresses: readonly string[]; readonly failure: string | null }> {
  const answers = await Promise.all([resolver.addresses(name, 4), resolver.addresses(name, 6)]);
  const failed = answers.find((answer) => answer.kind === "failed");
  return { addresses: answers.flatMap(recordsOf), failure: failed?.kind === "failed" ? failed.detail : null };
}

function recordsOf<T>(answer: DnsAnswer<T>): readonly T[] {
  return answer.kind === "found" ? answer.records : [];
}

function quoted(text: string): string {
  return `"${text}"`;
}

function good(found: readonly string[]): PublishedRecord {
  return { status: "ok", failure: false, found, detail: null };
}

function missing(detail: string): PublishedRecord {
  return { status: "missing", failure: true, found: [], detail };
}

function different(found: readonly string[], detail: string): PublishedRecord {
  return { status: "different", failure: true, found, detail };
}

function unknown(detail: string): PublishedRecord {
  return { status: "failed", failure: true, found: [], detail };
}
