import { constants } from "node:crypto";

/** The oldest protocol of ours; RFC 8996 retires what came before. */
export const OLDEST_VERSION = "TLSv1.2";

/**
 * All of TLS 1.3; of TLS 1.2 what has forward secrecy. The CBC suites at the end are for mail hosts on old Windows servers, which
 * would otherwise fall back to clear text (RFC 7435 §3).
 */
export const CIPHERS: string = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "DHE-RSA-AES256-GCM-SHA384",
  "DHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-SHA384",
  "ECDHE-RSA-AES256-SHA384",
  "ECDHE-RSA-AES128-SHA256",
].join(":");

/** Key exchange without a post-quantum part: its ClientHello fits one packet, which some hosts need. */
export const CLASSICAL_GROUPS = "X25519:P-256:P-384";

/** Renegotiation has been an attack (RFC 5746) and is of no use to SMTP. */
export const SECURE_OPTIONS: number = constants.SSL_OP_NO_RENEGOTIATION;

/** What a server adds: its own order of ciphers. */
export const SERVER_SECURE_OPTIONS: number = SECURE_OPTIONS | constants.SSL_OP_CIPHER_SERVER_PREFERENCE;

export const NO_TICKETS: number = constants.SSL_OP_NO_TICKET;
