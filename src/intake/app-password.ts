import { createHash, randomBytes } from "node:crypto";

/** Without what is mistaken for another (l, o, 0, 1): 32 signs of 5 bits each. */
const SIGNS = "abcdefghijkmnpqrstuvwxyz23456789";
const LENGTH = 24;
const GROUP = 4;

/** 120 random bits, in groups for the eye: `k7pw-…`. */
export function makeAppPassword(): string {
  const signs = [...randomBytes(LENGTH)].map((octet) => SIGNS[octet % SIGNS.length]).join("");
  return signs.replaceAll(new RegExp(`.{${GROUP}}(?=.)`, "g"), "$&-");
}

/**
 * Under which an app password is kept; null for a text that is none. One round of SHA-256: nobody guesses 120 random bits, so that
 * a slow hash would protect nothing and cost each login. People type it with the hyphens or without.
 */
export function appPasswordDigest(user: string, password: string): Uint8Array | null {
  const signs = password.toLowerCase().replaceAll(/[- ]/g, "");
  if (signs.length !== LENGTH || [...signs].some((sign) => !SIGNS.includes(sign))) return null;
  return createHash("sha256").update(`${user}\0${signs}`).digest();
}
