import type { SrvRecord } from "../net/index.ts";
import { formatStsRecord } from "../trust/index.ts";

/** What a record is for. A stable word: `postern dns --json` prints it. */
export type RecordPurpose =
  /** The public addresses of this server, which it cannot know itself. */
  | "address"
  | "spfHost"
  | "dane"
  /** Of the key that comes next. */
  | "daneNext"
  | "mx"
  | "spf"
  | "mtaSts"
  | "mtaStsHost"
  | "tlsReports"
  | "submission"
  /** Where people read their mail, as far as it is told to mail programs. */
  | "access"
  | "autoconfigHost";

/** A record that should be published. Names are A-labels without the last dot. */
export interface WantedRecord {
  readonly purpose: RecordPurpose;
  readonly name: string;
  readonly type: "A" | "MX" | "TLSA" | "TXT" | "CNAME" | "SRV";
  /** Seconds. */
  readonly ttl: number;
  /** As a zone file has it, names in it absolute; null where only the operator knows it. */
  readonly data: string | null;
  /** What it does, in a few words. */
  readonly note: string;
}

/** What this node is to others. Names are A-labels in lower case. */
export interface PublicNode {
  readonly hostname: string;
  /** Domains whose mail ends here. */
  readonly domains: readonly string[];
  /** Takes mail from other servers. */
  readonly exchanger: boolean;
  /** SHA-256 over the SubjectPublicKeyInfo, hex, of each key that other servers are shown, and of the one that comes next. */
  readonly keys: readonly string[];
  readonly nextKey: string | null;
  /** Where users submit mail. */
  readonly submission: readonly { readonly port: number; readonly implicit: boolean }[];
  /** Where people read their mail; hosts are A-labels. */
  readonly access: readonly {
    readonly kind: "imap" | "pop3";
    readonly implicit: boolean;
    readonly host: string;
    readonly port: number;
  }[];
  /** This node answers at `https://autoconfig.DOMAIN`. */
  readonly servesSettings: boolean;
  /** The id of the MTA-STS policy of a domain; null where there is none to announce. */
  policyId(domain: string): string | null;
  /** This node answers at `https://mta-sts.DOMAIN`. */
  readonly servesPolicies: boolean;
}

/** An hour: long enough for caches, short enough for a key that has to change today. */
const TTL = 3600;
/** The most octets of one string of a TXT record (RFC 1035 §3.3). */
const MAX_STRING = 255;

/** All records that make mail to this node's domains, and from them, arrive safely. Pure. */
export function wantedRecords(node: PublicNode): readonly WantedRecord[] {
  return [...hostRecords(node), ...node.domains.flatMap((domain) => domainRecords(domain, node))];
}

function hostRecords(node: PublicNode): WantedRecord[] {
  const { hostname, exchanger, keys, nextKey } = node;
  const owner = `_25._tcp.${hostname}`;
  const tlsa = (key: string): string => `3 1 1 ${key}`;
  const current = exchanger ? [...new Set(keys)] : [];
  const next = exchanger && nextKey !== null && !current.includes(nextKey) ? [nextKey] : [];
  return [
    record("address", hostname, "A", null, "the public addresses of this server: A, and AAAA where it has IPv6"),
    // RFC 7208 §2.3: the name in EHLO is checked too. Where it is a domain of ours as well one record has to do for both (§3.2).
    ...(node.domains.includes(hostname)
      ? []
      : [record("spfHost", hostname, "TXT", text("v=spf1 a -all"), "who may say this name in EHLO")]),
    ...current.map((key) => record("dane", owner, "TLSA", tlsa(key), "the key of the certificate (DANE)")),
    ...next.map((key) => record("daneNext", owner, "TLSA", tlsa(key), "the key that comes next (DANE)")),
  ];
}

function domainRecords(domain: string, node: PublicNode): WantedRecord[] {
  const { hostname, exchanger, servesPolicies } = node;
  const id = exchanger ? node.policyId(domain) : null;
  return [
    ...(exchanger ? [record("mx", domain, "MX", `10 ${hostname}.`, "where its mail goes")] : []),
    // Mail may also leave by other ways than this one, and forwarders break SPF: `~all` leaves the verdict to DMARC.
    record("spf", domain, "TXT", text(`v=spf1 ${exchanger ? "mx" : `a:${hostname}`} ~all`), "who may send its mail"),
    ...(id === null
      ? []
      : [record("mtaSts", `_mta-sts.${domain}`, "TXT", text(formatStsRecord(id)), "announces the MTA-STS policy")]),
    ...(id !== null && servesPolicies
      ? [record("mtaStsHost", `mta-sts.${domain}`, "CNAME", `${hostname}.`, "where the policy is fetched")]
      : []),
    ...(exchanger
      ? [
          record(
            "tlsReports",
            `_smtp._tls.${domain}`,
            "TXT",
            text(`v=TLSRPTv1; rua=mailto:postmaster@${domain}`),
            "where others report TLS failures",
          ),
        ]
      : []),
    ...node.submission.map(({ port, implicit }) => submissionRecord(domain, hostname, port, implicit)),
    ...accessRecords(domain, node),
    ...(node.servesSettings
      ? [
          record(
            "autoconfigHost",
            `autoconfig.${domain}`,
            "CNAME",
            `${hostname}.`,
            "where mail programs find their settings; the certificate must name it",
          ),
        ]
      : []),
  ];
}

/** RFC 6186 §3.1 and RFC 8314 §5.1: implicit TLS has a name of its own, and comes first. */
function submissionRecord(domain: string, hostname: string, port: number, implicit: boolean): WantedRecord {
  const service = implicit ? "_submissions" : "_submission";
  const data = formatSrv({ priority: implicit ? 0 : 10, weight: 1, port, target: hostname });
  return record("submission", `${service}._tcp.${domain}`, "SRV", data, "where mail programs submit");
}

/**
 * RFC 6186 §3.2, §3.3, §3.4: `_imaps` and `_pop3s` are for implicit TLS, and the order of the list is that of preference. Nothing is
 * said of what is not served ("." as the target): this server knows only what the operator told it.
 */
function accessRecords(domain: string, { access }: PublicNode): WantedRecord[] {
  return access.map(({ kind, implicit, host, port }, at) => {
    const data = formatSrv({ priority: at * 10, weight: 1, port, target: host });
    return record(
      "access",
      `_${kind}${implicit ? "s" : ""}._tcp.${domain}`,
      "SRV",
      data,
      "where people read their mail",
    );
  });
}

function record(
  purpose: RecordPurpose,
  name: string,
  type: WantedRecord["type"],
  data: string | null,
  note: string,
): WantedRecord {
  return { purpose, name, type, ttl: TTL, data, note };
}

/** An SRV record's data as a zone file has it. */
export function formatSrv({ priority, weight, port, target }: SrvRecord): string {
  return `${priority} ${weight} ${port} ${target}.`;
}

/** A TXT record's data as a zone file has it: quoted strings of at most 255 octets. */
function text(value: string): string {
  const strings: string[] = [];
  for (let at = 0; at < value.length; at += MAX_STRING) strings.push(`"${value.slice(at, at + MAX_STRING)}"`);
  return strings.join(" ");
}
