import { decodeUtf8 } from "../../base/index.ts";
import { MAX_SASL_FIELD } from "../limits.ts";
import { hasControls } from "../text.ts";

/** A user name as a client gave it, null where it can be none: empty, too long, not UTF-8, or with controls. */
export function readIdentity(octets: Uint8Array): string | null {
  if (octets.length === 0 || octets.length > MAX_SASL_FIELD) return null;
  const text = decodeUtf8(octets);
  return text === null || hasControls(text) ? null : text;
}

/** A password as a client gave it, null where it can be none: empty, too long, not UTF-8, or with NUL. */
export function readPassword(octets: Uint8Array): string | null {
  if (octets.length === 0 || octets.length > MAX_SASL_FIELD || octets.includes(0)) return null;
  return decodeUtf8(octets);
}
