import { decodeUtf8, encodeUtf8, err, ok, type Result } from "../base/index.ts";

export type XtextProblem =
  /** An octet that xtext must encode, or `+` without two upper-case hex digits. */
  | { readonly kind: "syntax" }
  /** The decoded octets are not UTF-8. */
  | { readonly kind: "badOctets" };

/** RFC 3461 §4: xchar is any octet from `!` to `~` but `+` and `=`; hexchar is `+` and two hex digits, upper case only. */
const XTEXT = /^(?:[\u0021-\u002a\u002c-\u003c\u003e-\u007e]|\+[0-9A-F]{2})*$/;
const PLAIN_OCTET = /^[\u0021-\u002a\u002c-\u003c\u003e-\u007e]*$/;

/**
 * Decodes xtext (RFC 3461 §4). The result may hold any character, CR, LF and NUL included: whoever writes it into a line
 * has to have refused them.
 */
export function parseXtext(text: string): Result<string, XtextProblem> {
  if (!XTEXT.test(text)) return err({ kind: "syntax" });
  if (!text.includes("+")) return ok(text);
  const octets = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const encoded = text.charAt(i) === "+";
    octets[length++] = encoded ? Number.parseInt(text.slice(i + 1, i + 3), 16) : text.charCodeAt(i);
    if (encoded) i += 2;
  }
  const decoded = decodeUtf8(octets.subarray(0, length));
  return decoded === null ? err({ kind: "badOctets" }) : ok(decoded);
}

/** Encodes the UTF-8 octets of `text` as xtext (RFC 3461 §4). */
export function formatXtext(text: string): string {
  if (PLAIN_OCTET.test(text)) return text;
  let xtext = "";
  for (const octet of encodeUtf8(text)) {
    const char = String.fromCharCode(octet);
    xtext += PLAIN_OCTET.test(char) ? char : `+${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return xtext;
}
