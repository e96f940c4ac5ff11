/**
 * SASL (RFC 4422) as AUTH carries it: PLAIN, LOGIN and SCRAM-SHA-256 on both sides, pure; and strict base64. Passwords are
 * checked and keys looked up by the caller, and cryptography comes from outside. Begin with `mechanism.ts`.
 */
import { assert } from "../../base/index.ts";
import type { SaslClient, SaslCredentials, SaslServer, ScramCrypto } from "./mechanism.ts";
import { loginClient, loginServer, plainClient, plainServer } from "./plain.ts";
import { scramClient } from "./scram-client.ts";
import { type ScramServerOptions, scramServer } from "./scram-server.ts";

export { decodeBase64, encodeBase64 } from "./base64.ts";
export * from "./mechanism.ts";
export type { ScramServerOptions } from "./scram-server.ts";

/** Begins an exchange as a server; null for a mechanism that is not known here. */
export function createSaslServer(mechanism: string, scram: ScramServerOptions): SaslServer | null {
  if (mechanism === "SCRAM-SHA-256") return scramServer(scram);
  if (mechanism === "PLAIN") return plainServer();
  return mechanism === "LOGIN" ? loginServer() : null;
}

/**
 * Begins an exchange as a client; null for a mechanism that is not known here, and for LOGIN where an `authzid` is given, which it
 * cannot say. Throws where a name or the password holds NUL, which ends a field in PLAIN: a bug.
 */
export function createSaslClient(
  mechanism: string,
  credentials: SaslCredentials,
  crypto: ScramCrypto,
): SaslClient | null {
  const { authzid, authcid, password } = credentials;
  assert(![authzid, authcid, password].some((field) => field?.includes("\0")), "credentials hold no NUL");
  if (mechanism === "SCRAM-SHA-256") return scramClient(credentials, crypto);
  if (mechanism === "PLAIN") return plainClient(credentials);
  return mechanism === "LOGIN" && authzid === undefined ? loginClient(credentials) : null;
}
