import { type Random, seededRandom } from "../../src/base/index.ts";

/** Inputs up to this length are also given octet by octet. */
const MAX_BYTE_BY_BYTE = 400;

/** Chance that follows from the octets, so that a saved input plays the same way again. */
export function randomOf(octets: Uint8Array): Random {
  let hash = 0x811c9dc5; // FNV-1a
  for (const octet of octets) hash = Math.imul(hash ^ octet, 0x01000193) >>> 0;
  return seededRandom(hash);
}

/** The ways in which an input is cut: whole, in pieces of chance, and octet by octet where it is short. */
export function cutsOf(octets: Uint8Array): readonly (readonly Uint8Array[])[] {
  const ways = [[octets], piecesOf(octets, randomOf(octets))];
  if (octets.length <= MAX_BYTE_BY_BYTE) ways.push(Array.from(octets, (octet) => Uint8Array.of(octet)));
  return ways;
}

/** Pieces of 1 to 64 octets, mostly short ones. */
export function piecesOf(octets: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < octets.length; ) {
    const size = 1 + Math.floor(random.next() ** 2 * 64);
    pieces.push(octets.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
