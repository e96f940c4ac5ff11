import { type Duration, type Instant, instant, SECOND } from "../base/index.ts";

/** Between two that return: a destination that stays dead has 100 rows a second written at most. */
const INTERVAL: Duration = 10;
/** A line whose end is farther away than that is long. */
const LONG: Duration = 100 * SECOND;
/** Between two that return to a long line, where it is the only one: several share what is written for them. */
const LONG_INTERVAL: Duration = 2;

/**
 * When mail that was put off for suspended destinations comes back: soon after the end of the suspension, one behind the other, so that a
 * probe that fails has few of them written anew, and a million of them do not return each time. Much mail for one destination stands
 * closer, so that hours do not go by when it is back; the more such destinations there are the less so, for what the dead cost.
 */
export class ReturnLines {
  /** When the last of a destination comes back. */
  readonly #ends = new Map<string, Instant>();
  readonly #long = new Set<string>();

  /** The moment of the next one, not before `from`. */
  next(name: string, from: Instant, now: Instant): Instant {
    const last = this.#ends.get(name) ?? instant(0);
    if (last - now > LONG) this.#long.add(name);
    else this.#long.delete(name);
    const interval = this.#long.has(name) ? Math.min(INTERVAL, LONG_INTERVAL * this.#long.size) : INTERVAL;
    const at = instant(Math.max(from, last + interval));
    this.#ends.set(name, at);
    return at;
  }

  /** The destination is back, or forgotten: whoever is put off next is the first of a new line. */
  dissolve(name: string): void {
    if (this.#ends.size === 0) return; // this is asked after every message
    this.#ends.delete(name);
    this.#long.delete(name);
  }
}
