import { type Duration, type Instant, instant, later, MINUTE, SECOND } from "../base/index.ts";
import { type Limit, noLimit } from "./limit.ts";
import { ReturnLines } from "./return-lines.ts";
import { Turns } from "./turns.ts";

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
  /** Nothing was tried for want of a turn at the host: the destination pauses, and what waits for it stays. */
  | "busy"
  /** A connection broke: half as many at a time, and suspended when there was only one. */
  | "connectionTrouble"
  /** No host of it can be used: suspended at once. */
  | "hostTrouble";

interface Destination<Job> extends Learned {
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

/** A job that took longer says that its destination holds up what it shares with others. */
const QUICK = 5 * SECOND;

/** Ready destinations looked at for one start, so that its cost has a bound. */
const MOST_TRIES = 8;

/** Priorities reach from -9 to 9 (RFC 6710 §3). */
const HIGHEST = 9;
const LEVELS = 2 * HIGHEST + 1;

/** Destinations that may start a job of one priority now; the first of a map has its turn. */
interface Level<Job> {
  readonly quick: Map<string, Destination<Job>>;
  readonly others: Map<string, Destination<Job>>;
}

/**
 * Who is next: jobs wait in a queue for each destination, and destinations take turns, and so do senders within one (`Turns`), so
 * that much mail for or from one never delays that of another. A job of higher priority goes before all others, at its destination
 * and among destinations (RFC 6710 §5.1).
 *
 * Destinations that are slow, or of which nothing is known, never hold all slots: a quarter is left to those that answered in good
 * time, and each of the others leaves as much free as it holds. Knows no clock and does nothing by itself.
 */
export class Schedule<Job> {
  readonly #limits: ScheduleLimits;
  readonly #limitOf: (name: string) => Limit;
  readonly #destinations = new Map<string, Destination<Job>>();
  readonly #lines = new ReturnLines();
  readonly #learned = new Map<string, Learned>();
  readonly #levels = Array.from({ length: LEVELS }, (): Level<Job> => ({ quick: new Map(), others: new Map() }));
  /** Jobs wait, and only for time to pass. */
  readonly #paused = new Map<string, Destination<Job>>();
  /** No paused destination may start before then. */
  #wakeAt: Instant | null = null;
  #running = 0;
  /** Jobs running of destinations that are not quick. */
  #burden = 0;
  #pending = 0;
  #quickIsNext = true;
  #now = instant(0);

  constructor(limits: ScheduleLimits, limitOf: (name: string) => Limit = () => noLimit) {
    this.#limits = limits;
    this.#limitOf = limitOf;
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

  /** When a paused destination may go on without anything else happening, null when none waits for time alone. */
  get wakeAt(): Instant | null {
    return this.#paused.size === 0 ? null : this.#wakeAt;
  }

  /** Whether its last job was answered in good time. */
  isQuick(name: string): boolean {
    return (this.#destinations.get(name) ?? this.#learned.get(name))?.quick === true;
  }

  /** Those of which the last job was answered in good time, `most` at most, the latest known first. */
  quickOnes(most: number): string[] {
    const known = [...this.#learned, ...this.#destinations].reverse();
    return known.flatMap(([name, { quick }]) => (quick ? [name] : [])).slice(0, most);
  }

  add(name: string, job: Job, priority = 0, sender = ""): void {
    const destination = this.#of(name);
    destination.turns.add(job, priority, sender);
    this.#pending++;
    this.#consider(name, destination);
  }

  /** Starts the next job whose turn it is; null when none may start now. Each started job ends by `finished`. */
  next(now: Instant = this.#now): { readonly destination: string; readonly job: Job } | null {
    this.#now = now;
    if (this.#wakeAt !== null && this.#wakeAt <= now) this.#wake();
    if (this.#running >= this.#limits.total) return null;
    for (const level of this.#levels) {
      if (level.quick.size === 0 && level.others.size === 0) continue; // this runs for every message
      const found = this.#choose(level);
      if (found !== null) return found;
    }
    return null;
  }

  /**
   * Ends a job that ran for `took`. When its trouble suspends the destination until `resumeAt`, the jobs waiting for it are
   * returned: they are to be put off without trying.
   */
  finished(name: string, experience: Experience, resumeAt: Instant, took: Duration = 0): readonly Job[] {
    const destination = this.#of(name);
    destination.running--;
    this.#running--;
    if (!destination.quick) this.#burden--;
    const suspends = this.#learn(destination, experience, resumeAt);
    if (experience === "answered") this.#lines.dissolve(name);
    if (experience !== "nothing" && experience !== "busy") {
      this.#setQuick(destination, experience === "answered" && took <= QUICK);
    }
    let putOff: readonly Job[] = [];
    if (suspends) {
      destination.suspendedUntil = resumeAt;
      putOff = this.#drain(destination);
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

  /** When a job that finds its destination suspended is to come back, see `ReturnLines`; null where it is not. */
  putOffUntil(name: string, now: Instant): Instant | null {
    const until = this.suspendedUntil(name, now);
    return until === null ? null : this.#lines.next(name, until, now);
  }

  /** Gives every suspended destination another chance now. */
  resume(): void {
    for (const destination of this.#destinations.values()) destination.suspendedUntil = null;
  }

  /** Asks anew what each destination may be burdened with. What runs beyond it ends, and no more begins until there is room. */
  renewLimits(): void {
    for (const [name, destination] of this.#destinations) {
      const { most, interval } = this.#burdenOf(name);
      destination.most = most;
      destination.interval = interval;
      destination.window = Math.min(destination.window, most);
      this.#consider(name, destination);
    }
  }

  /** Takes out the jobs that match and have not started. */
  withdraw(matches: (job: Job) => boolean): readonly Job[] {
    const withdrawn: Job[] = [];
    for (const [name, destination] of this.#destinations) {
      const jobs = destination.turns.remove(matches);
      if (jobs.length === 0) continue;
      this.#pending -= jobs.length;
      withdrawn.push(...jobs);
      this.#consider(name, destination);
      this.#forget(name, destination);
    }
    return withdrawn;
  }

  /** Takes out all jobs that have not started. */
  drain(): readonly Job[] {
    return [...this.#destinations].flatMap(([name, destination]) => {
      const jobs = this.#drain(destination);
      this.#unready(name, destination);
      return jobs;
    });
  }

  #choose(level: Level<Job>): { readonly destination: string; readonly job: Job } | null {
    const order = this.#quickIsNext ? [level.quick, level.others] : [level.others, level.quick];
    for (const ready of order) {
      let tries = 0;
      for (const [name, destination] of ready) {
        if (++tries > MOST_TRIES) break;
        if (!destination.quick && !this.#leavesRoom(destination)) {
          ready.delete(name);
          ready.set(name, destination);
          continue;
        }
        this.#quickIsNext = ready !== level.quick;
        return { destination: name, job: this.#start(name, destination) };
      }
    }
    return null;
  }

  #leavesRoom({ running }: Destination<Job>): boolean {
    const { total } = this.#limits;
    const free = total - Math.floor(total / 4) - this.#burden;
    return free > 0 && (running === 0 || running < free);
  }

  #start(name: string, destination: Destination<Job>): Job {
    this.#unready(name, destination);
    const job = destination.turns.take();
    if (job === undefined) throw new Error("a destination without a job was ready");
    destination.running++;
    this.#running++;
    if (!destination.quick) this.#burden++;
    this.#pending--;
    if (destination.interval > 0) destination.notBefore = later(this.#now, destination.interval);
    this.#consider(name, destination);
    return job;
  }

  #learn(destination: Destination<Job>, experience: Experience, resumeAt: Instant): boolean {
    switch (experience) {
      case "answered":
        destination.suspendedUntil = null;
        destination.window = Math.min(destination.window + 1, destination.most);
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

  #setQuick(destination: Destination<Job>, quick: boolean): void {
    if (destination.quick === quick) return;
    destination.quick = quick;
    this.#burden += quick ? -destination.running : destination.running;
  }

  #of(name: string): Destination<Job> {
    let destination = this.#destinations.get(name);
    if (destination === undefined) {
      const { most, interval } = this.#burdenOf(name);
      const learned = this.#learned.get(name);
      this.#learned.delete(name);
      destination = {
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
      this.#destinations.set(name, destination);
    }
    return destination;
  }

  #burdenOf(name: string): Pick<Destination<Job>, "most" | "interval"> {
    const { connections, messagesPerMinute } = this.#limitOf(name);
    return {
      most: connections ?? this.#limits.destinationMost,
      interval: messagesPerMinute === null ? 0 : MINUTE / messagesPerMinute,
    };
  }

  /** Puts it where it belongs: among those that are ready, those that wait for time to pass, or neither. */
  #consider(name: string, destination: Destination<Job>): void {
    const { turns, running, window, notBefore, quick } = destination;
    const priority = running < window ? turns.priority : null;
    const isPaused = priority !== null && notBefore > this.#now;
    if (isPaused) {
      this.#unready(name, destination);
      this.#paused.set(name, destination);
      if (this.#wakeAt === null || notBefore < this.#wakeAt) this.#wakeAt = notBefore;
      return;
    }
    if (this.#paused.size > 0) this.#paused.delete(name);
    const level = priority === null ? undefined : this.#levels[HIGHEST - priority];
    const ready = (quick ? level?.quick : level?.others) ?? null;
    if (ready === destination.ready) return;
    this.#unready(name, destination);
    destination.ready = ready;
    ready?.set(name, destination);
  }

  #unready(name: string, destination: Destination<Job>): void {
    destination.ready?.delete(name);
    destination.ready = null;
    if (this.#paused.size > 0) this.#paused.delete(name);
  }

  #wake(): void {
    const paused = [...this.#paused];
    this.#paused.clear();
    this.#wakeAt = null;
    for (const [name, destination] of paused) this.#consider(name, destination);
  }

  #drain(destination: Destination<Job>): readonly Job[] {
    const jobs = destination.turns.drain();
    this.#pending -= jobs.length;
    return jobs;
  }

  #forget(name: string, destination: Destination<Job>): void {
    if (!isIdle(destination)) return;
    if (destination.suspendedUntil === null) {
      this.#destinations.delete(name);
      this.#lines.dissolve(name);
      const { window, quick, notBefore } = destination;
      this.#learned.set(name, { window, quick, notBefore });
      const [oldest] = this.#learned.keys();
      if (this.#learned.size > MOST_REMEMBERED && oldest !== undefined) this.#learned.delete(oldest);
    }
    if (this.#destinations.size <= MOST_REMEMBERED) return;
    for (const [oldest, candidate] of this.#destinations) {
      if (!isIdle(candidate)) continue;
      this.#destinations.delete(oldest);
      this.#lines.dissolve(oldest);
      return;
    }
  }
}

function isIdle({ running, turns }: Destination<unknown>): boolean {
  return running === 0 && turns.size === 0;
}
