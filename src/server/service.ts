import type { Log } from "../base/index.ts";
import type { ClearStream } from "../net/index.ts";
import type { BareNewlines } from "../smtp/index.ts";
import type { Policy } from "./policy.ts";
import type { ServiceTls, Upgrades } from "./upgrades.ts";

/** When TLS begins: by command (RFC 3207), with the first octet (RFC 8314 §3.3), or never. */
export type TlsMode = "starttls" | "implicit" | "none";

/** How one kind of connection is served. */
export interface Service {
  readonly tls: TlsMode;
  /**
   * Default "smtp". "lmtp" is RFC 2033, for a program that delivers at once and keeps no queue: the client says LHLO, and the end of
   * data gets a reply for each recipient. Not for port 25, nor for anything but a local network (§5).
   */
  readonly protocol?: "smtp" | "lmtp";
  /** Its own certificates, client certificates and session tickets; default: the server's. */
  readonly serverTls?: ServiceTls;
  /**
   * Demand TLS and a client certificate that is known (`ServerTlsOptions.clientCertificates`): before TLS all but STARTTLS gets
   * 530, and inside TLS without one all but QUIT gets 554 (RFC 3207 §4.1). Default false. Not for a public MX, which must
   * not demand TLS (RFC 3207 §4).
   */
  readonly requireCertificate?: boolean;
  /** Default: the server's. */
  readonly policy?: Policy;
  /** What becomes of a CR or LF alone in a body; default "refuse". "repair" is for submission only. */
  readonly bareNewlines?: BareNewlines;
  /** Refuse a peer that talks before the greeting (RFC 5321 §3.1); default true. */
  readonly refuseEarlyTalk?: boolean;
  /**
   * Peers that are proxies, by their IP address: from them a PROXY header (version 1 or 2) is demanded before anything else,
   * and the client that it names is the client. From all others a header is junk. Default: nobody. See `inNetworks`.
   */
  readonly proxy?: (address: string) => boolean;
  /**
   * Peers that may say by XCLIENT (Postfix's extension) for whom they speak, by the IP address that they themselves have: who
   * the client is, and as whom it has authenticated, is believed. Offered to them alone. Default: nobody. See `inNetworks`.
   */
  readonly xclient?: (address: string) => boolean;
  /** Where its connections are told of; default: the server's. */
  readonly log?: Log;
}

/** Whether the peer may name, by XCLIENT, the clients that it brings. */
export function speaksForOthers({ xclient }: Service, { peer }: ClearStream): boolean {
  return xclient?.(peer.address) === true;
}

/** The services as they are; throws where one cannot be served as it asks. */
export function certified(services: readonly Service[], upgrades: Upgrades): readonly Service[] {
  for (const { tls, serverTls } of services) {
    if (tls === "implicit" && upgrades.of(serverTls) === null) {
      throw new TypeError("a listener with implicit TLS needs a certificate");
    }
  }
  return services;
}
