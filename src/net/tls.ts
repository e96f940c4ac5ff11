import type { Result } from "../base/result.ts";
import type { ClearStream, NetProblem, Stream } from "./stream.ts";

/** A certificate chain and its key, both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface ServerTlsOptions {
  /** The first is the default; by SNI the first whose names match is shown (several for one name: by key type). */
  readonly keyPairs: readonly KeyPair[];
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** TLS 1.3 session tickets have lost mail of some senders; on by default off. */
  readonly sessionTickets?: boolean;
}

/** The server's side of TLS. `replace` takes effect for the next handshake; running sessions keep theirs. */
export declare class ServerTls {
  private constructor();
  /** Fails with one plain line when a certificate or key cannot be read or they do not belong together. */
  static create(options: ServerTlsOptions): Result<ServerTls, string>;
  replace(options: ServerTlsOptions): Result<void, string>;
  /** Earliest end of validity of the certificates, milliseconds since the epoch. */
  readonly expires: number;
}

/** Runs the handshake as a server. `stream` is consumed; on a failure it is closed. `timeout` in milliseconds. */
export declare function upgradeServer(
  stream: ClearStream,
  tls: ServerTls,
  timeout: number,
): Promise<Result<Stream, NetProblem>>;

export interface ClientTlsOptions {
  /** Sent as SNI; null sends none (address literals). */
  readonly serverName: string | null;
  /**
   * "nothing": any certificate. "name": it must chain to `ca` (default: the system's) and name one of `names` (RFC 9525).
   * "pin": its SPKI must be one of `pins` (SHA-256, hex).
   */
  readonly verify:
    | { readonly kind: "nothing" }
    | { readonly kind: "name"; readonly names: readonly string[]; readonly ca?: readonly string[] }
    | { readonly kind: "pin"; readonly pins: readonly string[] };
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /** Milliseconds. */
  readonly timeout: number;
}

/**
 * Runs the handshake as a client. `stream` is consumed; on a failure it is closed. Problem kinds: "tls", "certificate",
 * "timeout", "reset".
 */
export declare function upgradeClient(
  stream: ClearStream,
  options: ClientTlsOptions,
): Promise<Result<Stream, NetProblem>>;
