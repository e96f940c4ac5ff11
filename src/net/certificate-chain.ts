import type { X509Certificate } from "node:crypto";
import type { Stream } from "./stream.ts";
import { certificateNames, distinguishedName, spki256 } from "./tls-info.ts";

/** One certificate of those that a server showed. */
export interface ChainCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** DNS names and IP addresses of its subjectAltName. */
  readonly names: readonly string[];
  /** ISO 8601. */
  readonly validFrom: string;
  readonly validTo: string;
  /** Whether it is an authority's. */
  readonly authority: boolean;
  /** Node's word for it, such as `ec`, `rsa` or `ed25519`; `unknown` for a kind that OpenSSL does not know. */
  readonly keyType: string;
  /** Bits of an RSA key; null for keys whose kind says it all. */
  readonly keyBits: number | null;
  /** The curve of an EC key, such as `prime256v1`; null for other kinds. */
  readonly curve: string | null;
  /** SHA-256 over the SubjectPublicKeyInfo, hex in lower case: what a pin, or a TLSA record `3 1 1`, holds. */
  readonly spki256: string;
  readonly fingerprint256: string;
  /** The certificate, DER. */
  readonly raw: Uint8Array;
}

const chains = new WeakMap<Stream, readonly X509Certificate[]>();

/** Node gives the chain away once; it is kept as long as the stream is. */
export function rememberChain(stream: Stream, chain: readonly X509Certificate[]): void {
  chains.set(stream, chain);
}

/**
 * What the server of a stream that `upgradeClient` made showed, in the order it was sent, its own certificate first; a resumed session
 * tells what its full handshake had shown. Empty for any other stream.
 */
export function certificateChain(stream: Stream): readonly ChainCertificate[] {
  return (chains.get(stream) ?? []).map(describe);
}

function describe(certificate: X509Certificate): ChainCertificate {
  return {
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    names: certificateNames(certificate),
    validFrom: certificate.validFromDate.toISOString(),
    validTo: certificate.validToDate.toISOString(),
    authority: certificate.ca,
    ...describeKey(certificate),
    spki256: spki256(certificate),
    fingerprint256: certificate.fingerprint256,
    raw: certificate.raw,
  };
}

function describeKey(certificate: X509Certificate): Pick<ChainCertificate, "keyType" | "keyBits" | "curve"> {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
    return {
      keyType: asymmetricKeyType ?? "unknown",
      keyBits: asymmetricKeyDetails?.modulusLength ?? null,
      curve: asymmetricKeyDetails?.namedCurve ?? null,
    };
  } catch {
    return { keyType: "unknown", keyBits: null, curve: null };
  }
}
