import { type Clock, DAY, HOUR, SECOND } from "../base/index.ts";
import { systemClock } from "./clock.ts";
import { DnsCache, type Remembered } from "./dns-cache.ts";
import {
  type DataReader,
  readAddress,
  readMx,
  readNameData,
  readNegativeTtl,
  readSrv,
  readTlsa,
  readTxt,
} from "./dns-data.ts";
import { type DnsMessage, type DnsRecord, isOfType, type RecordType, rcodes } from "./dns-message.ts";
import { isWithin } from "./dns-name.ts";
import { type LookupFailure, Upstream, type UpstreamOptions } from "./dns-upstream.ts";
import { reverseName } from "./ip-address.ts";
import type { DnsAnswer, Resolver } from "./resolver.ts";

export interface ResolverOptions extends UpstreamOptions {
  /** The most answers remembered for each record type, of 512 octets on average (default 10,000). */
  readonly cacheSize?: number;
  readonly clock?: Clock;
}

const DEFAULT_CACHE_SIZE = 10_000;
const LONGEST_LIFETIME = DAY;
/** RFC 2308 §5 finds one to three hours to work well. */
const LONGEST_NEGATIVE_LIFETIME = HOUR;
/** RFC 9520 §3.2: a failure must be remembered for at least a second. */
const FAILURE_LIFETIME = SECOND;
const MAX_ALIASES = 10;

/**
 * A stub resolver over recursive servers. Node's own hides the AD bit, knows no TLSA and tells a failure and an absence apart by
 * error codes only. The hosts file is not read; `localhost` is answered here (RFC 6761 §6.3). Throws on a server's address that is
 * none.
 */
export function createResolver(options: ResolverOptions = {}): Resolver {
  const upstream = new Upstream(options);
  const clock = options.clock ?? systemClock;
  const capacity = options.cacheSize ?? DEFAULT_CACHE_SIZE;
  const lookup = <T>(type: RecordType, read: DataReader<T>): ((name: string) => Promise<DnsAnswer<T>>) => {
    const cache = new DnsCache<DnsAnswer<T>>(capacity, clock);
    return (text) => {
      const name = text.toLowerCase().replace(/\.$/, "");
      return cache.get(name, () => follow(upstream, name, type, read));
    };
  };
  const a = localAware("127.0.0.1", lookup("A", readAddress));
  const aaaa = localAware("::1", lookup("AAAA", readAddress));
  const ptr = lookup("PTR", readNameData);
  return {
    mx: localAware(null, lookup("MX", readMx)),
    addresses: (name, family) => (family === 4 ? a(name) : aaaa(name)),
    txt: localAware(null, lookup("TXT", readTxt)),
    reverse(address) {
      const name = reverseName(address);
      return name === null ? Promise.resolve({ kind: "noName", secure: false }) : ptr(name);
    },
    tlsa: localAware(null, lookup("TLSA", readTlsa)),
    cname: localAware(null, lookup("CNAME", readNameData)),
    srv: localAware(null, lookup("SRV", readSrv)),
  };
}

/** RFC 6761 §6.3: names under `localhost` never leave the machine. */
function localAware<T>(
  address: T | null,
  lookup: (name: string) => Promise<DnsAnswer<T>>,
): (name: string) => Promise<DnsAnswer<T>> {
  return (name) => {
    if (!/(^|\.)localhost\.?$/i.test(name)) return lookup(name);
    if (address === null) return Promise.resolve({ kind: "noData", secure: false });
    const ttl = LONGEST_LIFETIME / SECOND;
    return Promise.resolve({ kind: "found", records: [address], name: name.toLowerCase(), secure: false, ttl });
  };
}

type Looked<T> = Remembered<DnsAnswer<T>>;

/** What is known of a name after the aliases so far. */
interface Chain {
  readonly owner: string;
  readonly secure: boolean;
  readonly ttl: number;
  readonly aliases: number;
}

/**
 * Asks for a name and, where it is an alias, for what it stands for. Of each message only the records on this way are looked at:
 * what else a server puts into it was not asked for (RFC 5452 §6).
 */
async function follow<T>(upstream: Upstream, name: string, type: RecordType, read: DataReader<T>): Promise<Looked<T>> {
  let chain: Chain = { owner: name, secure: true, ttl: Number.POSITIVE_INFINITY, aliases: 0 };
  for (;;) {
    const asked = await upstream.ask(chain.owner, type);
    if (!asked.ok) {
      if (asked.error !== "impossibleName") return failed(asked.error);
      if (chain.aliases > 0) return malformed(`${name} is an alias for ${chain.owner}, which cannot be asked for`);
      return { answer: { kind: "noName", secure: false }, lifetime: 0, octets: 0 };
    }
    const { message } = asked.value;
    const before = chain.owner;
    const walked = walk(message, type, { ...chain, secure: chain.secure && asked.value.secure });
    if (typeof walked === "string") return malformed(walked);
    chain = walked;
    const records = recordsOf(message, chain.owner, type);
    if (records.length > 0) return found(message, records, read, chain);
    // RFC 2308 §2.1: the code is that of the last name of the chain.
    if (message.rcode === rcodes.noName) return negative("noName", message, chain);
    if (chain.owner === before || denial(message, chain.owner) !== undefined) return negative("noData", message, chain);
  }
}

/** Goes along the aliases that a message holds, as far as they lead; a text says what is wrong with them. */
function walk(message: DnsMessage, type: RecordType, start: Chain): Chain | string {
  let chain = start;
  for (;;) {
    const { owner } = chain;
    if (recordsOf(message, owner, type).length > 0) {
      return message.rcode === rcodes.noName ? `${owner} is denied and has records` : chain;
    }
    const [alias, ...others] = recordsOf(message, owner, "CNAME");
    if (alias === undefined) return chain;
    const target = readNameData(message, alias);
    // RFC 2181 §10.1: an alias stands for one name.
    if (target === null || others.some((other) => readNameData(message, other) !== target))
      return `the CNAME of ${owner}`;
    const aliases = chain.aliases + 1;
    if (aliases > MAX_ALIASES) return `a chain of more than ${MAX_ALIASES} aliases that leads to ${owner}`;
    chain = { ...chain, owner: target, ttl: Math.min(chain.ttl, alias.ttl), aliases };
  }
}

function recordsOf({ answers }: DnsMessage, owner: string, type: RecordType): readonly DnsRecord[] {
  return answers.filter((record) => record.name === owner && isOfType(record, type));
}

function found<T>(
  message: DnsMessage,
  records: readonly DnsRecord[],
  read: DataReader<T>,
  { owner, secure, ttl: chainTtl }: Chain,
): Looked<T> {
  const values: T[] = [];
  let ttl = chainTtl;
  let octets = 0;
  for (const record of records) {
    const value = read(message, record);
    // One that cannot be read may be the one that mattered: a set with a hole proves nothing.
    if (value === null) return malformed(`the data of ${owner}`);
    values.push(value);
    ttl = Math.min(ttl, record.ttl);
    octets += record.end - record.start;
  }
  const lifetime = Math.min(ttl * SECOND, LONGEST_LIFETIME);
  return { answer: { kind: "found", records: values, name: owner, secure, ttl }, lifetime, octets: octets + 1 };
}

/** RFC 2308 §5: an absence is remembered by the SOA that comes with it, and without one it is not. */
function negative(kind: "noName" | "noData", message: DnsMessage, { owner, secure, ttl }: Chain): Looked<never> {
  const soa = denial(message, owner);
  const told = soa === undefined ? null : readNegativeTtl(message, soa);
  const lifetime = told === null ? 0 : Math.min(told * SECOND, ttl * SECOND, LONGEST_NEGATIVE_LIFETIME);
  return { answer: { kind, secure }, lifetime, octets: 1 };
}

/** The SOA that speaks for the absence of a name: of a zone the name is in, and no other. */
function denial({ authorities }: DnsMessage, owner: string): DnsRecord | undefined {
  return authorities.find((record) => isOfType(record, "SOA") && isWithin(owner, record.name));
}

function failed(answer: LookupFailure): Looked<never> {
  return { answer, lifetime: FAILURE_LIFETIME, octets: 1 };
}

function malformed(what: string): Looked<never> {
  return failed({ kind: "failed", reason: "malformed", detail: `the answer is malformed: ${what}` });
}
