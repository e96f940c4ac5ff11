import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { err, ok, type Result } from "../base/index.ts";
import { matchDane } from "./dane-match.ts";
import { namesHost } from "./host-name.ts";
import type { TlsaRecord } from "./resolver.ts";
import type { CertificateProof, CertificateReason } from "./stream.ts";
import { type CertificateFault, spki256 } from "./tls-info.ts";

/** What a server must prove by its certificate. */
export type PeerDemand =
  /** Any certificate will do. */
  | { readonly kind: "nothing" }
  /**
   * It chains to an authority that is trusted and names one of `names` (RFC 9525), DNS names as A-labels or IP addresses. A key among
   * `pins` (SHA-256 of the SPKI, hex) is enough without that.
   */
  | {
      readonly kind: "name";
      readonly names: readonly string[];
      readonly pins?: readonly string[];
      /** PEM. Trusted in place of the authorities of the system and of Node; an intermediate one is as good as a root. */
      readonly ca?: readonly string[];
      /** PEM. Trusted besides those. */
      readonly extraCa?: readonly string[];
    }
  /** Its SPKI is one of `pins` (SHA-256, hex); names, dates and authorities do not count. */
  | { readonly kind: "pin"; readonly pins: readonly string[] }
  /** It matches one of the TLSA records, and for usage 2 names one of `names` (RFC 7672 §3). See `matchDane`. */
  | { readonly kind: "dane"; readonly records: readonly TlsaRecord[]; readonly names: readonly string[] };

/** What a server showed, and what OpenSSL found of its way to an authority. */
export interface ShownCertificates {
  /** As sent, the server's own first. */
  readonly chain: readonly X509Certificate[];
  /** OpenSSL's code for what is wrong with the path to a trusted authority, null when nothing. */
  readonly pathProblem: string | null;
}

/** Whether a server proved what was demanded, and how. `now` in milliseconds since the epoch. */
export function judge(
  demand: PeerDemand,
  { chain, pathProblem }: ShownCertificates,
  now: number,
): Result<CertificateProof, CertificateFault> {
  const [leaf] = chain;
  if (leaf === undefined) return err({ reason: null, detail: "the server showed no certificate" });
  switch (demand.kind) {
    case "nothing":
      return err({ reason: null, detail: "it was not checked" });
    case "pin":
      return isPinned(leaf, demand.pins)
        ? ok("pin")
        : err({ reason: "pin", detail: `its key ${spki256(leaf)} is not a pinned one` });
    case "dane": {
      const matched = matchDane({ chain, records: demand.records, names: demand.names, now });
      return matched.ok ? ok("dane") : matched;
    }
    case "name":
      if (demand.pins !== undefined && isPinned(leaf, demand.pins)) return ok("pin");
      if (pathProblem !== null)
        return err({ reason: reasonOf(pathProblem), detail: `it is not trusted: ${pathProblem}` });
      if (demand.names.some((name) => namesPeer(leaf, name))) return ok("name");
      return err({
        reason: "name",
        detail: `it names ${leaf.subjectAltName ?? "nothing"}, not ${demand.names.join(" or ")}`,
      });
  }
}

function isPinned(leaf: X509Certificate, pins: readonly string[]): boolean {
  const pin = spki256(leaf);
  return pins.some((wanted) => wanted.toLowerCase() === pin);
}

/** "expired" is of what is over; a certificate that is not valid yet is one that nothing vouches for now. */
function reasonOf(pathProblem: string): CertificateReason {
  return pathProblem.includes("CERT_HAS_EXPIRED") ? "expired" : "untrusted";
}

function namesPeer(certificate: X509Certificate, name: string): boolean {
  return isIP(name) === 0 ? namesHost(certificate, name) : certificate.checkIP(name) !== undefined;
}
