import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { childrenOf, derElements } from "./certificate-fields.ts";
import type { Stream } from "./stream.ts";

/** The types of channel binding that are known here: RFC 9266 and RFC 5929 §4. */
export type ChannelBindingType = "tls-exporter" | "tls-server-end-point";

interface Secured {
  readonly socket: TLSSocket;
  /** The server's certificate, DER; null where this side is the server, and OpenSSL knows which of them it showed. */
  readonly certificate: Uint8Array | null;
}

const secured = new WeakMap<Stream, Secured>();

/** Keeps what `channelBinding` needs for as long as the stream is there: nothing is computed for those who do not ask. */
export function rememberChannel(stream: Stream, socket: TLSSocket, certificate: Secured["certificate"]): void {
  secured.set(stream, { socket, certificate });
}

const LABEL = "EXPORTER-Channel-Binding";
const EXPORTED_OCTETS = 32;

/**
 * What both ends of a TLS stream know, and nobody who stands between them with a TLS session to each (RFC 5056). Null in clear text,
 * and where the type is not defined for this session: `tls-exporter` before TLS 1.3, since RFC 9266 §4.2 allows it in TLS 1.2 only with
 * the extended master secret, which Node does not tell; `tls-server-end-point` for a certificate whose signature names no
 * hash (RFC 5929 §4.1). `tls-unique` is not known: TLS 1.3 has none, and in TLS 1.2 it has the same gap.
 */
export function channelBinding(stream: Stream, type: ChannelBindingType): Uint8Array | null {
  const found = secured.get(stream);
  if (found === undefined || found.socket.destroyed) return null;
  const { socket } = found;
  if (type === "tls-server-end-point") {
    const certificate = found.certificate ?? socket.getX509Certificate()?.raw;
    return certificate === undefined ? null : endPoint(certificate);
  }
  if (socket.getProtocol() !== "TLSv1.3") return null;
  // RFC 9266 §2: the context is there, and empty.
  return new Uint8Array(socket.exportKeyingMaterial(EXPORTED_OCTETS, LABEL, Buffer.alloc(0)));
}

/** RFC 5929 §4.1: the certificate by the hash of its own signature, but by SHA-256 where that is MD5 or SHA-1. */
export function endPoint(certificate: Uint8Array): Uint8Array | null {
  const hash = signatureHash(certificate);
  return hash === null ? null : new Uint8Array(createHash(hash).update(certificate).digest());
}

/** Object identifiers as their content octets in hex (RFC 3279, RFC 4055, RFC 5758). */
const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d010104", "sha256"], // md5WithRSAEncryption
  ["2a864886f70d010105", "sha256"], // sha1WithRSAEncryption
  ["2a864886f70d01010e", "sha224"],
  ["2a864886f70d01010b", "sha256"],
  ["2a864886f70d01010c", "sha384"],
  ["2a864886f70d01010d", "sha512"],
  ["2a8648ce3d0401", "sha256"], // ecdsa-with-SHA1
  ["2a8648ce3d040301", "sha224"],
  ["2a8648ce3d040302", "sha256"],
  ["2a8648ce3d040303", "sha384"],
  ["2a8648ce3d040304", "sha512"],
]);

const RSASSA_PSS = "2a864886f70d01010a";

/** The hash that RSASSA-PSS names among its parameters (RFC 4055 §3.1). */
const PSS_HASHES: ReadonlyMap<string, string> = new Map([
  ["2b0e03021a", "sha256"], // SHA-1
  ["608648016503040204", "sha224"],
  ["608648016503040201", "sha256"],
  ["608648016503040202", "sha384"],
  ["608648016503040203", "sha512"],
]);

const SEQUENCE = 0x30;
const HASH_PARAMETER = 0xa0;

function signatureHash(der: Uint8Array): string | null {
  const [certificate] = derElements(der) ?? [];
  const algorithm = certificate && childrenOf(certificate, SEQUENCE)[1];
  const [id, parameters] = algorithm === undefined ? [] : childrenOf(algorithm, SEQUENCE);
  if (id === undefined) return null;
  const named = hex(id.content);
  if (named !== RSASSA_PSS) return SIGNATURE_HASHES.get(named) ?? null;
  const [first] = parameters === undefined ? [] : childrenOf(parameters, SEQUENCE);
  // Left out, it is SHA-1.
  if (first?.tag !== HASH_PARAMETER) return "sha256";
  const [hash] = childrenOf(first, HASH_PARAMETER);
  const [hashId] = hash === undefined ? [] : childrenOf(hash, SEQUENCE);
  return hashId === undefined ? null : (PSS_HASHES.get(hex(hashId.content)) ?? null);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
