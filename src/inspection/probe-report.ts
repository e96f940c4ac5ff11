/** How a check came out. "none": there was nothing to check. Words of `postern probe --json`. */
export type CheckStatus = "ok" | "warning" | "failed" | "none";

/** One thing that was looked at, in one line. `check` is a stable word. */
export interface Check {
  readonly check:
    | "mx"
    | "policy"
    | "reachable"
    | "starttls"
    | "versions"
    | "groups"
    | "certificate"
    | "expiry"
    | "dane"
    | "mtaSts"
    | "requireTls"
    | "clearTextAuth";
  readonly status: CheckStatus;
  readonly text: string;
}

/** What a host can do, found out by trying; null where the connection told nothing of it. */
export interface Support {
  readonly name: string;
  readonly supported: boolean | null;
}

/** A certificate that was shown. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  /** ISO 8601. */
  readonly validFrom: string;
  readonly validTo: string;
  /** Whole days that are left; negative when it is over. */
  readonly daysLeft: number;
  /** `ec prime256v1`, `rsa 2048`. */
  readonly key: string;
  /** SHA-256 over the SubjectPublicKeyInfo, hex: what a pin, or a TLSA record `3 1 1`, holds. */
  readonly spki256: string;
}

/** Whether a certificate proves the host's name by an authority that is trusted. */
export interface NameProof {
  readonly proven: boolean;
  readonly reason: "name" | "expired" | "untrusted" | null;
  readonly detail: string | null;
}

/** What DNS says of the host's keys, and whether the host shows them. */
export interface DaneReport {
  readonly found: "none" | "records" | "unusable" | "failed";
  /** Where the records stand: `_25._tcp.mx.example.net`. */
  readonly owner: string | null;
  /** The usable ones: `3 1 1 abcd…`. */
  readonly records: readonly string[];
  /** Null where there was nothing to compare. */
  readonly match: boolean | null;
  readonly detail: string | null;
}

/** What one host showed. `postern probe --json` prints this: keys stay, new ones may come. */
export interface HostReport {
  readonly host: string;
  readonly port: number;
  /** All that DNS gave; `address` is the one that answered. */
  readonly addresses: readonly string[];
  /** The addresses are validated by DNSSEC. */
  readonly addressesSecure: boolean;
  readonly address: string | null;
  readonly greeting: string | null;
  /** Lines of EHLO; null where it did not come so far. */
  readonly extensions: { readonly beforeTls: readonly string[] | null; readonly afterTls: readonly string[] | null };
  readonly tls: { readonly version: string; readonly cipher: string; readonly group: string | null } | null;
  readonly versions: readonly Support[];
  readonly groups: readonly Support[];
  /** As sent, the host's own first. */
  readonly certificates: readonly ShownCertificate[];
  readonly name: NameProof | null;
  readonly dane: DaneReport;
  /** Whether the domain's policy lists the host; null without a policy. */
  readonly mtaStsListed: boolean | null;
  readonly requireTls: boolean;
  readonly checks: readonly Check[];
  readonly verdict: Verdict;
}

/** The domain's policy (RFC 8461). */
export interface StsReport {
  readonly mode: "enforce" | "testing" | null;
  readonly id: string | null;
  readonly mx: readonly string[];
  /** Why there is none, or why a newer one could not be had. */
  readonly detail: string | null;
}

/** A whole probe: a host, or a domain with its MX hosts. */
export interface ProbeReport {
  readonly target: string;
  readonly kind: "host" | "domain";
  /** The way from the domain to its hosts is validated by DNSSEC; null for a host. */
  readonly mxSecure: boolean | null;
  readonly mtaSts: StsReport | null;
  readonly checks: readonly Check[];
  readonly hosts: readonly HostReport[];
  readonly verdict: Verdict;
}

export interface Verdict {
  readonly status: "ok" | "warning" | "failed";
  readonly text: string;
}

/** The worst of all checks, with what is wrong; `fine` is what is said when nothing is. */
export function verdictOf(checks: readonly Check[], fine: string): Verdict {
  for (const status of ["failed", "warning"] as const) {
    const found = checks.filter((check) => check.status === status);
    if (found.length > 0) return { status, text: found.map(({ text }) => text).join("; ") };
  }
  return { status: "ok", text: fine };
}
