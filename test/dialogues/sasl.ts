import { decodeUtf8Lenient } from "../../src/base/index.ts";
import type { SaslVerdict } from "../../src/server/index.ts";
import { reply } from "../../src/smtp/index.ts";

/** PLAIN knows `\0user\0secret`, the password also several times over; LOGIN asks twice and takes `user`, `secret`; EMPTY wants an initial response of no octets. */
export function scriptedSasl(mechanism: string, response: Uint8Array | null): SaslVerdict {
  const text = response === null ? null : decodeUtf8Lenient(response);
  const wrong: SaslVerdict = { kind: "refuse", reply: reply(535, "5.7.8", "Wrong") };
  const right: SaslVerdict = { kind: "authenticated", identity: "user" };
  if (mechanism === "EMPTY") return text === "" ? right : wrong;
  if (text === null) return { kind: "challenge", data: new Uint8Array(0) };
  if (mechanism === "PLAIN") return /^\0user\0(?:secret)+$/.test(text) ? right : wrong;
  if (text === "user") return { kind: "challenge", data: Uint8Array.of(1, 2, 3, 4) };
  return text === "secret" ? right : wrong;
}
