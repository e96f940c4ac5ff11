import { type Duration, type Instant, instant, later, SECOND } from "../base/index.ts";
import { type Destination, type DestinationLimits, Destinations, type Experience } from "./destinations.ts";
import { type Limit, noLimit } from "./limit.ts";

export interface ScheduleLimits extends DestinationLimits {
  /** Jobs running at the same time, over all destinations. */
  readonly total: number;
}

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
  readonly #destinations: Destinations<Job>;
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
    this.#destinations = new Destinations(limits, limitOf);
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
    return this.#destinations.isQuick(name);
  }

  /** Those of which the last job was answered in good time, `most` at most, the latest known first. */
  quickOnes(most: number): string[] {
    return this.#destinations.quickOnes(most);
  }

  add(name: string, job: Job, priority = 0, sender = ""): void {
    const destination = this.#destinations.of(name);
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
    const destination = this.#destinations.of(name);
    destination.running--;
    this.#running--;
    if (!destination.quick) this.#burden--;
    const suspends = this.#destinations.learn(name, destination, experience, resumeAt);
    if (experience !== "nothing" && experience !== "busy") {
      this.#setQuick(destination, experience === "answered" && took <= QUICK);
    }
    let putOff: readonly Job[] = [];
    if (suspends) {
      destination.suspendedUntil = resumeAt;
      putOff = this.#drain(destination);
    }
    this.#consider(name, destination);
    this.#destinations.forget(name, destination);
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
    return until === null ? null : this.#destinations.returnAt(name, until, now);
  }

  /** Gives every suspended destination another chance now. */
  resume(): void {
    for (const destination of this.#destinations.values()) destination.suspendedUntil = null;
  }

  /** Asks anew what each destination may be burdened with. What runs beyond it ends, and no more begins until there is room. */
  renewLimits(): void {
    for (const [name, destination] of this.#destinations.entries()) {
      this.#destinations.renewLimits(name, destination);
      this.#consider(name, destination);
    }
  }

  /** Takes out the jobs that match and have not started. */
  withdraw(matches: (job: Job) => boolean): readonly Job[] {
    const withdrawn: Job[] = [];
    for (const [name, destination] of this.#destinations.entries()) {
      const jobs = destination.turns.remove(matches);
      if (jobs.length === 0) continue;
      this.#pending -= jobs.length;
      withdrawn.push(...jobs);
      this.#consider(name, destination);
      this.#destinations.forget(name, destination);
    }
    return withdrawn;
  }

  /** Takes out all jobs that have not started. */
  drain(): readonly Job[] {
    return [...this.#destinations.entries()].flatMap(([name, destination]) => {
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

  #setQuick(destination: Destination<Job>, quick: boolean): void {
    if (destination.quick === quick) return;
    destination.quick = quick;
    this.#burden += quick ? -destination.running : destination.running;
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
}
