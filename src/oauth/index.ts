/**
 * Access tokens of OAuth 2.0 as proof of who a user is: checked by the keys that an issuer publishes (RFC 7519, RFC 8725), or by asking
 * the issuer (RFC 7662). Nothing of SMTP or SASL may be known here, nor who the users are: the answer is what the issuer calls the
 * user. Begin with `tokens.ts`.
 */
export { readKeys } from "./issuer-keys.ts";
export { createTokens, type TokenOptions, type Tokens } from "./tokens.ts";
