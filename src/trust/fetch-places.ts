import { type Clock, type Duration, type Instant, later, MINUTE, SECOND } from "../base/index.ts";

/** It could not begin, or gave way to another before it had its answer: nothing was learned of whom it asked. */
export interface Unplaced {
  readonly kind: "unplaced";
  /** When a place may be had. */
  readonly again: Instant;
}

interface Running<T> {
  readonly since: Instant;
  readonly cut: AbortController;
  readonly outcome: Promise<T | Unplaced>;
}

/** How long each may take before it has to give way. */
const UNDISTURBED: Duration = 10 * SECOND;
/** Before one that gave way has another go: who waited for it has to be done first. */
const AGAIN_AFTER: Duration = MINUTE;

/**
 * Places for fetches from hosts that strangers name. There are so many and no more, and hosts that are slow on purpose cannot keep them:
 * where all are taken, the fetch that runs longest gives way to a new one once it had its time.
 */
export class FetchPlaces<T> {
  readonly #clock: Clock;
  readonly #places: number;
  /** In the order of their beginning. */
  readonly #running = new Map<string, Running<T>>();
  #closed = false;

  constructor(clock: Clock, places: number) {
    this.#clock = clock;
    this.#places = places;
  }

  /**
   * The outcome of the fetch that runs for `key`, else of a new one. `fetch` never rejects, and returns null where `signal` ended it
   * before its time.
   */
  async run(key: string, fetch: (signal: AbortSignal) => Promise<T | null>): Promise<T | Unplaced> {
    const running = this.#running.get(key);
    if (running !== undefined) return await running.outcome;
    const again = this.#makeRoom();
    if (again !== null) return { kind: "unplaced", again };
    const cut = new AbortController();
    const outcome = this.#follow(key, cut.signal, fetch);
    this.#running.set(key, { since: this.#clock.now(), cut, outcome });
    return await outcome;
  }

  /** Ends all that run; nothing begins any more. */
  close(): void {
    this.#closed = true;
    for (const { cut } of this.#running.values()) cut.abort();
    this.#running.clear();
  }

  async #follow(
    key: string,
    signal: AbortSignal,
    fetch: (signal: AbortSignal) => Promise<T | null>,
  ): Promise<T | Unplaced> {
    const outcome = await fetch(signal);
    // Cut off, it holds no place any more, and another of the same key may hold one.
    if (!signal.aborted) this.#running.delete(key);
    return outcome ?? { kind: "unplaced", again: later(this.#clock.now(), AGAIN_AFTER) };
  }

  /** Null where there is a place now, else when there may be one. */
  #makeRoom(): Instant | null {
    const now = this.#clock.now();
    if (this.#closed) return later(now, AGAIN_AFTER);
    if (this.#running.size < this.#places) return null;
    const [longest] = this.#running;
    if (longest === undefined) return null;
    const [key, { since, cut }] = longest;
    const until = later(since, UNDISTURBED);
    if (until > now) return until;
    this.#running.delete(key);
    cut.abort();
    return null;
  }
}
