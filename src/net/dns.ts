import { randomInt } from "node:crypto";
import { getServers } from "node:dns";
import { isIP } from "node:net";
import { type Clock, DAY, type Duration, err, HOUR, ok, type Result, SECOND } from "../base/index.ts";
import { systemClock } from "./clock.ts";
import { DnsCache } from "./dns-cache.ts";
import {
  answers,
  type DataReader,
  type DnsMessage,
  type DnsQuery,
  type DnsRecord,
  formatQuery,
  isOfType,
  type RecordType,
  rcodes,
  readAddress,
  readMx,
  readNameData,
  readNegativeTtl,
  readSrv,
  readTlsa,
  readTxt,
} from "./dns-message.ts";
import { exchangeTcp, exchangeUdp } from "./dns-transport.ts";
import { reverseName } from "./ip-address.ts";
import type { DnsAnswer, Resolver } from "./resolver.ts";
import type { Endpoint } from "./stream.ts";

export interface ResolverOptions {
  /** Recursive servers as `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`, in order; default: the system's. */
  readonly servers?: readonly string[];
  /** True: the path to the servers is trusted, so their AD bit counts (RFC 4035 §4.9.3). Default false. */
  readonly trustAd?: boolean;
  /** For one try at one server, milliseconds (default 3000). */
  readonly timeout?: Duration;
  /** Rounds over all servers (default 2). */
  readonly attempts?: number;
  /** The most answers remembered for each record type (default 10,000). */
  readonly cacheSize?: number;
  readonly clock?: Clock;
}

const DEFAULT_TIMEOUT = 3 * SECOND;
const DEFAULT_ATTEMPTS = 2;
const DEFAULT_CACHE_SIZE = 10_000;
const DNS_PORT = 53;
const SHORTEST_LIFETIME = 5 * SECOND;
const LONGEST_LIFETIME = DAY;
/** RFC 2308 §5 finds one to three hours to work well. */
const LONGEST_NEGATIVE_LIFETIME = HOUR;
/** Where a denial brings no SOA. */
const UNTOLD_NEGATIVE_LIFETIME = 5 * SECOND;
/** RFC 9520 §3.2: a failure must be remembered for at least a second. */
const FAILURE_LIFETIME = SECOND;
const MAX_ALIASES = 10;

type Failed = Extract<DnsAnswer<never>, { kind: "failed" }>;

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

/** Asks for a name and, where it is an alias, for what it stands for. */
async function follow<T>(
  upstream: Upstream,
  name: string,
  type: RecordType,
  read: DataReader<T>,
): Promise<{ answer: DnsAnswer<T>; lifetime: Duration }> {
  let owner = name;
  let secure = true;
  let ttl = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= MAX_ALIASES; ) {
    const asked = await upstream.ask(owner, type);
    if (!asked.ok) {
      if (asked.error === "impossibleName") return negative("noName", false, null);
      return { answer: asked.error, lifetime: FAILURE_LIFETIME };
    }
    const { message } = asked.value;
    secure &&= asked.value.secure;
    const before = owner;
    for (;;) {
      const records = message.answers.filter((record) => record.name === owner && isOfType(record, type));
      if (records.length > 0) return found(message, records, read, { name: owner, secure, ttl });
      const alias = message.answers.find((record) => record.name === owner && isOfType(record, "CNAME"));
      if (alias === undefined) break;
      const target = readNameData(message, alias);
      if (target === null) return malformed(`the CNAME of ${owner}`);
      aliases += 1;
      if (aliases > MAX_ALIASES) break;
      owner = target;
      ttl = Math.min(ttl, alias.ttl);
    }
    if (aliases > MAX_ALIASES) break;
    // RFC 2308 §2.1: the code is that of the last name of the chain.
    if (message.rcode === rcodes.noName) return negative("noName", secure, message);
    const denied = message.authorities.some((record) => isOfType(record, "SOA"));
    if (owner === before || denied) return negative("noData", secure, message);
  }
  return malformed(`a chain of more than ${MAX_ALIASES} aliases for ${name}`);
}

function found<T>(
  message: DnsMessage,
  records: readonly DnsRecord[],
  read: DataReader<T>,
  { name, secure, ttl: chainTtl }: { name: string; secure: boolean; ttl: number },
): { answer: DnsAnswer<T>; lifetime: Duration } {
  const values: T[] = [];
  let ttl = chainTtl;
  for (const record of records) {
    const value = read(message, record);
    // One that cannot be read may be the one that mattered: a set with a hole proves nothing.
    if (value === null) return malformed(`the data of ${name}`);
    values.push(value);
    ttl = Math.min(ttl, record.ttl);
  }
  return { answer: { kind: "found", records: values, name, secure, ttl }, lifetime: lifetimeOf(ttl, LONGEST_LIFETIME) };
}

function negative(
  kind: "noName" | "noData",
  secure: boolean,
  message: DnsMessage | null,
): { answer: DnsAnswer<never>; lifetime: Duration } {
  const soa = message?.authorities.find((record) => isOfType(record, "SOA"));
  const ttl = message === null || soa === undefined ? null : readNegativeTtl(message, soa);
  const lifetime = ttl === null ? UNTOLD_NEGATIVE_LIFETIME : lifetimeOf(ttl, LONGEST_NEGATIVE_LIFETIME);
  return { answer: { kind, secure }, lifetime };
}

function lifetimeOf(ttl: number, longest: Duration): Duration {
  return Math.min(Math.max(ttl * SECOND, SHORTEST_LIFETIME), longest);
}

function malformed(what: string): { answer: Failed; lifetime: Duration } {
  return {
    answer: { kind: "failed", reason: "malformed", detail: `the answer is malformed: ${what}` },
    lifetime: FAILURE_LIFETIME,
  };
}

/** The recursive servers: asks one after the other until one knows. */
class Upstream {
  readonly #servers: readonly Endpoint[];
  readonly #trustAd: boolean;
  readonly #timeout: Duration;
  readonly #attempts: number;

  constructor(options: ResolverOptions) {
    this.#servers = (options.servers ?? getServers()).map(serverEndpoint);
    this.#trustAd = options.trustAd ?? false;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#attempts = options.attempts ?? DEFAULT_ATTEMPTS;
  }

  /** A message whose code is NOERROR or NXDOMAIN. */
  async ask(
    name: string,
    type: RecordType,
  ): Promise<Result<{ message: DnsMessage; secure: boolean }, Failed | "impossibleName">> {
    let failure: Failed = { kind: "failed", reason: "unreachable", detail: "there is no DNS server to ask" };
    let servers = this.#servers;
    for (let round = 0; round < this.#attempts && servers.length > 0; round++) {
      // One that has answered, however badly, would only say it again; one that was silent may have lost the datagram.
      const silent: Endpoint[] = [];
      for (const server of servers) {
        const asked = await this.#askServer(server, name, type);
        if (asked === null) return err("impossibleName");
        if (asked.ok) {
          const message = asked.value;
          return ok({ message, secure: this.#trustAd && message.authenticData });
        }
        failure = asked.error;
        if (failure.reason === "timeout") silent.push(server);
      }
      servers = silent;
    }
    return err(failure);
  }

  async #askServer(server: Endpoint, name: string, type: RecordType): Promise<Result<DnsMessage, Failed> | null> {
    let edns = true;
    for (;;) {
      const query: DnsQuery = { id: randomInt(0x1_0000), name, type, edns };
      const bytes = formatQuery(query);
      if (bytes === null) return null;
      const exchange = {
        server,
        query: bytes,
        timeout: this.#timeout,
        accept: (message: DnsMessage) => answers(message, query),
      };
      let asked = await exchangeUdp(exchange);
      if (asked.ok && asked.value.truncated) asked = await exchangeTcp(exchange);
      if (!asked.ok) return err({ kind: "failed", ...asked.error });
      const { rcode } = asked.value;
      if (rcode === rcodes.noError || rcode === rcodes.noName) return asked;
      if (edns && (rcode === rcodes.formatError || rcode === rcodes.notImplemented)) {
        edns = false;
        continue;
      }
      const reason = rcode === rcodes.refused ? "refused" : "servfail";
      const detail = `the server at ${server.address} port ${server.port} answered with code ${rcode} for ${name}`;
      return err({ kind: "failed", reason, detail });
    }
  }
}

function serverEndpoint(text: string): Endpoint {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = digits === undefined ? DNS_PORT : Number(digits);
  if (isIP(address) === 0 || port < 1 || port > 0xffff) throw new TypeError(`not the address of a DNS server: ${text}`);
  return { address, port };
}
