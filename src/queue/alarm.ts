import type { Clock, Instant, Timer } from "../base/index.ts";

/** One moment at which something is done, moved whenever another counts. */
export class Alarm {
  readonly #clock: Clock;
  readonly #action: () => void;
  #at: Instant | null = null;
  #timer: Timer | null = null;

  constructor(clock: Clock, action: () => void) {
    this.#clock = clock;
    this.#action = action;
  }

  /** Null: at none. A moment that is over: soon. */
  set(at: Instant | null): void {
    if (at === this.#at) return;
    this.#timer?.cancel();
    this.#at = at;
    if (at === null) return;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#at = null;
      this.#action();
    });
  }
}
