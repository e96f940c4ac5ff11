import type { DnsAnswer, MxRecord, Resolver, SrvRecord, TlsaRecord } from "../net/index.ts";
import { DEFAULT_TTL, type DnsEntry, type DnsFailure, type DnsZone, zoneEntries, zoneName } from "./dns-zone.ts";

export interface FakeResolver extends Resolver {
  /** Changes what a name has; null removes it. */
  set(name: string, entry: DnsEntry | DnsFailure | null): void;
  /** What was asked, in order, such as `mx example.test`. */
  readonly asked: readonly string[];
}

const MAX_ALIASES = 10;

/** A resolver that answers from an object. CNAMEs are followed; an answer is secure when each name on the way is. */
export function fakeResolver(zone: DnsZone = {}): FakeResolver {
  const names = zoneEntries(zone);
  const asked: string[] = [];
  const answer = <T>(
    type: string,
    name: string,
    pick: (entry: DnsEntry) => readonly T[] | DnsFailure | undefined,
  ): Promise<DnsAnswer<T>> => {
    asked.push(`${type} ${name}`);
    return Promise.resolve(lookUp(names, zoneName(name), pick));
  };
  return {
    mx: (name) => answer<MxRecord>("mx", name, (entry) => entry.mx),
    addresses: (name, family) =>
      answer<string>(family === 4 ? "a" : "aaaa", name, (entry) => (family === 4 ? entry.a : entry.aaaa)),
    txt: (name) => answer<string>("txt", name, (entry) => entry.txt),
    reverse: (address) => answer<string>("ptr", address, (entry) => entry.ptr),
    tlsa: (name) => answer<TlsaRecord>("tlsa", name, (entry) => entry.tlsa),
    cname: (name) => {
      asked.push(`cname ${name}`);
      return Promise.resolve(aliasOf(names, zoneName(name)));
    },
    srv: (name) => answer<SrvRecord>("srv", name, (entry) => entry.srv),
    set(name, entry) {
      if (entry === null) names.delete(zoneName(name));
      else names.set(zoneName(name), entry);
    },
    asked,
  };
}

function lookUp<T>(
  names: ReadonlyMap<string, DnsEntry | DnsFailure>,
  start: string,
  pick: (entry: DnsEntry) => readonly T[] | DnsFailure | undefined,
): DnsAnswer<T> {
  let name = start;
  let secure = true;
  let ttl = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const entry = names.get(name);
    if (entry === undefined) return { kind: "noName", secure: false };
    if (typeof entry === "string") return failed(entry, name);
    secure &&= entry.secure === true;
    ttl = Math.min(ttl, entry.ttl ?? DEFAULT_TTL);
    if (entry.absent === true) return { kind: "noName", secure };
    if (entry.cname === undefined) {
      const records = pick(entry);
      if (typeof records === "string") return failed(records, name);
      if (records === undefined || records.length === 0) return { kind: "noData", secure };
      return { kind: "found", records, name, secure, ttl };
    }
    name = zoneName(entry.cname);
  }
  return { kind: "failed", reason: "malformed", detail: `too many aliases for ${start}` };
}

function aliasOf(names: ReadonlyMap<string, DnsEntry | DnsFailure>, name: string): DnsAnswer<string> {
  const entry = names.get(name);
  if (entry === undefined) return { kind: "noName", secure: false };
  if (typeof entry === "string") return failed(entry, name);
  const secure = entry.secure === true;
  if (entry.absent === true) return { kind: "noName", secure };
  if (entry.cname === undefined) return { kind: "noData", secure };
  return { kind: "found", records: [zoneName(entry.cname)], name, secure, ttl: entry.ttl ?? DEFAULT_TTL };
}

function failed(reason: DnsFailure, name: string): DnsAnswer<never> {
  return { kind: "failed", reason, detail: `${reason} for ${name}` };
}
