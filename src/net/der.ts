import { concatBytes, encodeUtf8 } from "../base/index.ts";

/**
 * The few forms of DER (ITU-T X.690) that a certificate is written in. Writing only: what others wrote is read by OpenSSL.
 */
const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

const SHORT_LENGTH_LIMIT = 0x80;

function element(tag: number, content: Uint8Array): Uint8Array {
  return concatBytes([Uint8Array.of(tag), lengthOf(content), content]);
}

/** X.690 §8.1.3: one octet up to 127, else the number of octets that follow and the length in those. */
function lengthOf(content: Uint8Array): Uint8Array {
  if (content.length < SHORT_LENGTH_LIMIT) return Uint8Array.of(content.length);
  const octets: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(SHORT_LENGTH_LIMIT | octets.length, ...octets);
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return element(tags.sequence, concatBytes(parts));
}

export function setOf(part: Uint8Array): Uint8Array {
  return element(tags.set, part);
}

/** A non-negative integer from its octets, most significant first. */
export function integer(octets: Uint8Array): Uint8Array {
  const first = octets[0] ?? 0;
  return element(tags.integer, first < SHORT_LENGTH_LIMIT ? octets : concatBytes([Uint8Array.of(0), octets]));
}

export function boolean(value: boolean): Uint8Array {
  return element(tags.boolean, Uint8Array.of(value ? 0xff : 0));
}

/** A bit string; `unused` counts the bits of the last octet that are no part of it. */
export function bitString(octets: Uint8Array, unused: number = 0): Uint8Array {
  return element(tags.bitString, concatBytes([Uint8Array.of(unused), octets]));
}

export function octetString(octets: Uint8Array): Uint8Array {
  return element(tags.octetString, octets);
}

export function utf8String(text: string): Uint8Array {
  return element(tags.utf8String, encodeUtf8(text));
}

/** An object identifier in dotted form, such as `2.5.29.17`. */
export function objectId(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return element(tags.objectId, Uint8Array.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const octets = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift((rest % 128) | 0x80);
  return octets;
}

/** RFC 5280 §4.1.2.5: UTCTime through the year 2049, GeneralizedTime from 2050 on, both to the second and in UTC. */
export function time(at: Date): Uint8Array {
  const text = `${at.toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  const year = at.getUTCFullYear();
  const short = year >= 1950 && year < 2050;
  return element(short ? tags.utcTime : tags.generalizedTime, encodeUtf8(short ? text.slice(2) : text));
}

/** A context-specific tag: constructed (EXPLICIT) or primitive (IMPLICIT) over `content`. */
export function tagged(number: number, form: "constructed" | "primitive", content: Uint8Array): Uint8Array {
  return element((form === "constructed" ? 0xa0 : 0x80) | number, content);
}
