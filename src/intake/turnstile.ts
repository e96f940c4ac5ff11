import type { Clock, Duration, Timer } from "../base/index.ts";

/** Mail under way at once on a quick disk: enough to keep it and the processor busy, few enough to be over soon. */
const LEAST_PLACES = 128;
/** A slow disk wants more: as many as come while it syncs once, for each millisecond of it. */
const PLACES_A_MILLISECOND = 40;
/** A mail that has not come to the store after one to two of these holds nobody up any more. */
const PERIOD: Duration = 25;
/** Nobody waits for more of them, whatever the store does. */
const MOST_PERIODS = 40;

export interface TurnstileOptions {
  readonly clock: Clock;
  /** How long a commit waits for the disk, as of now, ms. */
  readonly syncTime: () => Duration;
}

/**
 * Lets mail in as fast as the store takes it. Two thousand clients that send at once would each have a message half-way in memory, and be served
 * no sooner: what lives long there is dear. So a mail is begun (MAIL) when there is a place, and gives it back when it is kept or over,
 * the first come first. Who dawdles loses its place to others and goes on without one: no client can keep others waiting for
 * longer than two periods, and nobody waits for more than a second.
 */
export class Turnstile {
  readonly #options: TurnstileOptions;
  readonly #waiting: Turn[] = [];
  /** Mail that is being kept; on its way since this period; and since the one before. */
  #keeping = 0;
  #begun = 0;
  #begunBefore = 0;
  #period = 0;
  #timer: Timer | null = null;

  constructor(options: TurnstileOptions) {
    this.#options = options;
  }

  /** For the mail of one connection, one after the other. */
  turn(): Turn {
    return new Turn(this);
  }

  /** Null where there is a place. */
  enter(turn: Turn): Promise<void> | null {
    if (this.#waiting.length === 0 && this.#hasPlace()) {
      this.#admit(turn);
      return null;
    }
    return new Promise((resolve) => {
      turn.waits(this.#period, resolve);
      this.#waiting.push(turn);
      this.#timer ??= this.#options.clock.after(PERIOD, () => this.#tick());
    });
  }

  /** Mail that was begun in `period` comes to the store. */
  arrive(period: number): void {
    this.#forget(period);
    this.#keeping++;
  }

  /** Mail is kept, or could not be. */
  kept(): void {
    this.#keeping--;
    this.#next();
  }

  /** Mail that was begun in `period` does not come. */
  cancel(period: number): void {
    this.#forget(period);
    this.#next();
  }

  #forget(period: number): void {
    if (period === this.#period) this.#begun--;
    else if (period === this.#period - 1) this.#begunBefore--;
  }

  #hasPlace(): boolean {
    const places = Math.max(LEAST_PLACES, PLACES_A_MILLISECOND * this.#options.syncTime());
    return this.#keeping + this.#begun + this.#begunBefore < places;
  }

  /** The first of the line has left it, or has waited as long as anybody may. */
  #firstIsDone(): boolean {
    const first = this.#waiting[0];
    return first !== undefined && (first.since === null || this.#period - first.since >= MOST_PERIODS);
  }

  #admit(turn: Turn): void {
    this.#begun++;
    turn.begins(this.#period);
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#hasPlace()) this.#admitFirst();
  }

  #admitFirst(): void {
    const first = this.#waiting.shift();
    // Whoever left meanwhile takes no place.
    if (first !== undefined && first.since !== null) this.#admit(first);
  }

  #tick(): void {
    this.#period++;
    this.#begunBefore = this.#begun;
    this.#begun = 0;
    while (this.#firstIsDone()) this.#admitFirst();
    this.#next();
    this.#timer = this.#waiting.length === 0 ? null : this.#options.clock.after(PERIOD, () => this.#tick());
  }
}

/** What the mail of one connection holds: a place, or one in the line of those who wait for it. */
export class Turn {
  readonly #turnstile: Turnstile;
  #state: "out" | "waiting" | "begun" | "keeping" = "out";
  /** In which it began to wait, or was begun. */
  #period = 0;
  #admitted: (() => void) | null = null;

  constructor(turnstile: Turnstile) {
    this.#turnstile = turnstile;
  }

  /** The period since which it waits; null where it does not. */
  get since(): number | null {
    return this.#state === "waiting" ? this.#period : null;
  }

  /** A mail is to begin; what was there before is over. Null where it may at once. */
  enter(): Promise<void> | null {
    this.leave();
    return this.#turnstile.enter(this);
  }

  waits(period: number, admitted: () => void): void {
    this.#state = "waiting";
    this.#period = period;
    this.#admitted = admitted;
  }

  begins(period: number): void {
    this.#state = "begun";
    this.#period = period;
    this.#admitted?.();
    this.#admitted = null;
  }

  /** Its message is whole and goes to the store. */
  keep(): void {
    if (this.#state !== "begun") return;
    this.#state = "keeping";
    this.#turnstile.arrive(this.#period);
  }

  /** The mail is over: kept, refused or given up. */
  leave(): void {
    const was = this.#state;
    this.#state = "out";
    if (was === "keeping") this.#turnstile.kept();
    else if (was === "begun") this.#turnstile.cancel(this.#period);
    else if (was === "waiting") {
      this.#admitted?.();
      this.#admitted = null;
    }
  }
}
