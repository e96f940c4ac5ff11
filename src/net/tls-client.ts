import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { err, instant, ok, type Result } from "../base/index.ts";
import { rememberChain } from "./certificate-chain.ts";
import { rememberChannel } from "./channel-binding.ts";
import { runHandshake, takeSocket } from "./handshake.ts";
import { judge, type PeerDemand } from "./peer-demand.ts";
import { netProblem } from "./problem.ts";
import { tlsStream } from "./socket-stream.ts";
import type { ClearStream, NetProblem, Stream } from "./stream.ts";
import { type ClientContext, clientContext } from "./tls-context.ts";
import { peerCertificate, tlsInfo } from "./tls-info.ts";
import { Resumption } from "./tls-resumption.ts";
import type { KeyPair } from "./tls-server.ts";
import type { TlsSessions } from "./tls-sessions.ts";

export interface ClientTlsOptions {
  /** Sent as SNI; null sends none (address literals). */
  readonly serverName: string | null;
  /** What the server's certificate must prove. */
  readonly verify: PeerDemand;
  /**
   * A certificate that does not prove it ends nothing: what is wrong is told in the stream's `tls.peerCertificate` (`problem`,
   * `reason`), and nothing counts as proven. For looking at a server, and for policies that only watch. Such sessions are not resumed.
   */
  readonly lenient?: boolean;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** Default TLS 1.3; to find out what a server can do. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /**
   * Key exchange: "classical" leaves out the post-quantum groups (default "all": they come first), for a host that hung or reset the
   * connection on the larger ClientHello. A list names groups as OpenSSL does (`X25519MLKEM768`, `X25519`, `P-256`).
   */
  readonly groups?: "all" | "classical" | readonly string[];
  /** Shown when the server asks for one; its chain may follow it. One object for all connections is read once. */
  readonly clientCertificate?: KeyPair;
  readonly resume?: ResumeOptions;
  /** Milliseconds. */
  readonly timeout: number;
  /** Gives it up, as the problem "aborted". */
  readonly signal?: AbortSignal;
}

/**
 * Where sessions are kept that later handshakes resume. What was proven in the full handshake counts again only if it would meet the
 * demand of today: TLSA records, pins, names and dates are held against the certificates shown then.
 */
export interface ResumeOptions {
  readonly sessions: TlsSessions;
  /** Host, port, and whatever else must keep apart. What is demanded and offered by these options is added to it here. */
  readonly key: string;
}

/**
 * Runs the handshake as a client. `stream` is consumed; on a failure it is closed. Problem kinds: "tls", "certificate",
 * "timeout", "reset", "aborted"; see `NetProblem` for `reason`, `silent` and `resuming`.
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
  const before = taken.value.bytesRead;
  let upgrade: Upgrade;
  try {
    upgrade = new Upgrade(taken.value, stream, options);
  } catch (error) {
    taken.value.destroy();
    // An authority or client certificate that is none, a group that is not known, or a server name that is none.
    return err({ kind: "tls", detail: netProblem(error).detail });
  }
  const result = await runHandshake({
    socket: upgrade.socket,
    event: "secureConnect",
    timeout: options.timeout,
    signal: options.signal,
    finish: () => upgrade.finish(),
    heard: () => taken.value.bytesRead > before,
  });
  return result.ok ? result : err(upgrade.failed(result.error));
}

/** One handshake, and the sessions that come of it. */
class Upgrade {
  readonly socket: TLSSocket;
  readonly #below: ClearStream;
  readonly #options: ClientTlsOptions;
  readonly #resume: Resumption | null;

  constructor(socket: Socket, below: ClearStream, options: ClientTlsOptions) {
    const context = clientContext(options);
    this.#below = below;
    this.#options = options;
    this.#resume =
      options.resume === undefined || options.lenient === true
        ? null
        : new Resumption(options.resume.sessions, sessionKey(options, options.resume.key, context), options.verify);
    const session = this.#resume?.offered?.session;
    this.socket = connect({
      socket,
      ...(options.serverName === null ? {} : { servername: options.serverName }),
      ...(session === undefined ? {} : { session }),
      secureContext: context.context,
      // What the certificate proves is looked at below, so that a refusal is a value that says why.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    this.#resume?.listen(this.socket);
  }

  finish(): Result<Stream, NetProblem> {
    const { socket } = this;
    const { serverName, verify, lenient } = this.#options;
    const now = this.#resume?.now() ?? instant(Date.now());
    const resumed = socket.isSessionReused() ? (this.#resume?.offered ?? null) : null;
    const shown = resumed ?? { chain: shownChain(socket), pathProblem: pathProblem(socket) };
    const [leaf] = shown.chain;
    if (leaf === undefined) return err({ kind: "certificate", detail: "the server showed no certificate" });
    const judged = judge(verify, shown, now);
    if (!judged.ok && verify.kind !== "nothing" && lenient !== true) {
      const { reason, detail } = judged.error;
      return err({ kind: "certificate", detail, ...(reason === null ? {} : { reason }) });
    }
    this.#resume?.proven(shown, resumed?.provenAt ?? now, socket.getProtocol());
    const stream = tlsStream(socket, this.#below, tlsInfo(socket, serverName, peerCertificate(leaf, judged)));
    rememberChain(stream, shown.chain);
    rememberChannel(stream, socket, leaf.raw);
    return ok(stream);
  }

  failed(problem: NetProblem): NetProblem {
    return this.#resume?.failed() === true ? { ...problem, resuming: true } : problem;
  }
}

/** As the server sent it. Node gives it away once, and none of it for a resumed session. */
function shownChain(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined) {
    chain.push(certificate);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

function pathProblem({ authorized, authorizationError }: TLSSocket): string | null {
  return authorized ? null : String(authorizationError);
}

/** A session proves what was demanded of the handshake it comes from, and is of no use to any other demand. */
function sessionKey({ serverName, verify }: ClientTlsOptions, host: string, context: ClientContext): string {
  return JSON.stringify([host, context.key, serverName, demandText(verify)]);
}

function demandText(demand: PeerDemand): readonly unknown[] {
  switch (demand.kind) {
    case "nothing":
      return [demand.kind];
    case "pin":
      return [demand.kind, demand.pins];
    case "name":
      return [demand.kind, demand.names, demand.pins ?? []];
    case "dane": {
      const records = demand.records.map(({ usage, selector, matchingType, data }) => [
        usage,
        selector,
        matchingType,
        Buffer.from(data).toString("base64"),
      ]);
      return [demand.kind, records, demand.names];
    }
  }
}
