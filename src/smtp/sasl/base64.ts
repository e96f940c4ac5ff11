import { encodeUtf8 } from "../../base/index.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 0x3d;
const NO_DIGIT = 0xff;

const digits = new Uint8Array(256).fill(NO_DIGIT);
for (let value = 0; value < ALPHABET.length; value++) digits[ALPHABET.charCodeAt(value)] = value;

/**
 * Decodes base64 as RFC 4954 §4 and RFC 4648 §3 want it: groups of four, padded, no other octet anywhere, unused bits zero. Null
 * for all else, since what is read leniently here could be read otherwise elsewhere. `*` and `=` of RFC 4954 are not base64.
 */
export function decodeBase64(text: string | Uint8Array): Uint8Array | null {
  const octets = typeof text === "string" ? encodeUtf8(text) : text;
  if (octets.length % 4 !== 0) return null;
  let end = octets.length;
  while (end > 0 && octets.length - end < 2 && octets[end - 1] === PAD) end--;
  const decoded = new Uint8Array(Math.floor((end * 3) / 4));
  let bits = 0;
  let held = 0;
  let length = 0;
  for (let at = 0; at < end; at++) {
    const digit = digits[octets[at] ?? 0] ?? NO_DIGIT;
    if (digit === NO_DIGIT) return null;
    held = ((held & 0x3f) << 6) | digit;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    decoded[length++] = (held >> bits) & 0xff;
  }
  return (held & ((1 << bits) - 1)) === 0 ? decoded : null;
}

/** Base64 with padding, on one line (RFC 4648 §4). */
export function encodeBase64(octets: Uint8Array): string {
  let text = "";
  for (let at = 0; at < octets.length; at += 3) {
    const left = octets.length - at;
    const group = ((octets[at] ?? 0) << 16) | ((octets[at + 1] ?? 0) << 8) | (octets[at + 2] ?? 0);
    text += ALPHABET.charAt(group >> 18) + ALPHABET.charAt((group >> 12) & 63);
    text += left > 1 ? ALPHABET.charAt((group >> 6) & 63) : "=";
    text += left > 2 ? ALPHABET.charAt(group & 63) : "=";
  }
  return text;
}
