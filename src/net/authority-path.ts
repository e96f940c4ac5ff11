import type { KeyObject, X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../base/index.ts";
import { certificateFields, childrenOf, derElements } from "./certificate-fields.ts";
import { nameConstraintFault } from "./name-constraints.ts";
import type { CertificateFault } from "./tls-info.ts";

/**
 * The way from a server's certificate up to a trust anchor that DNS names (RFC 7671 §5.2, RFC 5280 §6.1). OpenSSL can only be told of
 * trust anchors before the handshake, and which certificate a digest means is known after it, so this path is checked here: names
 * and signatures by OpenSSL, the rest by the fields.
 */
export interface PathQuestion {
  readonly leaf: X509Certificate;
  /** Where authorities are looked for, in any order: what the server sent, and what DNS holds in full. */
  readonly pool: readonly X509Certificate[];
  readonly isAnchor: (certificate: X509Certificate) => boolean;
  /** Anchors of which no more than the key is known (`2 1 0`, RFC 7671 §5.2.3). */
  readonly anchorKeys: readonly KeyObject[];
  /** Extended key usages of which one must be allowed by each certificate that bounds its own; default: server authentication. */
  readonly usages?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Longer paths are not met; the bounds keep a hostile server from buying work with certificates that sign each other. */
const LONGEST_PATH = 8;
const MOST_SIGNATURES = 64;

/** The path, the server's certificate first, or why there is none; "dane" where no anchor was met at all. */
export function pathToAnchor(question: PathQuestion): Result<readonly X509Certificate[], CertificateFault> {
  return new PathSearch(question).run();
}

class PathSearch {
  readonly #question: PathQuestion;
  #signatures = 0;
  /** Of the first path that reached an anchor and was no good. */
  #fault: CertificateFault | null = null;

  constructor(question: PathQuestion) {
    this.#question = question;
  }

  run(): Result<readonly X509Certificate[], CertificateFault> {
    const path = this.#extend([this.#question.leaf]);
    if (path !== null) return ok(path);
    return err(this.#fault ?? { reason: "dane", detail: "no TLSA record matches an authority that signed it" });
  }

  /** Depth first; every anchor that can be reached gets its chance. */
  #extend(path: readonly X509Certificate[]): readonly X509Certificate[] | null {
    const { pool, isAnchor, anchorKeys } = this.#question;
    const last = path.at(-1);
    if (last === undefined) return null;
    if (anchorKeys.some((key) => this.#signedBy(last, key)) && this.#stands(path)) return path;
    if (path.length >= LONGEST_PATH) return null;
    for (const issuer of pool) {
      if (path.some(({ fingerprint256 }) => fingerprint256 === issuer.fingerprint256)) continue;
      if (!last.checkIssued(issuer)) continue;
      const key = publicKeyOf(issuer);
      if (key === null || !this.#signedBy(last, key)) continue;
      const longer = [...path, issuer];
      if (isAnchor(issuer) && this.#stands(longer)) return longer;
      const found = this.#extend(longer);
      if (found !== null) return found;
    }
    return null;
  }

  #signedBy(certificate: X509Certificate, key: KeyObject): boolean {
    this.#signatures += 1;
    if (this.#signatures > MOST_SIGNATURES) return false;
    try {
      return certificate.verify(key);
    } catch {
      // A key of a kind that cannot have made this signature.
      return false;
    }
  }

  #stands(path: readonly X509Certificate[]): boolean {
    const fault = pathFault(path, this.#question);
    this.#fault ??= fault;
    return fault === null;
  }
}

function pathFault(
  path: readonly X509Certificate[],
  { now, usages = SERVER_USAGES }: PathQuestion,
): CertificateFault | null {
  const [leaf] = path;
  if (leaf === undefined) return null;
  for (const [index, certificate] of path.entries()) {
    const fault =
      dateFault(certificate, now) ??
      strengthFault(certificate) ??
      fieldFault({ certificate, path, index, leaf, usages });
    if (fault !== null) return fault;
  }
  return null;
}

function dateFault(certificate: X509Certificate, now: number): CertificateFault | null {
  const name = subjectOf(certificate);
  if (certificate.validToDate.getTime() < now) {
    return { reason: "expired", detail: `${name} expired on ${certificate.validToDate.toISOString()}` };
  }
  if (certificate.validFromDate.getTime() > now) {
    return untrusted(`${name} is not valid before ${certificate.validFromDate.toISOString()}`);
  }
  return null;
}

/** SP 800-131A, and what OpenSSL asks at its security level 2: 112 bits. */
const LEAST_RSA_BITS = 2048;

function strengthFault(certificate: X509Certificate): CertificateFault | null {
  const details = publicKeyOf(certificate)?.asymmetricKeyDetails;
  if (details === undefined) return untrusted(`${subjectOf(certificate)} has a key of an unknown kind`);
  const { modulusLength } = details;
  if (modulusLength !== undefined && modulusLength < LEAST_RSA_BITS) {
    return untrusted(`${subjectOf(certificate)} has a key of ${modulusLength} bits; ${LEAST_RSA_BITS} are the least`);
  }
  return null;
}

/** MD2, MD4, MD5 and SHA-1 with RSA, SHA-1 with DSA and ECDSA: anyone can make a second text for such a signature. */
const BROKEN_SIGNATURES: ReadonlySet<string> = new Set([
  "2a864886f70d010102",
  "2a864886f70d010103",
  "2a864886f70d010104",
  "2a864886f70d010105",
  "2a8648ce380403",
  "2a8648ce3d0401",
  "2b0e03021d",
]);

const ids = {
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  nameConstraints: "551d1e",
  policyMappings: "551d21",
  certificatePolicies: "551d20",
  policyConstraints: "551d24",
  extendedKeyUsage: "551d25",
  inhibitAnyPolicy: "551d36",
} as const;

/** Policies decide nothing here: no policy is asked for (RFC 5280 §6.1.1 (c), any-policy). */
const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set(Object.values(ids));

/** TLS WWW server authentication (RFC 5280 §4.2.1.12). */
const SERVER_USAGES: readonly string[] = ["1.3.6.1.5.5.7.3.1"];
const ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";

interface Place {
  readonly certificate: X509Certificate;
  readonly path: readonly X509Certificate[];
  /** 0 is the server's own. */
  readonly index: number;
  readonly leaf: X509Certificate;
  readonly usages: readonly string[];
}

function fieldFault({ certificate, path, index, leaf, usages: wanted }: Place): CertificateFault | null {
  const name = subjectOf(certificate);
  const fields = certificateFields(certificate.raw);
  if (fields === null) return untrusted(`${name} cannot be read`);
  const selfSigned = certificate.checkIssued(certificate);
  // A self-signed anchor is trusted for what it is and not for its signature.
  if (!selfSigned && BROKEN_SIGNATURES.has(fields.signatureAlgorithm)) {
    return untrusted(`${name} is signed with an algorithm that is broken`);
  }
  const unknown = fields.extensions.find(({ id, critical }) => critical && !KNOWN_EXTENSIONS.has(id));
  if (unknown !== undefined) return untrusted(`${name} has a critical extension that is not known (${unknown.id})`);
  const usages = certificate.keyUsage;
  if (usages !== undefined && !usages.some((usage) => wanted.includes(usage) || usage === ANY_EXTENDED_KEY_USAGE)) {
    return untrusted(`${name} is not meant for this use`);
  }
  if (index === 0) return null;
  if (!certificate.ca) return untrusted(`${name} is no authority`);
  const limit = pathLimit(fields.extensions.find(({ id }) => id === ids.basicConstraints)?.value);
  // RFC 5280 §6.1.4 (l), (m): an authority that names itself does not count.
  const between = path.slice(1, index).filter((one) => one.subject !== one.issuer).length;
  if (between > limit) return untrusted(`${name} allows ${limit} authorities below it, and there are ${between}`);
  const constraints = fields.extensions.find(({ id }) => id === ids.nameConstraints);
  const broken = constraints === undefined ? null : nameConstraintFault(constraints.value, leaf);
  return broken === null ? null : untrusted(`${name} ${broken}`);
}

const SEQUENCE = 0x30;
const INTEGER = 0x02;

/** RFC 5280 §4.2.1.9: cA, then pathLenConstraint. */
function pathLimit(basicConstraints: Uint8Array | undefined): number {
  const [constraints] = derElements(basicConstraints ?? new Uint8Array()) ?? [];
  const limit = constraints && childrenOf(constraints, SEQUENCE).find(({ tag }) => tag === INTEGER);
  return limit === undefined ? Number.POSITIVE_INFINITY : limit.content.reduce((sum, octet) => sum * 256 + octet, 0);
}

/** Null for a key of a kind that OpenSSL does not know. */
function publicKeyOf(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey;
  } catch {
    return null;
  }
}

function subjectOf(certificate: X509Certificate): string {
  return `the certificate ${(certificate.subject ?? "without a subject").split("\n").join(", ")}`;
}

function untrusted(detail: string): CertificateFault {
  return { reason: "untrusted", detail };
}
