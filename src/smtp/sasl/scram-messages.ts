import { decodeUtf8, encodeUtf8 } from "../../base/index.ts";
import { MAX_SASL_FIELD, MAX_SCRAM_NONCE } from "../limits.ts";
import { decodeBase64 } from "./base64.ts";
import { readIdentity } from "./identity.ts";

/** The longest SCRAM message that is looked at: names, nonces, salt and proof at their limits, with room for extensions. */
const MAX_MESSAGE = 8192;

/** `printable` of RFC 5802 §7. */
const NONCE = /^[\u0021-\u002b\u002d-\u007e]+$/;

/**
 * gs2-cbind-flag of RFC 5802 §7: "unsupported": `n`, the client binds nothing; "notOffered": `y`, it could and believes that the server
 * cannot; else it binds.
 */
export type BindingFlag = "unsupported" | "notOffered" | { readonly type: string };

export interface ClientFirst {
  /** `n,,` with any authorization identity, as it came: the client repeats it in its final message. */
  readonly gs2Header: string;
  readonly binding: BindingFlag;
  /** The rest of the message, as it came: part of what is signed. */
  readonly bare: string;
  readonly authzid: string | null;
  readonly authcid: string;
  readonly nonce: string;
}

const FLAG = /^(?:n|y|p=[A-Za-z0-9.-]{1,64})$/;

/** client-first-message of RFC 5802 §7. Whether its flag fits the mechanism is for the caller. */
export function readClientFirst(message: Uint8Array): ClientFirst | null {
  const text = readText(message);
  const [, gs2Header, flag = "", written, bare] = /^(([^,]+),(?:a=([^,]+))?,)(.*)$/s.exec(text ?? "") ?? [];
  if (gs2Header === undefined || bare === undefined || !FLAG.test(flag)) return null;
  const [user = "", random = ""] = bare.split(",");
  // A message that begins with m= has an extension that must be understood, and none is known (RFC 5802 §5.1).
  if (!user.startsWith("n=") || !random.startsWith("r=")) return null;
  const authzid = written === undefined ? null : readSaslName(written);
  const authcid = readSaslName(user.slice(2));
  const nonce = readNonce(random.slice(2));
  if ((written !== undefined && authzid === null) || authcid === null || nonce === null) return null;
  return { gs2Header, binding: bindingOf(flag), bare, authzid, authcid, nonce };
}

function bindingOf(flag: string): BindingFlag {
  if (flag === "n") return "unsupported";
  return flag === "y" ? "notOffered" : { type: flag.slice(2) };
}

export interface ServerFirst {
  readonly nonce: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/** server-first-message of RFC 5802 §7. The bounds of `iterations` are for the caller. */
export function readServerFirst(text: string): ServerFirst | null {
  const [random = "", encodedSalt = "", count = ""] = text.split(",");
  if (!random.startsWith("r=") || !encodedSalt.startsWith("s=") || !/^i=[1-9][0-9]{0,9}$/.test(count)) return null;
  const nonce = readNonce(random.slice(2));
  const salt = decodeBase64(encodedSalt.slice(2));
  if (nonce === null || salt === null || salt.length === 0 || salt.length > MAX_SASL_FIELD) return null;
  return { nonce, salt, iterations: Number(count.slice(2)) };
}

export interface ClientFinal {
  readonly channelBinding: Uint8Array;
  readonly nonce: string;
  readonly proof: Uint8Array;
  /** All before `,p=`, as it came: part of what is signed. */
  readonly withoutProof: string;
}

/** client-final-message of RFC 5802 §7. */
export function readClientFinal(message: Uint8Array): ClientFinal | null {
  const text = readText(message);
  const [, withoutProof, encodedProof] = /^(.*),p=([^,]*)$/s.exec(text ?? "") ?? [];
  if (withoutProof === undefined || encodedProof === undefined) return null;
  const [binding = "", random = ""] = withoutProof.split(",");
  if (!binding.startsWith("c=") || !random.startsWith("r=")) return null;
  const channelBinding = decodeBase64(binding.slice(2));
  const proof = decodeBase64(encodedProof);
  if (channelBinding === null || proof === null) return null;
  return { channelBinding, nonce: random.slice(2), proof, withoutProof };
}

export function readText(message: Uint8Array): string | null {
  return message.length > MAX_MESSAGE ? null : decodeUtf8(message);
}

/** saslname of RFC 5802 §7: `,` and `=` stand as `=2C` and `=3D`, and `=` in no other way. */
export function readSaslName(written: string): string | null {
  if (/=(?!2C|3D)/.test(written)) return null;
  return readIdentity(encodeUtf8(written.replaceAll("=2C", ",").replaceAll("=3D", "=")));
}

export function formatSaslName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

/** The server's nonce is the client's with its own behind it: twice the limit of one. */
function readNonce(written: string): string | null {
  return written.length <= 2 * MAX_SCRAM_NONCE && NONCE.test(written) ? written : null;
}
