import { type Clock, instant, type Timer } from "../base/index.ts";

/** The longest delay that `setTimeout` knows; a longer one would fire at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => instant(Date.now()),
  after: (delay, action) => (delay <= LONGEST_TIMEOUT ? shortTimer(delay, action) : longTimer(delay, action)),
};

function shortTimer(delay: number, action: () => void): Timer {
  return new ShortTimer(setTimeout(action, Math.max(0, delay)).unref());
}

class ShortTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;

  constructor(timeout: NodeJS.Timeout) {
    this.#timeout = timeout;
  }

  cancel(): void {
    clearTimeout(this.#timeout);
  }
}

/** A delay beyond 24.8 days, waited for in stretches. */
function longTimer(delay: number, action: () => void): Timer {
  let stretch: Timer;
  const wait = (left: number): Timer =>
    left <= LONGEST_TIMEOUT
      ? shortTimer(left, action)
      : shortTimer(LONGEST_TIMEOUT, () => {
          stretch = wait(left - LONGEST_TIMEOUT);
        });
  stretch = wait(delay);
  return { cancel: () => stretch.cancel() };
}
