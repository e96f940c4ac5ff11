import { MAX_ORCPT } from "./limits.ts";
import { hasControls, isAscii, lowerAscii } from "./text.ts";
import { formatXtext, parseXtext } from "./xtext.ts";

/** The recipient that the sender first named; `type` in lower case, `address` decoded (RFC 3461 §4.2). */
export interface OriginalRecipient {
  readonly type: string;
  readonly address: string;
}

/** `addr-type ";" …`; an addr-type is an atom (RFC 3464 §2.1.2). */
const FORM = /^([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+);(.+)$/s;

/** utf-8-addr-unitext of RFC 6533 §3: ASCII but for `\`, `+` and `=`, other characters, and `\x{HEX}`. */
const UNITEXT = /^(?:[\u0021-\u002a\u002c-\u003c\u003e-\u005b\u005d-\u007e\u00a0-\uffff]|\\x\{[0-9A-Fa-f]{2,6}\})+$/;
const UNITEXT_ESCAPE = /\\x\{([0-9A-Fa-f]{2,6})\}/g;
const NEEDS_UNITEXT_ESCAPE = /[^\u0021-\u002a\u002c-\u003c\u003e-\u005b\u005d-\u007e]/gu;

/** Reads the value of ORCPT; null when it is none. Controls are refused in the decoded address too (lines are made of it). */
export function readOriginalRecipient(value: string): OriginalRecipient | null {
  if (value.length > MAX_ORCPT) return null;
  const match = FORM.exec(value);
  const [, written, encoded] = match ?? [];
  if (written === undefined || encoded === undefined) return null;
  const type = lowerAscii(written);
  const address = type === "utf-8" ? decodeUnitext(encoded) : decodeAscii(encoded);
  if (address === null || hasControls(address) || !address.isWellFormed()) return null;
  return { type, address };
}

function decodeAscii(encoded: string): string | null {
  const decoded = parseXtext(encoded);
  return decoded.ok && isAscii(decoded.value) ? decoded.value : null;
}

function decodeUnitext(encoded: string): string | null {
  if (!UNITEXT.test(encoded)) return null;
  let valid = true;
  const decoded = encoded.replace(UNITEXT_ESCAPE, (_, hex: string) => {
    const point = Number.parseInt(hex, 16);
    if (point <= 0x10ffff) return String.fromCodePoint(point);
    valid = false;
    return "";
  });
  return valid ? decoded : null;
}

/**
 * The value of ORCPT, ASCII only.
 *
 * Deviation: RFC 6533 §3 says that native UTF-8 SHOULD be sent where SMTPUTF8 is offered; the escaped form, which each server
 * has to understand, is sent always.
 */
export function formatOriginalRecipient({ type, address }: OriginalRecipient): string {
  return `${type};${type === "utf-8" ? encodeUnitext(address) : formatXtext(address)}`;
}

/** An address in the form that is ASCII everywhere: utf-8-addr-xtext of RFC 6533 §3. */
export function encodeUnitext(address: string): string {
  return address.replace(NEEDS_UNITEXT_ESCAPE, (char) => {
    const point = char.codePointAt(0) ?? 0;
    return `\\x{${point.toString(16).toUpperCase().padStart(2, "0")}}`;
  });
}
