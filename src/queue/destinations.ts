import { type Duration, type Instant, instant, MINUTE } from "../base/index.ts";
import type { Limit } from "./limit.ts";
import { ReturnLines } from "./return-lines.ts";
import { Turns } from "./turns.ts";

export interface DestinationLimits {
  /** Jobs that a destination nothing is known of may run at the same time. */
  readonly destinationStart: number;
  /** What that may grow to. */
  readonly destinationMost: number;
}

/** What a finished job says of its destination. */
export type Experience =
  /** It answered: one job more at a time. */
  | "answered"
  /** It says nothing of the host (a permanent failure found without it, a bug of ours). */
  | "nothing"
  /** Nothing was tried for want of a turn at the host: the destination pauses, and what waits for it stays. */
  | "busy"
  /** A connection broke: half as many at a time, and suspended when there was only one. */
  | "connectionTrouble"
  /** No host of it can be used: suspended at once. */
  | "hostTrouble";

export interface Destination<Job> extends Learned {
  readonly turns: Turns<Job>;
  /** Where it is ready, null where it is not. */
  ready: Map<string, Destination<Job>> | null;
  running: number;
  /** What the window may grow to. */
  most: number;
  /** Between the starts of two jobs. */
  interval: Duration;
  /** Tries nothing before then; from then on one at a time until one succeeds. */
  suspendedUntil: Instant | null;
}

/** What is kept of a destination while nothing is in hand for it. */
interface Learned {
  /** How many may run at a time. */
  window: number;
  /** Its last job was answered in good time. */
  quick: boolean;
  /** No job starts before then: its rate, or a pause. */
  notBefore: Instant;
}

/** Destinations remembered that have no job here. Beyond it the oldest are forgotten, and found out again. */
const MOST_REMEMBERED = 10_000;

/** The destinations by name: those that mail is in hand for or that are suspended, and what was learned of others. */
export class Destinations<Job> {
  readonly #limits: DestinationLimits;
  readonly #limitOf: (name: string) => Limit;
  readonly #present = new Map<string, Destination<Job>>();
  readonly #learned = new Map<string, Learned>();
  readonly #lines = new ReturnLines();

  /** `limitOf`: what a destination may be burdened with. */
  constructor(limits: DestinationLimits, limitOf: (name: string) => Limit) {
    this.#limits = limits;
    this.#limitOf = limitOf;
  }

  /** Those with something waiting or running, and the suspended. */
  get size(): number {
    return this.#present.size;
  }

  entries(): Iterable<[name: string, destination: Destination<Job>]> {
    return this.#present;
  }

  values(): Iterable<Destination<Job>> {
    return this.#present.values();
  }

  get(name: string): Destination<Job> | undefined {
    return this.#present.get(name);
  }

  /** The destination, made where it is not there; to be given to `forget` when nothing is in hand for it any more. */
  of(name: string): Destination<Job> {
    let destination = this.#present.get(name);
    if (destination === undefined) {
      destination = this.#create(name);
      this.#present.set(name, destination);
    }
    return destination;
  }

  /** Whether its last job was answered in good time. */
  isQuick(name: string): boolean {
    return (this.#present.get(name) ?? this.#learned.get(name))?.quick === true;
  }

  /** Those of which the last job was answered in good time, `most` at most, the latest known first. */
  quickOnes(most: number): string[] {
    const known = [...this.#learned, ...this.#present].reverse();
    return known.flatMap(([name, { quick }]) => (quick ? [name] : [])).slice(0, most);
  }

  /** What follows for the destination from the end of a job of it; true when it is to be suspended. */
  learn(name: string, destination: Destination<Job>, experience: Experience, resumeAt: Instant): boolean {
    switch (experience) {
      case "answered":
        destination.suspendedUntil = null;
        destination.window = Math.min(destination.window + 1, destination.most);
        this.#lines.dissolve(name);
        return false;
      case "nothing":
        return false;
      case "busy":
        destination.notBefore = instant(Math.max(destination.notBefore, resumeAt));
        return false;
      case "connectionTrouble": {
        const last = destination.window === 1;
        destination.window = Math.max(1, Math.floor(destination.window / 2));
        return last;
      }
      case "hostTrouble":
        destination.window = 1;
        return true;
    }
  }

  /** When a job that is put off until `from` comes back, see `ReturnLines`. */
  returnAt(name: string, from: Instant, now: Instant): Instant {
    return this.#lines.next(name, from, now);
  }

  /** Asks anew what a destination may be burdened with. */
  renewLimits(name: string, destination: Destination<Job>): void {
    const { most, interval } = this.#burdenOf(name);
    destination.most = most;
    destination.interval = interval;
    destination.window = Math.min(destination.window, most);
  }

  /** Where nothing is in hand for it, keeps what was learned of it alone; a suspended one stays, unless there are too many. */
  forget(name: string, destination: Destination<Job>): void {
    if (!isIdle(destination)) return;
    if (destination.suspendedUntil === null) {
      this.#remove(name);
      const { window, quick, notBefore } = destination;
      this.#learned.set(name, { window, quick, notBefore });
      const [oldest] = this.#learned.keys();
      if (this.#learned.size > MOST_REMEMBERED && oldest !== undefined) this.#learned.delete(oldest);
    }
    if (this.#present.size <= MOST_REMEMBERED) return;
    for (const [oldest, candidate] of this.#present) {
      if (!isIdle(candidate)) continue;
      this.#remove(oldest);
      return;
    }
  }

  #create(name: string): Destination<Job> {
    const { most, interval } = this.#burdenOf(name);
    const learned = this.#learned.get(name);
    this.#learned.delete(name);
    return {
      turns: new Turns(),
      ready: null,
      running: 0,
      window: Math.min(learned?.window ?? this.#limits.destinationStart, most),
      most,
      interval,
      quick: learned?.quick ?? false,
      notBefore: learned?.notBefore ?? instant(0),
      suspendedUntil: null,
    };
  }

  #burdenOf(name: string): Pick<Destination<Job>, "most" | "interval"> {
    const { connections, messagesPerMinute } = this.#limitOf(name);
    return {
      most: connections ?? this.#limits.destinationMost,
      interval: messagesPerMinute === null ? 0 : MINUTE / messagesPerMinute,
    };
  }

  #remove(name: string): void {
    this.#present.delete(name);
    this.#lines.dissolve(name);
  }
}

function isIdle({ running, turns }: Destination<unknown>): boolean {
  return running === 0 && turns.size === 0;
}
