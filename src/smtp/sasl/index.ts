/**
 * SASL (RFC 4422) as AUTH carries it: PLAIN, LOGIN, SCRAM-SHA-256 and -PLUS, EXTERNAL, OAUTHBEARER and XOAUTH2 on both sides, pure; and
 * strict base64. Passwords and tokens are checked and keys looked up by the caller, and cryptography comes from outside. Begin
 * with `mechanism.ts`.
 */
import { assert } from "../../base/index.ts";
import { bearerClient, bearerServer } from "./bearer.ts";
import { externalClient, externalServer } from "./external.ts";
import type {
  PasswordCredentials,
  SaslChannel,
  SaslClient,
  SaslCredentials,
  SaslServer,
  ScramCrypto,
} from "./mechanism.ts";
import { loginClient, loginServer, plainClient, plainServer } from "./plain.ts";
import { scramClient } from "./scram-client.ts";
import { type ScramServerOptions, scramServer } from "./scram-server.ts";

export { decodeBase64, encodeBase64 } from "./base64.ts";
export * from "./mechanism.ts";
export type { ScramServerOptions } from "./scram-server.ts";

/** Begins an exchange as a server; null for a mechanism that is not known here, and for -PLUS without `channelBinding`. */
export function createSaslServer(mechanism: string, scram: ScramServerOptions): SaslServer | null {
  switch (mechanism) {
    case "SCRAM-SHA-256-PLUS":
      return scram.channelBinding === undefined ? null : scramServer(mechanism, scram);
    case "SCRAM-SHA-256":
      return scramServer(mechanism, scram);
    case "PLAIN":
      return plainServer();
    case "LOGIN":
      return loginServer();
    case "EXTERNAL":
      return externalServer();
    case "OAUTHBEARER":
    case "XOAUTH2":
      return bearerServer(mechanism);
    default:
      return null;
  }
}

const NO_CHANNEL: SaslChannel = { binding: null, plusOffered: false };

/**
 * Begins an exchange as a client; null for a mechanism that is not known here or cannot say these credentials: LOGIN knows no `authzid`,
 * -PLUS needs something to bind to. Throws where a field holds what would end it on the line, a bug: NUL, or Control-A in a token.
 */
export function createSaslClient(
  mechanism: string,
  credentials: SaslCredentials,
  crypto: ScramCrypto,
  channel: SaslChannel = NO_CHANNEL,
): SaslClient | null {
  const separators = "token" in credentials ? /[\u0000\u0001]/ : /\u0000/;
  assert(!Object.values(credentials).some((field) => separators.test(String(field))), "credentials hold no NUL");
  if ("external" in credentials) return mechanism === "EXTERNAL" ? externalClient(credentials) : null;
  if ("token" in credentials) {
    return mechanism === "OAUTHBEARER" || mechanism === "XOAUTH2" ? bearerClient(mechanism, credentials) : null;
  }
  return passwordClient(mechanism, credentials, crypto, channel);
}

function passwordClient(
  mechanism: string,
  credentials: PasswordCredentials,
  crypto: ScramCrypto,
  channel: SaslChannel,
): SaslClient | null {
  if (mechanism === "SCRAM-SHA-256-PLUS" || mechanism === "SCRAM-SHA-256") {
    return scramClient(mechanism, credentials, crypto, channel);
  }
  if (mechanism === "PLAIN") return plainClient(credentials);
  return mechanism === "LOGIN" && credentials.authzid === undefined ? loginClient(credentials) : null;
}
