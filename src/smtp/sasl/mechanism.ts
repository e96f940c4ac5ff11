import type { Result } from "../../base/index.ts";

/** What a server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3): enough to check a proof, not to make one. */
export interface ScramKeys {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** What a server's mechanism wants next, or how the exchange ended. Octets are raw: base64 is the session's. */
export type SaslServerStep =
  /** Send this in a 334 and hand the answer to `next`. */
  | { readonly kind: "challenge"; readonly data: Uint8Array }
  /** The end: it is for the caller to check the password, and that `authzid` (null: none given) may be acted for. */
  | {
      readonly kind: "password";
      readonly authzid: string | null;
      readonly authcid: string;
      readonly password: string;
    }
  /** Look up what is kept for `authcid` and go on with `supply`; null for a user who does not exist. */
  | {
      readonly kind: "lookup";
      readonly authcid: string;
      supply(keys: ScramKeys | null): SaslServerStep;
    }
  /** The end: `authcid` has proved to know the password. That `authzid` may be acted for is for the caller to check. */
  | { readonly kind: "authenticated"; readonly authzid: string | null; readonly authcid: string }
  /** The end: the certificate of the client's TLS says who it is, and whether it may act for `authzid` is for the caller to check. */
  | { readonly kind: "external"; readonly authzid: string | null }
  /**
   * The end, if `token` (a bearer token of OAuth, RFC 6750 §2.1; empty where the client only asks what is wanted) is good and
   * `authzid` may be acted for. Else go on with `reject`: the client is told why before it is refused.
   */
  | {
      readonly kind: "token";
      readonly authzid: string | null;
      readonly token: string;
      reject(reason: TokenRejection): SaslServerStep;
    }
  /**
   * The end: "malformed" is against the mechanism's grammar (501 5.5.2), "credentials" a wrong proof (535 5.7.8). "channelBinding": the
   * two sides do not see the same TLS, or the client was told that this server binds nothing: somebody may stand between.
   */
  | { readonly kind: "failed"; readonly reason: "malformed" | "credentials" | "channelBinding" };

/** What a client with a token that is no good is told (RFC 7628 §3.2.2). */
export interface TokenRejection {
  /** An error code of OAuth (RFC 6750 §3.1). */
  readonly status: "invalid_token" | "insufficient_scope" | "invalid_request";
  /** The scope that a token needs, where one is. */
  readonly scope: string | null;
  /** Where the client finds the issuer's metadata. */
  readonly configuration: string | null;
}

/** One exchange of one mechanism, on the server's side. */
export interface SaslServer {
  readonly mechanism: SaslMechanism;
  /** Takes the client's response: at first the initial response, null where AUTH came without one. */
  next(response: Uint8Array | null): SaslServerStep;
}

/** Who logs in, and by what. */
export type SaslCredentials = PasswordCredentials | TokenCredentials | CertificateCredentials;

/** Names and password have gone through SASLprep (RFC 4013) where that is wanted, and hold no NUL. */
export interface PasswordCredentials {
  readonly authcid: string;
  readonly password: string;
  /** Whom to act for, where not oneself. */
  readonly authzid?: string;
}

/** An access token of OAuth. `authcid` is whom the token speaks of. */
export interface TokenCredentials {
  readonly authcid: string;
  readonly token: string;
}

/** The certificate that was shown in the TLS handshake. */
export interface CertificateCredentials {
  readonly external: true;
  /** Whom to act for; without it the server derives that from the certificate. */
  readonly authzid?: string;
}

/** What a client knows of its TLS session when it begins an exchange (RFC 5802 §6). */
export interface SaslChannel {
  /** Null where there is nothing to bind to. */
  readonly binding: { readonly type: string; readonly data: Uint8Array } | null;
  /** The server offers SCRAM-SHA-256-PLUS. */
  readonly plusOffered: boolean;
}

export type SaslClientProblem =
  /** Not what the mechanism's grammar allows at this point. */
  | "badChallenge"
  /** The mechanism has nothing more to say. */
  | "unexpectedChallenge"
  /** Fewer iterations than RFC 7677 §4 wants, or so many that they would stop this process. */
  | "badIterations"
  /** The server told an error of its own in place of its proof. */
  | "serverRefused"
  /** The server does not know the password: somebody else may be answering in its place. */
  | "serverNotProved";

/** One exchange of one mechanism, on the client's side. */
export interface SaslClient {
  readonly mechanism: SaslMechanism;
  /** The initial response, null where the server has to speak first. */
  readonly initial: Uint8Array | null;
  /** Answers a challenge. After a problem the exchange is to be cancelled with `*` and the server not trusted. */
  next(challenge: Uint8Array): Result<Uint8Array, SaslClientProblem>;
  /** True when the client has said all and the server has proved what it had to: a 235 before that is a failure. */
  readonly complete: boolean;
}

/** In order of preference. */
export const SASL_MECHANISMS = [
  "EXTERNAL",
  "SCRAM-SHA-256-PLUS",
  "SCRAM-SHA-256",
  "PLAIN",
  "LOGIN",
  "OAUTHBEARER",
  "XOAUTH2",
] as const;

export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

/** The cryptography that SCRAM-SHA-256 needs, given from outside so that this folder stays pure. All of it is synchronous. */
export interface ScramCrypto {
  /** SHA-256. */
  hash(data: Uint8Array): Uint8Array;
  /** HMAC-SHA-256. */
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** PBKDF2 with HMAC-SHA-256, 32 octets: `Hi` of RFC 5802 §2.2. Only a client needs it. */
  pbkdf2(password: Uint8Array, salt: Uint8Array, iterations: number): Uint8Array;
  /** A nonce never used before: printable ASCII without a comma, from at least 18 octets of cryptographic chance. */
  nonce(): string;
}
