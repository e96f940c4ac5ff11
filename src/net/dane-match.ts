import { createHash, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { bytesEqual, err, ok, type Result } from "../base/index.ts";
import { pathToAnchor } from "./authority-path.ts";
import { certificateFields, derElements } from "./certificate-fields.ts";
import type { TlsaRecord } from "./resolver.ts";
import type { CertificateFault } from "./tls-info.ts";

interface DaneQuestion {
  /** As the server sent it, its own certificate first. */
  readonly chain: readonly X509Certificate[];
  readonly records: readonly TlsaRecord[];
  /** Reference identifiers for usage 2: one of them must be named (RFC 7672 §3.2.2). A-labels. */
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** RFC 7218 §2.1: the usages that SMTP uses. 0 and 1 are not for port 25 (RFC 7672 §3.1.3). */
const DANE_TA = 2;
const DANE_EE = 3;
/** RFC 7218 §2.2. */
const FULL_CERTIFICATE = 0;
const PUBLIC_KEY = 1;
/** RFC 7218 §2.3. */
const FULL = 0;

/** By matching type. The longer one is the stronger (RFC 7671 §9). */
const DIGESTS: ReadonlyMap<number, { readonly name: string; readonly octets: number }> = new Map([
  [1, { name: "sha256", octets: 32 }],
  [2, { name: "sha512", octets: 64 }],
]);

/**
 * The records that a server can be held to: usages 2 and 3, known selectors and matching types, a digest of its right length or a
 * certificate or key that can be read (RFC 7671 §9, RFC 7672 §2.2).
 */
export function usableTlsa(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  return records.filter(({ usage, selector, matchingType, data }) => {
    if (usage !== DANE_TA && usage !== DANE_EE) return false;
    if (selector !== FULL_CERTIFICATE && selector !== PUBLIC_KEY) return false;
    if (matchingType !== FULL) return DIGESTS.get(matchingType)?.octets === data.length;
    return (selector === FULL_CERTIFICATE ? readCertificate(data) : readKey(data)) !== null;
  });
}

/**
 * The record that a server's certificates meet, or why none. Usage 3 is met by the server's own certificate, whatever names and
 * dates it bears (RFC 7672 §3.1.1); usage 2 by one that leads, in a path that stands, to the authority that the record means, and
 * that names one of `names` (RFC 7672 §3.1.2). Records that are not usable are passed over.
 */
export function matchDane({ chain, records, names, now }: DaneQuestion): Result<TlsaRecord, CertificateFault> {
  const [leaf] = chain;
  if (leaf === undefined) return err({ reason: "dane", detail: "it showed no certificate" });
  const heeded = strongest(usableTlsa(records));
  const ofLeaf = heeded.find((record) => record.usage === DANE_EE && means(record, leaf));
  if (ofLeaf !== undefined) return ok(ofLeaf);
  const anchors = heeded.filter(({ usage }) => usage === DANE_TA);
  if (anchors.length === 0) return err(unmatched(heeded));
  const path = pathToAnchor({
    leaf,
    pool: [...chain.slice(1, MOST_SENT), ...anchors.flatMap((record) => fullCertificate(record) ?? [])],
    isAnchor: (certificate) => anchors.some((record) => means(record, certificate)),
    anchorKeys: anchors.flatMap((record) => fullKey(record) ?? []),
    now,
  });
  if (!path.ok) return err(path.error.reason === "dane" ? unmatched(heeded) : path.error);
  if (!names.some((name) => namesReference(leaf, name))) {
    return err({ reason: "name", detail: `it names ${leaf.subjectAltName ?? "nothing"}, not ${names.join(" or ")}` });
  }
  const anchor = path.value.at(-1);
  const met =
    anchors.find((record) => anchor !== undefined && means(record, anchor)) ??
    anchors.find((record) => fullKey(record) !== null);
  return met === undefined ? err(unmatched(heeded)) : ok(met);
}

/** More authorities than any server has use for. */
const MOST_SENT = 16;

/** Digest agility (RFC 7671 §9): for each usage and selector the full values, and the digests of the strongest kind alone. */
function strongest(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  return records.filter(
    (record) =>
      record.matchingType === FULL ||
      records.every(
        (other) =>
          other.usage !== record.usage ||
          other.selector !== record.selector ||
          other.matchingType === FULL ||
          other.data.length <= record.data.length,
      ),
  );
}

function means({ selector, matchingType, data }: TlsaRecord, certificate: X509Certificate): boolean {
  const selected = selector === FULL_CERTIFICATE ? certificate.raw : certificateFields(certificate.raw)?.publicKeyInfo;
  if (selected === undefined) return false;
  const digest = DIGESTS.get(matchingType);
  return bytesEqual(digest === undefined ? selected : createHash(digest.name).update(selected).digest(), data);
}

/** RFC 7672 §3.2.3: DNS names, the subject's common name where there are none, a wildcard for the whole first label. */
function namesReference(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: "default", wildcards: true, partialWildcards: false }) !== undefined;
}

function fullCertificate({ selector, matchingType, data }: TlsaRecord): X509Certificate | null {
  return selector === FULL_CERTIFICATE && matchingType === FULL ? readCertificate(data) : null;
}

function fullKey({ selector, matchingType, data }: TlsaRecord): KeyObject | null {
  return selector === PUBLIC_KEY && matchingType === FULL ? readKey(data) : null;
}

function readCertificate(der: Uint8Array): X509Certificate | null {
  // OpenSSL would take PEM as well, and octets behind the end.
  if (certificateFields(der) === null) return null;
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

function readKey(der: Uint8Array): KeyObject | null {
  if (derElements(der)?.length !== 1) return null;
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    return null;
  }
}

function unmatched(records: readonly TlsaRecord[]): CertificateFault {
  const kinds = [
    ...new Set(records.map(({ usage, selector, matchingType }) => `${usage} ${selector} ${matchingType}`)),
  ];
  return {
    reason: "dane",
    detail: kinds.length === 0 ? "no TLSA record is usable" : `no TLSA record (${kinds.join(", ")}) matches it`,
  };
}
