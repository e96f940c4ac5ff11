import { createHash, type X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { PeerCertificate, TlsInfo } from "./stream.ts";

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

/** `problem`: why the certificate does not prove what was demanded, null when it does. */
export function peerCertificate(certificate: X509Certificate, problem: string | null): PeerCertificate {
  return {
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    validTo: certificate.validToDate.toISOString(),
    fingerprint256: certificate.fingerprint256,
    spki256: spki256(certificate),
    authorized: problem === null,
    problem,
  };
}

/** SHA-256 over the SubjectPublicKeyInfo, hex in lower case. */
export function spki256(certificate: X509Certificate): string {
  return createHash("sha256")
    .update(certificate.publicKey.export({ type: "spki", format: "der" }))
    .digest("hex");
}

/** Node writes one attribute a line, and undefined for an empty name. */
function distinguishedName(name: string | undefined): string {
  return (name ?? "").split("\n").join(", ");
}
