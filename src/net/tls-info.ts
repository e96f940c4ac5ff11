import { createHash, type X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { Result } from "../base/index.ts";
import { certificateFields } from "./certificate-fields.ts";
import type { CertificateProof, CertificateReason, PeerCertificate, TlsInfo } from "./stream.ts";

/** What a socket whose handshake is done has negotiated. */
export function tlsInfo(
  socket: TLSSocket,
  serverName: string | null,
  peerCertificate: PeerCertificate | null,
): TlsInfo {
  const cipher = socket.getCipher();
  return {
    version: socket.getProtocol() ?? cipher.version,
    cipher: cipher.standardName,
    group: keyExchangeGroup(socket),
    serverName,
    resumed: socket.isSessionReused(),
    peerCertificate,
  };
}

/** Node tells the group to clients only, and not for each kind of key. */
function keyExchangeGroup(socket: TLSSocket): string | null {
  const info: object | null = socket.getEphemeralKeyInfo();
  return info !== null && "name" in info && typeof info.name === "string" ? info.name : null;
}

/** What a certificate failed to prove; `detail` is local text. */
export interface CertificateFault {
  /** Null where nothing was demanded. */
  readonly reason: CertificateReason | null;
  readonly detail: string;
}

/** `judged`: what the certificate proved of what this side demanded, or why it did not. */
export function peerCertificate(
  certificate: X509Certificate,
  judged: Result<CertificateProof, CertificateFault>,
): PeerCertificate {
  return {
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    names: certificateNames(certificate),
    validTo: certificate.validToDate.toISOString(),
    fingerprint256: certificate.fingerprint256,
    spki256: spki256(certificate),
    authorized: judged.ok,
    proven: judged.ok ? judged.value : "nothing",
    problem: judged.ok ? null : judged.error.detail,
    reason: judged.ok ? null : judged.error.reason,
  };
}

/** SHA-256 over the SubjectPublicKeyInfo as it stands in the certificate, hex in lower case. */
export function spki256(certificate: X509Certificate): string {
  return createHash("sha256")
    .update(certificateFields(certificate.raw)?.publicKeyInfo ?? new Uint8Array())
    .digest("hex");
}

/** DNS names and IP addresses of the subjectAltName. */
export function certificateNames(certificate: X509Certificate): readonly string[] {
  return (certificate.subjectAltName ?? "").split(", ").flatMap((entry) => {
    const name = /^(?:DNS|IP Address):([^"]*)$/.exec(entry)?.[1];
    return name === undefined ? [] : [name];
  });
}

/** Node writes one attribute a line, and undefined for an empty name. */
export function distinguishedName(name: string | undefined): string {
  return (name ?? "").split("\n").join(", ");
}
