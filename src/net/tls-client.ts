import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, createSecureContext, getCACertificates, type SecureContext, type TLSSocket } from "node:tls";
import { err, ok, type Result } from "../base/index.ts";
import { runHandshake, takeSocket } from "./handshake.ts";
import { tlsStream } from "./socket-stream.ts";
import type { ClearStream, NetProblem, Stream } from "./stream.ts";
import { peerCertificate, spki256, tlsInfo } from "./tls-info.ts";
import { namesHost } from "./tls-server.ts";
import { CIPHERS, CLASSICAL_GROUPS, OLDEST_VERSION, SECURE_OPTIONS } from "./tls-settings.ts";

export interface ClientTlsOptions {
  /** Sent as SNI; null sends none (address literals). */
  readonly serverName: string | null;
  /**
   * "nothing": any certificate. "name": it must chain to `ca` (PEM; default: the system's and Node's) and name one of `names`
   * (RFC 9525). "pin": its SPKI must be one of `pins` (SHA-256, hex).
   */
  readonly verify: PeerDemand;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /**
   * "classical" leaves out the post-quantum groups (default: they come first), for a host that hung or reset the connection on
   * the larger ClientHello.
   */
  readonly groups?: "all" | "classical";
  /** Milliseconds. */
  readonly timeout: number;
}

type PeerDemand =
  | { readonly kind: "nothing" }
  | { readonly kind: "name"; readonly names: readonly string[]; readonly ca?: readonly string[] }
  | { readonly kind: "pin"; readonly pins: readonly string[] };

/**
 * Runs the handshake as a client. `stream` is consumed; on a failure it is closed. Problem kinds: "tls", "certificate",
 * "timeout", "reset".
 *
 * Octets that came before the handshake are an attempt to inject a response (RFC 3207 §6) and fail it: those that Node already
 * read are looked for here, those behind them are no TLS record.
 */
export async function upgradeClient(
  stream: ClearStream,
  options: ClientTlsOptions,
): Promise<Result<Stream, NetProblem>> {
  const taken = await takeSocket(stream, options.timeout);
  if (!taken.ok) return taken;
  if (taken.value.readableLength > 0) {
    taken.value.destroy();
    return err({ kind: "tls", detail: "the server sent clear text before the TLS handshake" });
  }
  let socket: TLSSocket;
  try {
    socket = connect({
      socket: taken.value,
      ...(options.serverName === null ? {} : { servername: options.serverName }),
      secureContext: contextFor(options),
      // What the certificate proves is looked at below, so that a refusal is a value that says why.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
  } catch (error) {
    taken.value.destroy();
    // An authority that is no certificate, or a server name that is none.
    return err({ kind: "tls", detail: error instanceof Error ? error.message : String(error) });
  }
  return runHandshake({
    socket,
    event: "secureConnect",
    timeout: options.timeout,
    finish: () => finish(socket, stream, options),
  });
}

function finish(socket: TLSSocket, below: ClearStream, options: ClientTlsOptions): Result<Stream, NetProblem> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return err({ kind: "certificate", detail: "the server showed no certificate" });
  const problem = certificateProblem(socket, certificate, options.verify);
  if (problem !== null && options.verify.kind !== "nothing") return err({ kind: "certificate", detail: problem });
  const info = tlsInfo(socket, options.serverName, peerCertificate(certificate, problem));
  return ok(tlsStream(socket, below, info));
}

function certificateProblem(socket: TLSSocket, certificate: X509Certificate, verify: PeerDemand): string | null {
  switch (verify.kind) {
    case "nothing":
      return "it was not checked";
    case "pin": {
      const pin = spki256(certificate);
      return verify.pins.some((wanted) => wanted.toLowerCase() === pin) ? null : `its key ${pin} is not a pinned one`;
    }
    case "name":
      if (!socket.authorized) return `it is not trusted: ${String(socket.authorizationError)}`;
      if (verify.names.some((name) => namesPeer(certificate, name))) return null;
      return `it names ${certificate.subjectAltName ?? "nothing"}, not ${verify.names.join(" or ")}`;
  }
}

function namesPeer(certificate: X509Certificate, name: string): boolean {
  return isIP(name) === 0 ? namesHost(certificate, name) : certificate.checkIP(name) !== undefined;
}

/** Made once for each set of authorities: reading the system's takes milliseconds. */
const contexts = new WeakMap<readonly string[], Map<string, SecureContext>>();
const noAuthorities: readonly string[] = [];
let trusted: readonly string[] | null = null;

function contextFor({ verify, minVersion = OLDEST_VERSION, groups = "all" }: ClientTlsOptions): SecureContext {
  const ca = verify.kind === "name" ? (verify.ca ?? trustedByDefault()) : noAuthorities;
  const variants = contexts.get(ca) ?? new Map<string, SecureContext>();
  contexts.set(ca, variants);
  const variant = `${minVersion} ${groups}`;
  const known = variants.get(variant);
  if (known !== undefined) return known;
  const context = createSecureContext({
    ca: [...ca],
    minVersion,
    ciphers: CIPHERS,
    secureOptions: SECURE_OPTIONS,
    ...(groups === "classical" ? { ecdhCurve: CLASSICAL_GROUPS } : {}),
  });
  variants.set(variant, context);
  return context;
}

/** What the operating system trusts and what Node was told to (`NODE_EXTRA_CA_CERTS`, its bundle). */
function trustedByDefault(): readonly string[] {
  trusted ??= [...new Set([...getCACertificates("default"), ...getCACertificates("system")])];
  return trusted;
}
