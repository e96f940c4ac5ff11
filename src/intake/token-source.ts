/** "invalid" and "unavailable" tell the operator why, in one plain line without anything of the token. */
export type TokenVerification =
  /** `identity` is who the token speaks of, as the issuer writes it. */
  | { readonly kind: "valid"; readonly identity: string }
  | { readonly kind: "invalid"; readonly reason: string }
  /** Good, and not for mail. */
  | { readonly kind: "insufficientScope"; readonly reason: string }
  /** Nothing is known now: the issuer did not answer. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Who checks access tokens of OAuth (RFC 6750); the port to the issuer's keys, or to the issuer itself. */
export interface TokenSource {
  /** The scope that a token needs, told to clients whose token is no good (RFC 7628 §3.2.2); null: none. */
  readonly scope: string | null;
  /** Where clients find the issuer's metadata; null: not told. */
  readonly configuration: string | null;
  /** May throw or reject: then the client is told to try later (454). */
  check(token: string): Promise<TokenVerification>;
}
