import type { Clock, Random } from "../base/index.ts";

/** No vowels and no look-alikes: an id spells no word and can be read out. */
const DIGITS = "0123456789bcdfghjkmnpqrstvwxz";
const BASE = DIGITS.length;

/** Names for sessions: the time of their start, so that they sort, and chance, so that two processes do not meet. */
export function sessionIds(clock: Clock, random: Random): () => string {
  return () => spell(Math.floor(clock.now() / 1000), 7) + spell(Math.floor(random.next() * BASE ** 6), 6);
}

function spell(number: number, length: number): string {
  let text = "";
  let left = number;
  for (let i = 0; i < length; i++) {
    text = DIGITS.charAt(left % BASE) + text;
    left = Math.floor(left / BASE);
  }
  return text;
}
