import type { Clock, Duration, Timer } from "../base/index.ts";

/** Work under way that a stop has to wait for. */
export class Undertakings {
  readonly #clock: Clock;
  readonly #broke: (error: unknown) => void;
  readonly #busy = new Set<Promise<void>>();

  /** `broke` is told of work that rejects, which is a bug. */
  constructor(clock: Clock, broke: (error: unknown) => void) {
    this.#clock = clock;
    this.#broke = broke;
  }

  track(work: Promise<void>): void {
    const tracked: Promise<void> = work.catch(this.#broke).finally(() => this.#busy.delete(tracked));
    this.#busy.add(tracked);
  }

  /** Resolves when nothing is under way, or after `patience`. */
  async idle(patience: Duration): Promise<void> {
    if (this.#busy.size === 0) return;
    let isLate = false;
    let timer: Timer | null = null;
    const late = new Promise<void>((resolve) => {
      timer = this.#clock.after(patience, () => {
        isLate = true;
        resolve();
      });
    });
    while (this.#busy.size > 0 && !isLate) await Promise.race([Promise.all(this.#busy), late]);
    (timer as Timer | null)?.cancel();
  }
}
