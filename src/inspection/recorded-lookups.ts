import { formatTlsa } from "../delivery/index.ts";
import type { DnsAnswer, Resolver } from "../net/index.ts";
import { formatSrv } from "./records.ts";

/** One DNS lookup and its answer, in the order of asking. */
export interface LookupReport {
  /** `MX`, `A`, `TLSA`. */
  readonly type: string;
  readonly name: string;
  readonly answer: DnsAnswer<never>["kind"];
  /** Validated by DNSSEC, as far as the resolver is trusted; null where the lookup failed. */
  readonly secure: boolean | null;
  /** As a zone file has them. */
  readonly records: readonly string[];
  /** Where the answer was found, where that is another name. */
  readonly canonical: string | null;
  /** Why it failed, null where it did not. */
  readonly detail: string | null;
}

/** A resolver that keeps what it was asked and told. Each question is listed once. */
export interface RecordedResolver extends Resolver {
  readonly lookups: readonly LookupReport[];
}

export function recordLookups(resolver: Resolver): RecordedResolver {
  const lookups = new Map<string, LookupReport | null>();
  const ask = async <T>(
    type: string,
    name: string,
    lookup: () => Promise<DnsAnswer<T>>,
    format: (record: T) => string,
  ): Promise<DnsAnswer<T>> => {
    const key = `${type} ${name.toLowerCase()}`;
    if (!lookups.has(key)) lookups.set(key, null);
    const answer = await lookup();
    lookups.set(key, report(type, name, answer, format));
    return answer;
  };
  const itself = (text: string): string => text;
  return {
    get lookups() {
      return [...lookups.values()].filter((lookup) => lookup !== null);
    },
    mx: (name) =>
      ask(
        "MX",
        name,
        () => resolver.mx(name),
        (one) => `${one.preference} ${one.exchange}.`,
      ),
    addresses: (name, family) => ask(family === 4 ? "A" : "AAAA", name, () => resolver.addresses(name, family), itself),
    txt: (name) =>
      ask(
        "TXT",
        name,
        () => resolver.txt(name),
        (one) => `"${one}"`,
      ),
    reverse: (address) => ask("PTR", address, () => resolver.reverse(address), itself),
    tlsa: (name) => ask("TLSA", name, () => resolver.tlsa(name), formatTlsa),
    cname: (name) => ask("CNAME", name, () => resolver.cname(name), itself),
    srv: (name) => ask("SRV", name, () => resolver.srv(name), formatSrv),
  };
}

function report<T>(type: string, name: string, answer: DnsAnswer<T>, format: (record: T) => string): LookupReport {
  const { kind } = answer;
  const found = kind === "found" ? answer : null;
  return {
    type,
    name,
    answer: kind,
    secure: kind === "failed" ? null : answer.secure,
    records: found?.records.map(format) ?? [],
    canonical: found === null || found.name === name.toLowerCase() ? null : found.name,
    detail: kind === "failed" ? answer.detail : null,
  };
}
