import { type MxRecord, reverseName, type SrvRecord, type TlsaRecord } from "../net/index.ts";

/** How a lookup fails. */
export type DnsFailure = "servfail" | "timeout" | "refused";

/** What a name has; a type that is left out is "no data", a name that is left out does not exist. */
export interface DnsEntry {
  readonly a?: readonly string[] | DnsFailure;
  readonly aaaa?: readonly string[] | DnsFailure;
  readonly mx?: readonly MxRecord[] | DnsFailure;
  readonly txt?: readonly string[] | DnsFailure;
  readonly tlsa?: readonly TlsaRecord[] | DnsFailure;
  readonly srv?: readonly SrvRecord[] | DnsFailure;
  readonly ptr?: readonly string[] | DnsFailure;
  /** Then the name has nothing else. */
  readonly cname?: string;
  /** True: the name does not exist, as when it is left out; with `secure` that is proven. */
  readonly absent?: boolean;
  /** Signed and validated. */
  readonly secure?: boolean;
  /** Seconds, default 300. */
  readonly ttl?: number;
}

/** DNS as an object: names in lower case, and IP addresses for their `ptr`. */
export type DnsZone = Readonly<Record<string, DnsEntry | DnsFailure>>;

export const DEFAULT_TTL = 300;

/** Names that fake DNS is asked for, with addresses under the names of their PTR records. */
export function zoneEntries(zone: DnsZone): Map<string, DnsEntry | DnsFailure> {
  return new Map(Object.entries(zone).map(([name, entry]) => [zoneName(name), entry]));
}

export function zoneName(name: string): string {
  return reverseName(name) ?? name.toLowerCase().replace(/\.$/, "");
}
