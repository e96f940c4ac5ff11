import { CR, decodeUtf8, LF } from "../base/index.ts";
import type { HeaderField } from "./header.ts";

/** What makes a field one that no server should send on; `field` is its name in lower case. */
export interface SyntaxFault {
  readonly kind: "eightBit" | "notUtf8" | "longLine" | "control" | "repeated";
  readonly field: string;
}

/** Octets of a line without its CRLF (RFC 5322 §2.1.1: MUST be no more). */
const MAX_LINE = 998;

/** RFC 5322 §3.6: fields that may stand in a message once at most. Bcc is not among them: it is taken out however often it is there. */
const ONCE: ReadonlySet<string> = new Set([
  ...["date", "from", "sender", "reply-to", "to", "cc"],
  ...["message-id", "in-reply-to", "references", "subject"],
]);

/** The first fault of the fields, or null. Without `smtputf8` a header section is ASCII (RFC 5322 §2.2); with it, UTF-8 (RFC 6532 §3). */
export function syntaxFault(fields: readonly HeaderField[], smtputf8: boolean): SyntaxFault | null {
  const seen = new Set<string>();
  for (const { name: field, octets } of fields) {
    const kind = octetFault(octets, smtputf8);
    if (kind !== null) return { kind, field };
    if (ONCE.has(field) && seen.has(field)) return { kind: "repeated", field };
    seen.add(field);
  }
  return null;
}

/** Whether a line of this field is longer than a line may be. */
export function hasLongLine(octets: Uint8Array): boolean {
  return octetFault(octets, true) === "longLine";
}

/**
 * A NUL or a newline that is no CRLF ends a field for some readers and not for others (header injection); DATA is repaired before
 * it comes here, BODY=BINARYMIME is not.
 */
function octetFault(octets: Uint8Array, smtputf8: boolean): "eightBit" | "notUtf8" | "longLine" | "control" | null {
  let lineStart = 0;
  let eightBit = false;
  for (let at = 0; at < octets.length; at++) {
    const octet = octets[at] ?? 0;
    if (octet >= 0x80) eightBit = true;
    else if (octet === 0) return "control";
    else if (octet === CR) {
      // The last line of a message may lack its end; a lone CR there is none either.
      if (octets[at + 1] !== LF) return "control";
      if (at - lineStart > MAX_LINE) return "longLine";
      at++;
      lineStart = at + 1;
    } else if (octet === LF) return "control";
  }
  if (octets.length - lineStart > MAX_LINE) return "longLine";
  if (!eightBit) return null;
  if (!smtputf8) return "eightBit";
  return decodeUtf8(octets) === null ? "notUtf8" : null;
}
