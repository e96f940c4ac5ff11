import { decodeUtf8Lenient } from "../base/index.ts";
import type { HeaderField } from "./header.ts";

const SIGNATURES: ReadonlySet<string> = new Set(["dkim-signature", "arc-message-signature"]);

/**
 * Names, in lower case, of the fields that signatures of the message cover (RFC 6376 §3.5 `h=`, RFC 8617 §4.1.2). A name stands there
 * also for a field that is not in the message: then its absence is signed (§5.4), and adding it breaks the signature too.
 */
export function signedFields(fields: readonly HeaderField[]): ReadonlySet<string> {
  const signed = new Set<string>();
  for (const { name, octets, valueAt } of fields) {
    if (!SIGNATURES.has(name)) continue;
    for (const tag of decodeUtf8Lenient(octets.subarray(valueAt)).split(";")) {
      const equals = tag.indexOf("=");
      if (equals === -1 || tag.slice(0, equals).trim() !== "h") continue;
      for (const covered of tag.slice(equals + 1).split(":")) signed.add(covered.trim().toLowerCase());
    }
  }
  return signed;
}
