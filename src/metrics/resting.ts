import type { Clock, Duration, Instant } from "../base/index.ts";

/** Something that is dear to find out. */
export interface RestingOptions<T> {
  readonly take: () => Promise<T>;
  readonly clock: Clock;
  /** The least time between two; default a second. */
  readonly least?: Duration;
  /** So many times as long as the last took it rests; default 50, so that it takes 2 percent of the time at most. */
  readonly rest?: number;
  /** How long one who asks waits for a new value; default a quarter of a second. */
  readonly patience?: Duration;
}

export interface Taken<T> {
  readonly value: T;
  /** When it was begun to be taken. */
  readonly at: Instant;
}

/**
 * A value that is taken anew when somebody asks, but not again before a rest, and not waited for beyond some patience: who asks often
 * costs no more than who asks rarely, and gets the last value with its age.
 */
export class Resting<T> {
  readonly #options: Required<RestingOptions<T>>;
  #last: Taken<T> | null = null;
  #running: Promise<void> | null = null;
  #notBefore = 0;

  constructor(options: RestingOptions<T>) {
    this.#options = { least: 1000, rest: 50, patience: 250, ...options };
  }

  /** Null as long as none was ever taken. A failure leaves the last one, whose age tells. */
  async latest(): Promise<Taken<T> | null> {
    const { clock, patience } = this.#options;
    if (this.#running === null && clock.now() >= this.#notBefore) this.#running = this.#take();
    if (this.#running !== null) {
      const running = this.#running;
      await new Promise<void>((resolve) => {
        const late = clock.after(patience, resolve);
        void running.then(() => {
          late.cancel();
          resolve();
        });
      });
    }
    return this.#last;
  }

  async #take(): Promise<void> {
    const { take, clock, least, rest } = this.#options;
    const at = clock.now();
    try {
      this.#last = { value: await take(), at };
    } catch {
      // Who can do nothing about it has nothing to say; the queue's own trouble is in the log.
    }
    const now = clock.now();
    this.#notBefore = now + Math.max(least, rest * (now - at));
    this.#running = null;
  }
}
