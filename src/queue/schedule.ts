import type { Instant } from "../base/index.ts";

export interface ScheduleLimits {
  /** Jobs running at the same time, over all destinations. */
  readonly total: number;
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
  /** A connection broke: half as many at a time, and suspended when there was only one. */
  | "connectionTrouble"
  /** No host of it can be used: suspended at once. */
  | "hostTrouble";

/** Jobs of one priority. */
interface Lane<Job> {
  readonly priority: number;
  /** Jobs before `head` are gone. */
  pending: Job[];
  head: number;
}

interface Destination<Job> {
  /** Highest priority first; hardly ever more than one. */
  readonly lanes: Lane<Job>[];
  /** The priority under which it is ready, null where it is not. */
  ready: number | null;
  running: number;
  /** How many may run at a time. */
  window: number;
  /** Tries nothing before then; from then on one at a time until one succeeds. */
  suspendedUntil: Instant | null;
}

/** Suspensions remembered of destinations that have no job here. Beyond it the oldest are forgotten, and found out again. */
const MOST_REMEMBERED = 10_000;

/** Priorities reach from -9 to 9 (RFC 6710 §3). */
const HIGHEST = 9;
const LEVELS = 2 * HIGHEST + 1;

/**
 * Who is next: jobs wait in a queue for each destination, and destinations take turns, so that much mail for one never delays
 * mail for another. A job of higher priority goes before all others, at its destination and among destinations (RFC 6710
 * §5.1). Knows no clock and does nothing by itself.
 */
export class Schedule<Job> {
  readonly #limits: ScheduleLimits;
  readonly #destinations = new Map<string, Destination<Job>>();
  /** Destinations that may start a job now, by the priority of that job, highest first; the first of a map has its turn. */
  readonly #ready = Array.from({ length: LEVELS }, () => new Map<string, Destination<Job>>());
  #running = 0;
  #pending = 0;

  constructor(limits: ScheduleLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get pending(): number {
    return this.#pending;
  }

  /** Destinations with something waiting, running or suspended. */
  get destinations(): number {
    return this.#destinations.size;
  }

  add(name: string, job: Job, priority = 0): void {
    const destination = this.#of(name);
    laneOf(destination, priority).pending.push(job);
    this.#pending++;
    this.#consider(name, destination);
  }

  /** Starts the next job whose turn it is; null when none may start now. Each started job ends by `finished`. */
  next(): { readonly destination: string; readonly job: Job } | null {
    if (this.#running >= this.#limits.total) return null;
    for (const ready of this.#ready) {
      if (ready.size === 0) continue; // hardly ever more than one level is in use, and this runs for every message
      for (const [name, destination] of ready) {
        this.#unready(name, destination);
        const lane = firstLane(destination);
        const job = lane === undefined ? undefined : take(lane);
        if (job === undefined) continue;
        destination.running++;
        this.#running++;
        this.#pending--;
        this.#consider(name, destination);
        return { destination: name, job };
      }
    }
    return null;
  }

  /**
   * Ends a job. When its trouble suspends the destination until `resumeAt`, the jobs waiting for it are returned: they are to be
   * put off without trying.
   */
  finished(name: string, experience: Experience, resumeAt: Instant): readonly Job[] {
    const destination = this.#of(name);
    destination.running--;
    this.#running--;
    const suspends = this.#learn(destination, experience);
    let putOff: readonly Job[] = [];
    if (suspends) {
      destination.suspendedUntil = resumeAt;
      putOff = this.#drain(name, destination);
    }
    this.#consider(name, destination);
    this.#forget(name, destination);
    return putOff;
  }

  /** Until when the destination is not to be tried, or null. */
  suspendedUntil(name: string, now: Instant): Instant | null {
    const until = this.#destinations.get(name)?.suspendedUntil ?? null;
    return until !== null && until > now ? until : null;
  }

  /** Gives every suspended destination another chance now. */
  resume(): void {
    for (const destination of this.#destinations.values()) destination.suspendedUntil = null;
  }

  /** Takes out all jobs that have not started. */
  drain(): readonly Job[] {
    return [...this.#destinations].flatMap(([name, destination]) => this.#drain(name, destination));
  }

  #learn(destination: Destination<Job>, experience: Experience): boolean {
    switch (experience) {
      case "answered":
        destination.suspendedUntil = null;
        destination.window = Math.min(destination.window + 1, this.#limits.destinationMost);
        return false;
      case "nothing":
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

  #of(name: string): Destination<Job> {
    let destination = this.#destinations.get(name);
    if (destination === undefined) {
      const window = this.#limits.destinationStart;
      destination = { lanes: [], ready: null, running: 0, window, suspendedUntil: null };
      this.#destinations.set(name, destination);
    }
    return destination;
  }

  #consider(name: string, destination: Destination<Job>): void {
    const lane = destination.running < destination.window ? firstLane(destination) : undefined;
    const priority = lane?.priority ?? null;
    if (priority === destination.ready) return;
    this.#unready(name, destination);
    if (priority === null) return;
    destination.ready = priority;
    this.#ready[HIGHEST - priority]?.set(name, destination);
  }

  #unready(name: string, destination: Destination<Job>): void {
    if (destination.ready === null) return;
    this.#ready[HIGHEST - destination.ready]?.delete(name);
    destination.ready = null;
  }

  #drain(name: string, destination: Destination<Job>): readonly Job[] {
    const jobs = destination.lanes.flatMap(({ pending, head }) => pending.slice(head));
    destination.lanes.length = 0;
    this.#pending -= jobs.length;
    this.#unready(name, destination);
    return jobs;
  }

  #forget(name: string, destination: Destination<Job>): void {
    if (!isIdle(destination)) return;
    if (destination.suspendedUntil === null) this.#destinations.delete(name);
    if (this.#destinations.size <= MOST_REMEMBERED) return;
    for (const [oldest, candidate] of this.#destinations) {
      if (!isIdle(candidate)) continue;
      this.#destinations.delete(oldest);
      return;
    }
  }
}

function isIdle(destination: Destination<unknown>): boolean {
  return destination.running === 0 && firstLane(destination) === undefined;
}

/** The lane of the highest priority that holds a job. */
function firstLane<Job>({ lanes }: Destination<Job>): Lane<Job> | undefined {
  for (const lane of lanes) if (lane.pending.length > lane.head) return lane;
  return undefined;
}

function laneOf<Job>({ lanes }: Destination<Job>, priority: number): Lane<Job> {
  const place = lanes.findIndex((lane) => lane.priority <= priority);
  const found = lanes[place];
  if (found !== undefined && found.priority === priority) return found;
  const lane: Lane<Job> = { priority, pending: [], head: 0 };
  lanes.splice(place === -1 ? lanes.length : place, 0, lane);
  return lane;
}

/** Takes the first job; the array is cut now and then instead of being moved for each. */
function take<Job>(lane: Lane<Job>): Job | undefined {
  const job = lane.pending[lane.head];
  lane.head++;
  if (lane.head === lane.pending.length) {
    lane.pending = [];
    lane.head = 0;
  } else if (lane.head > 1000) {
    lane.pending = lane.pending.slice(lane.head);
    lane.head = 0;
  }
  return job;
}
