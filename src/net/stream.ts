/** An IP address and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What a finished TLS handshake proved. */
export interface TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
  /** The cipher suite's IETF name, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** Key exchange group where known, such as `X25519MLKEM768`. */
  readonly group: string | null;
  /** The name asked for by SNI, null where none was. */
  readonly serverName: string | null;
  readonly resumed: boolean;
  /** The other side's certificate, null where it showed none. */
  readonly peerCertificate: PeerCertificate | null;
}

export interface PeerCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly validTo: string;
  readonly fingerprint256: string;
  /** SHA-256 over the SubjectPublicKeyInfo, hex in lower case. */
  readonly spki256: string;
  /** True when it proved what this side demanded; false where nothing was. */
  readonly authorized: boolean;
  /** Why not authorized, null when it is. */
  readonly problem: string | null;
}

/** What went wrong on the network, as a value; `detail` is local text for logs and never for a peer. */
export interface NetProblem {
  readonly kind:
    | "refused"
    | "unreachable"
    | "timeout"
    | "reset"
    | "aborted"
    | "addressInUse"
    | "addressUnavailable"
    | "permission"
    /** The TLS handshake failed. */
    | "tls"
    /** The certificate did not prove what was demanded. */
    | "certificate"
    | "other";
  readonly detail: string;
}

export interface StreamHandler {
  /** Octets from the peer. The array is the handler's to keep. */
  data(bytes: Uint8Array): void;
  /** All that was written has gone to the kernel, after a `write` that returned false. */
  drained(): void;
  /** The peer will send no more (half-close); writing still works. */
  ended(): void;
  /** The last call: the stream is gone. `problem` is null after an orderly end. */
  closed(problem: NetProblem | null): void;
}

/**
 * A connection as the drivers see it: plain, TLS or in memory. A stream is paused until `attach`; a socket error never
 * throws, it arrives as `closed`.
 */
export interface Stream {
  readonly peer: Endpoint;
  readonly local: Endpoint;
  /** Null in clear text. */
  readonly tls: TlsInfo | null;
  /** Sets who is told, and lets octets flow. */
  attach(handler: StreamHandler): void;
  /**
   * False when the caller should stop writing until `drained`. The octets are taken either way, and the array with them: it must
   * not be changed afterwards. Writing to a stream that is ended or gone does nothing.
   */
  write(bytes: Uint8Array): boolean;
  /** Octets written and not yet taken by the kernel. */
  readonly unsent: number;
  pause(): void;
  resume(): void;
  /**
   * Writes out what is pending, then closes our side; reading goes on, if paused before, until the peer ends its own. Who calls
   * this bounds the wait for that, and calls `destroy`.
   */
  end(): void;
  /** Closes at once; pending octets are lost. */
  destroy(): void;
  /** Batches the writes up to `uncork` into few packets. */
  cork(): void;
  uncork(): void;
}

/** A clear-text stream that can become a TLS one. Upgrading consumes it: it must not be used again, whatever comes. */
export interface ClearStream extends Stream {
  readonly tls: null;
}
