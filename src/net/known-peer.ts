import type { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../base/index.ts";
import { pathToAnchor } from "./authority-path.ts";
import { namesHost } from "./host-name.ts";
import { readCertificates } from "./pem.ts";
import { type CertificateFault, spki256 } from "./tls-info.ts";

/** A client that a server knows by its certificate: by its key, or by an authority and a name. */
export interface KnownPeer {
  /** What it is called; in logs and trace fields. */
  readonly name: string;
  /**
   * SHA-256 of its SubjectPublicKeyInfo, hex in lower case; several where a new key is to come. Who holds the key is the peer, whatever
   * names and dates its certificate bears and whoever signed it (as DANE-EE, RFC 7672 §3.1.1).
   */
  readonly spki?: readonly string[];
  /** Authorities, PEM; each text may hold several. Intermediate ones are as good as roots: what they signed is trusted. */
  readonly authorities?: readonly string[];
  /** DNS names: a certificate under `authorities` is the peer's when it names one of them (RFC 9525), or any for `*`. */
  readonly names?: readonly string[];
}

/** A peer whose authorities were read. */
export interface ReadPeer {
  readonly name: string;
  readonly spki: ReadonlySet<string>;
  readonly authorities: readonly X509Certificate[];
  readonly names: readonly string[];
}

/** Whose certificate it is, and how that was proven. */
export interface Identified {
  readonly identity: string;
  readonly proven: "pin" | "name";
}

/** Fails with one line where an authority cannot be read. */
export function readPeers(peers: readonly KnownPeer[]): Result<readonly ReadPeer[], string> {
  const read: ReadPeer[] = [];
  for (const { name, spki = [], authorities = [], names = [] } of peers) {
    const certificates: X509Certificate[] = [];
    for (const text of authorities) {
      const found = readCertificates(text);
      if (!found.ok) return err(`the authorities of ${name}: ${found.error}`);
      certificates.push(...found.value);
    }
    read.push({ name, spki: new Set(spki), authorities: certificates, names });
  }
  return ok(read);
}

/**
 * The peer that a certificate belongs to. `chain` is what the client sent, its own certificate first; the handshake has shown that it
 * holds the key. A key counts before an authority, and an earlier peer before a later one. `now` in milliseconds since the epoch.
 *
 * Each peer is held to its own authorities: one of them could otherwise certify the names of all others.
 */
export function identifyPeer(
  chain: readonly X509Certificate[],
  peers: readonly ReadPeer[],
  now: number,
): Result<Identified, CertificateFault> {
  const [leaf] = chain;
  if (leaf === undefined) return err({ reason: "untrusted", detail: "it showed no certificate" });
  const key = spki256(leaf);
  const byKey = peers.find(({ spki }) => spki.has(key));
  if (byKey !== undefined) return ok({ identity: byKey.name, proven: "pin" });
  let fault: CertificateFault | null = null;
  for (const peer of peers) {
    if (peer.authorities.length === 0) continue;
    const trusted = trustFault(leaf, chain.slice(1), peer, now) ?? nameFault(leaf, peer);
    if (trusted === null) return ok({ identity: peer.name, proven: "name" });
    fault = moreTelling(fault, trusted);
  }
  return err(fault ?? UNKNOWN);
}

const UNKNOWN: CertificateFault = {
  reason: "untrusted",
  detail: "no peer is known by its key, and no authority of a peer signed it",
};

function trustFault(
  leaf: X509Certificate,
  sent: readonly X509Certificate[],
  { authorities }: ReadPeer,
  now: number,
): CertificateFault | null {
  const anchors = new Set(authorities.map(({ fingerprint256 }) => fingerprint256));
  const path = pathToAnchor({
    leaf,
    pool: [...authorities, ...sent],
    isAnchor: ({ fingerprint256 }) => anchors.has(fingerprint256),
    anchorKeys: [],
    usages: PEER_USAGES,
    now,
  });
  if (path.ok) return null;
  // The search names DANE where it met no anchor at all.
  return path.error.reason === "dane" ? UNKNOWN : path.error;
}

/**
 * TLS WWW server and client authentication (RFC 5280 §4.2.1.12). Either will do: a mail host that calls shows the certificate that it
 * has as a server, and public authorities certify for servers alone.
 */
const PEER_USAGES: readonly string[] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

function nameFault(leaf: X509Certificate, { name, names }: ReadPeer): CertificateFault | null {
  if (names.some((wanted) => wanted === "*" || namesHost(leaf, wanted))) return null;
  const detail = `it names ${leaf.subjectAltName ?? "nothing"}, and ${name} is ${names.join(" or ")}`;
  return { reason: "name", detail };
}

/** What the operator is told when no peer was met: how far the best of them came. */
function moreTelling(one: CertificateFault | null, other: CertificateFault): CertificateFault {
  return one === null || one === UNKNOWN ? other : one;
}
