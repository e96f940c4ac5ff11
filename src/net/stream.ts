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

/** How a certificate met what was demanded of it: "nothing" where nothing was demanded, or what was demanded was not met. */
export type CertificateProof = "nothing" | "name" | "pin" | "dane";

/**
 * Why a certificate was not taken. "name": it is for another name. "expired": its time, or that of an authority in its path, is
 * over. "untrusted": no path to a trusted authority, for whatever reason. "dane": no TLSA record matches. "pin": not a pinned key.
 */
export type CertificateReason = "name" | "expired" | "untrusted" | "dane" | "pin";

export interface PeerCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** DNS names and IP addresses of its subjectAltName, in its order. */
  readonly names: readonly string[];
  readonly validTo: string;
  readonly fingerprint256: string;
  /** SHA-256 over the SubjectPublicKeyInfo, hex in lower case. */
  readonly spki256: string;
  /** True when it proved what this side demanded; false where nothing was. */
  readonly authorized: boolean;
  /** What was proven by it. */
  readonly proven: CertificateProof;
  /** Why not authorized, null when it is. */
  readonly problem: string | null;
  /** The same for a program; null when authorized, and where nothing was demanded. */
  readonly reason: CertificateReason | null;
  /** The known peer whose it is (`KnownPeer.name`), where this side is the server and knows one. */
  readonly identity?: string;
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
  /** For "certificate": what was wrong with it. Absent where there was no certificate at all. */
  readonly reason?: CertificateReason;
  /**
   * The connection broke, or the time was over, before the server sent a single octet of its handshake: it may be one of those that
   * cannot take a ClientHello larger than a packet, and be tried again with classical groups.
   */
  readonly silent?: true;
  /** The handshake offered a session to resume. It is forgotten now: a new connection makes a full handshake. */
  readonly resuming?: true;
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
   * not be changed afterwards, or not before `unsent` is 0. Writing to a stream that is ended or gone does nothing.
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
