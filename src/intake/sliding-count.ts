import { type Duration, type Instant, instant, later } from "../base/index.ts";

/** What happened within one slot, which begins at `at`. */
export type CountedSlot = readonly [at: number, count: number];

/** The window is counted in this many slots, so that memory does not grow with what is counted. */
const SLOTS = 60;

/**
 * How much happened within the last `window` milliseconds. An event is counted for at least the window and at most a sixtieth of
 * it longer, never shorter.
 */
export class SlidingCount {
  readonly #window: Duration;
  readonly #slot: Duration;
  /** Oldest first. */
  #slots: CountedSlot[];

  constructor(window: Duration, slots: readonly CountedSlot[] = []) {
    this.#window = window;
    this.#slot = Math.ceil(window / SLOTS);
    this.#slots = [...slots];
  }

  /** Those that may still count, to be kept and given to another. */
  get slots(): readonly CountedSlot[] {
    return this.#slots;
  }

  add(now: Instant, count: number): void {
    this.#forget(now);
    const at = now - (now % this.#slot);
    const last = this.#slots.at(-1);
    // A clock that was set back goes on in the slot that is the last.
    if (last === undefined || last[0] < at) this.#slots.push([at, count]);
    else this.#slots[this.#slots.length - 1] = [last[0], last[1] + count];
  }

  total(now: Instant): number {
    this.#forget(now);
    return this.#slots.reduce((sum, [, count]) => sum + count, 0);
  }

  /** When no more than `most` will be counted, if nothing is added. */
  fallsTo(most: number, now: Instant): Instant {
    let left = this.total(now);
    for (const [at, count] of this.#slots) {
      if (left <= most) break;
      left -= count;
      if (left <= most) return later(instant(at), this.#slot + this.#window);
    }
    return now;
  }

  #forget(now: Instant): void {
    const over = now - this.#window - this.#slot;
    // What lies far ahead was written under a clock that was wrong.
    const ahead = now + this.#window;
    if (this.#slots.some(([at]) => at <= over || at > ahead)) {
      this.#slots = this.#slots.filter(([at]) => at > over && at <= ahead);
    }
  }
}
