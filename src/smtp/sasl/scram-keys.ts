import { encodeUtf8 } from "../../base/index.ts";
import type { ScramCrypto, ScramKeys } from "./mechanism.ts";

const CLIENT_KEY = encodeUtf8("Client Key");
const SERVER_KEY = encodeUtf8("Server Key");

export interface DerivedKeys extends ScramKeys {
  /** Known to the client alone. */
  readonly clientKey: Uint8Array;
}

/** The keys of a password (RFC 5802 §3). `password` has gone through SASLprep. */
export function deriveKeys(crypto: ScramCrypto, password: string, salt: Uint8Array, iterations: number): DerivedKeys {
  const salted = crypto.pbkdf2(encodeUtf8(password), salt, iterations);
  const clientKey = crypto.hmac(salted, CLIENT_KEY);
  const serverKey = crypto.hmac(salted, SERVER_KEY);
  return { salt, iterations, clientKey, storedKey: crypto.hash(clientKey), serverKey };
}

/** Octet by octet; both have the same length. */
export function xorOctets(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((octet, index) => octet ^ (b[index] ?? 0));
}

/** Equality in a time that depends on the lengths only, so that no proof can be found octet by octet. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
