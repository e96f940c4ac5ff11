import { encodeUtf8 } from "../base/index.ts";

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const ALL_CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
const NON_ASCII = /[^\u0000-\u007f]/;

/** C0 and C1 controls, DEL, and the line separators that some software takes for line ends. */
export function hasControls(text: string): boolean {
  return CONTROLS.test(text);
}

export function replaceControls(text: string): string {
  return text.replace(ALL_CONTROLS, " ");
}

export function isAscii(text: string): boolean {
  return !NON_ASCII.test(text);
}

/** Octets of `text` in UTF-8, without encoding it. */
export function utf8Length(text: string): number {
  let octets = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Each half of a surrogate pair counts 2 of its 4 octets.
    if (unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff)) octets += 2;
    else if (unit >= 0x80) octets += 1;
  }
  return octets;
}

/** The UTF-8 octets of a line of ours: mostly ASCII and short, for which a `TextEncoder` takes twice the time of a loop. */
export function encodeLine(text: string): Uint8Array {
  if (!isAscii(text)) return encodeUtf8(text);
  const octets = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) octets[at] = text.charCodeAt(at);
  return octets;
}

/** A lower case of ASCII letters only: `toLowerCase` maps letters such as U+212A (Kelvin sign) into ASCII. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
