import type { Clock, Instant, Timer } from "../base/index.ts";

/** Runs `action` when this turn of the event loop is over. */
export function soon(clock: Clock, action: () => void): Timer {
  if (clock.soon !== undefined) return clock.soon(action);
  const immediate = setImmediate(action);
  return { cancel: () => clearImmediate(immediate) };
}

/**
 * One moment after which something happens, moved often and reached seldom. Moving it later costs no timer: the one that
 * runs looks again when it fires.
 */
export class Deadline {
  readonly #clock: Clock;
  readonly #expired: () => void;
  #at: Instant | null = null;
  #timer: Timer | null = null;
  #fires = 0;

  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  set(at: Instant): void {
    this.#at = at;
    if (this.#timer !== null && this.#fires <= at) return;
    this.#timer?.cancel();
    this.#arm(at);
  }

  clear(): void {
    this.#at = null;
  }

  /** The end: no timer is left behind. */
  cancel(): void {
    this.#at = null;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(at: Instant): void {
    this.#fires = at;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#timer = null;
      if (this.#at === null) return;
      if (this.#clock.now() < this.#at) return this.#arm(this.#at);
      this.#at = null;
      this.#expired();
    });
  }
}
