import type { X509Certificate } from "node:crypto";

/** RFC 9525 §6.3: DNS names of the subjectAltName only, a wildcard for the whole first label. */
export function namesHost(certificate: X509Certificate, host: string): boolean {
  return certificate.checkHost(host, { subject: "never", wildcards: true, partialWildcards: false }) !== undefined;
}
