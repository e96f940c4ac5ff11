/** `secure`: DNSSEC-validated by a resolver whose AD bit the operator trusts. */
export type DnsAnswer<T> =
  /** At least one record. `name` is where the answer was found after any CNAMEs. `ttl` in seconds, the least of all. */
  | {
      readonly kind: "found";
      readonly records: readonly T[];
      readonly name: string;
      readonly secure: boolean;
      readonly ttl: number;
    }
  /** The name exists and has no such record. */
  | { readonly kind: "noData"; readonly secure: boolean }
  /** The name does not exist. */
  | { readonly kind: "noName"; readonly secure: boolean }
  /** Nothing is known: try again later. Never to be read as an absence. */
  | {
      readonly kind: "failed";
      readonly reason: "servfail" | "timeout" | "refused" | "malformed" | "unreachable";
      readonly detail: string;
    };

export interface MxRecord {
  readonly preference: number;
  /** Lower case, no trailing dot; `""` is the root, the null MX (RFC 7505). */
  readonly exchange: string;
}

export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matchingType: number;
  readonly data: Uint8Array;
}

/** RFC 2782. */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** Lower case, no trailing dot; `""` is the root: the service is decidedly not offered. */
  readonly target: string;
}

/** DNS as the rest of the house sees it. Names are A-labels without a trailing dot. Never rejects. */
export interface Resolver {
  mx(name: string): Promise<DnsAnswer<MxRecord>>;
  /** IPv4 or IPv6 addresses of a name, CNAMEs followed. */
  addresses(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
  /** Each TXT record with its strings joined. */
  txt(name: string): Promise<DnsAnswer<string>>;
  /** PTR names of an IP address. */
  reverse(address: string): Promise<DnsAnswer<string>>;
  tlsa(name: string): Promise<DnsAnswer<TlsaRecord>>;
  /**
   * What a name is itself an alias for: one step, not followed. Tells whether the alias is signed where what it leads to is not
   * (RFC 7672 §2.1.3). No data where the name is no alias.
   */
  cname(name: string): Promise<DnsAnswer<string>>;
  srv(name: string): Promise<DnsAnswer<SrvRecord>>;
}
