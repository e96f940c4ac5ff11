import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { concatBytes, DAY, encodeUtf8 } from "../base/index.ts";
import {
  bitString,
  boolean,
  integer,
  objectId,
  octetString,
  sequence,
  setOf,
  tagged,
  time,
  utf8String,
} from "./der.ts";
import { ipOctets } from "./ip-address.ts";
import type { KeyPair } from "./tls-server.ts";

export type KeyType = "ecdsa-p256" | "rsa-2048" | "ed25519";

export interface CertificateOptions {
  /** DNS names, A-labels, `*.` allowed as the first label. The first is the subject as well, unless `commonName` is. */
  readonly names: readonly string[];
  readonly commonName?: string;
  /** IP addresses it also names. */
  readonly ip?: readonly string[];
  /** Days of validity from `notBefore` (default 397). */
  readonly days?: number;
  /** Default: an hour ago, for clocks that run behind. */
  readonly notBefore?: Date;
  /** Who signs; without one the certificate is self-signed. */
  readonly issuer?: KeyPair;
  /** Of the key that is made (default ECDSA). */
  readonly keyType?: KeyType;
  /** PEM: the key to certify in place of a new one, as at a renewal that keeps it. */
  readonly privateKey?: string;
}

export interface AuthorityOptions {
  readonly name?: string;
  /** Days of validity from `notBefore` (default 3650). */
  readonly days?: number;
  readonly notBefore?: Date;
  readonly issuer?: KeyPair;
  readonly keyType?: KeyType;
  readonly privateKey?: string;
  /** How many authorities may stand between it and a server's certificate (RFC 5280 §4.2.1.9); default: any number. */
  readonly pathLength?: number;
  /** DNS names below which alone it may certify, and below which it may not (RFC 5280 §4.2.1.10). */
  readonly permitted?: readonly string[];
  readonly excluded?: readonly string[];
}

const DEFAULT_DAYS = 397;
const AUTHORITY_DAYS = 3650;
const CLOCK_LEEWAY = 3_600_000;

const oids = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  rsaWithSha256: "1.2.840.113549.1.1.11",
  ed25519: "1.3.101.112",
} as const;

/** RFC 5280 §4.2.1.3, first octet: digitalSignature is bit 0, keyCertSign bit 5, cRLSign bit 6. */
const DIGITAL_SIGNATURE = { octet: 0x80, unused: 7 };
const CERTIFICATE_SIGN = { octet: 0x06, unused: 1 };

/**
 * Makes a server's certificate (RFC 5280) and its key, both PEM: for a first start, until the operator brings a real one, and for
 * tests. The chain of an issuer is not appended.
 */
export function makeCertificate(options: CertificateOptions): KeyPair {
  const names = [...options.names.map(dnsName), ...(options.ip ?? []).map(ipName)];
  const usages = sequence(objectId(oids.serverAuth), objectId(oids.clientAuth));
  return issue({
    subject: options.commonName ?? options.names[0] ?? options.ip?.[0] ?? "",
    keys: keysFor(options),
    notBefore: options.notBefore ?? new Date(Date.now() - CLOCK_LEEWAY),
    days: options.days ?? DEFAULT_DAYS,
    issuer: options.issuer ?? null,
    extensions: [
      extension(oids.basicConstraints, true, sequence()),
      extension(oids.keyUsage, true, keyUsage(DIGITAL_SIGNATURE)),
      extension(oids.extendedKeyUsage, false, usages),
      extension(oids.subjectAltName, false, sequence(...names)),
    ],
  });
}

/** Makes a certificate authority whose pair serves as `issuer`: a root, or below `issuer` an intermediate one. */
export function makeAuthority(options: AuthorityOptions = {}): KeyPair {
  const { pathLength, permitted = [], excluded = [] } = options;
  const limit = pathLength === undefined ? [] : [integer(Uint8Array.of(pathLength))];
  const trees = [...nameTrees(0, permitted), ...nameTrees(1, excluded)];
  return issue({
    subject: options.name ?? "Postern test authority",
    keys: keysFor(options),
    notBefore: options.notBefore ?? new Date(Date.now() - CLOCK_LEEWAY),
    days: options.days ?? AUTHORITY_DAYS,
    issuer: options.issuer ?? null,
    extensions: [
      extension(oids.basicConstraints, true, sequence(boolean(true), ...limit)),
      extension(oids.keyUsage, true, keyUsage(CERTIFICATE_SIGN)),
      ...(trees.length === 0 ? [] : [extension(oids.nameConstraints, true, sequence(...trees))]),
    ],
  });
}

interface KeyChoice {
  readonly keyType?: KeyType;
  readonly privateKey?: string;
}

interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

function keysFor({ keyType = "ecdsa-p256", privateKey }: KeyChoice): Keys {
  if (privateKey === undefined) return generateKeys(keyType);
  return { publicKey: createPublicKey(privateKey), privateKey: createPrivateKey(privateKey) };
}

interface Issue {
  readonly subject: string;
  readonly keys: Keys;
  readonly notBefore: Date;
  readonly days: number;
  readonly issuer: KeyPair | null;
  readonly extensions: readonly Uint8Array[];
}

function issue(request: Issue): KeyPair {
  const { publicKey, privateKey } = request.keys;
  const issuer = request.issuer === null ? null : new X509Certificate(request.issuer.certificate);
  const signer = request.issuer === null ? privateKey : createPrivateKey(request.issuer.privateKey);
  const issuerName = issuer === null ? request.subject : (/^CN=(.*)$/m.exec(issuer.subject)?.[1] ?? "");
  const algorithm = signatureAlgorithm(signer);
  const identifiers = [
    extension(oids.subjectKeyIdentifier, false, octetString(keyIdentifier(publicKey))),
    extension(
      oids.authorityKeyIdentifier,
      false,
      sequence(tagged(0, "primitive", keyIdentifier(issuer?.publicKey ?? publicKey))),
    ),
  ];
  const body = sequence(
    tagged(0, "constructed", integer(Uint8Array.of(2))), // version 3
    integer(serialNumber()),
    algorithm,
    distinguishedName(issuerName),
    sequence(time(request.notBefore), time(new Date(request.notBefore.getTime() + request.days * DAY))),
    distinguishedName(request.subject),
    publicKey.export({ type: "spki", format: "der" }),
    tagged(3, "constructed", sequence(...request.extensions, ...identifiers)),
  );
  const digest = signer.asymmetricKeyType === "ed25519" ? null : "sha256";
  const certificate = sequence(body, algorithm, bitString(sign(digest, body, signer)));
  return {
    certificate: pem("CERTIFICATE", certificate),
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function generateKeys(type: KeyType): Keys {
  switch (type) {
    case "ecdsa-p256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "rsa-2048":
      return generateKeyPairSync("rsa", { modulusLength: 2048 });
    case "ed25519":
      return generateKeyPairSync("ed25519");
  }
}

function signatureAlgorithm(signer: KeyObject): Uint8Array {
  switch (signer.asymmetricKeyType) {
    case "rsa":
      // RFC 4055 §5: the parameters are NULL.
      return sequence(objectId(oids.rsaWithSha256), Uint8Array.of(0x05, 0x00));
    case "ed25519":
      return sequence(objectId(oids.ed25519));
    default:
      return sequence(objectId(oids.ecdsaWithSha256));
  }
}

/** RFC 5280 §4.1.2.2: positive, unique, at most 20 octets. */
function serialNumber(): Uint8Array {
  const serial = new Uint8Array(randomBytes(16));
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

function distinguishedName(commonName: string): Uint8Array {
  return sequence(setOf(sequence(objectId(oids.commonName), utf8String(commonName))));
}

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  return sequence(objectId(oid), ...(critical ? [boolean(true)] : []), octetString(value));
}

function keyUsage(usage: { readonly octet: number; readonly unused: number }): Uint8Array {
  return bitString(Uint8Array.of(usage.octet), usage.unused);
}

/** Any value that is unique to the key will do (RFC 5280 §4.2.1.2). */
function keyIdentifier(key: KeyObject): Uint8Array {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest()
    .subarray(0, 20);
}

function dnsName(name: string): Uint8Array {
  return tagged(2, "primitive", encodeUtf8(name));
}

/** A list of subtrees, permitted (0) or excluded (1); there is none without names. */
function nameTrees(list: 0 | 1, names: readonly string[]): readonly Uint8Array[] {
  return names.length === 0
    ? []
    : [tagged(list, "constructed", concatBytes(names.map((name) => sequence(dnsName(name)))))];
}

function ipName(address: string): Uint8Array {
  const octets = ipOctets(address);
  if (octets === null) throw new TypeError(`not an IP address: ${address}`);
  return tagged(7, "primitive", octets);
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
