import { asError, type Clock, type Duration, type Log, type Random, SECOND, silentLog } from "../base/index.ts";
import { Alarm } from "./alarm.ts";
import { type Concluded, earliestAttempt, experienceOf, putOffOutcome } from "./conclusion.ts";
import type { Deliverer, Reporter } from "./deliverer.ts";
import { Deliveries } from "./deliveries.ts";
import { events } from "./events.ts";
import { InHand, type Job } from "./in-hand.ts";
import { JobDivision } from "./job-division.ts";
import { Judgement, type RetryRules } from "./judgement.ts";
import { type Limit, noLimit } from "./limit.ts";
import { Lookout } from "./lookout.ts";
import type { Outcome, QueuedMessage, QueueId, Recipient } from "./model.ts";
import { defaultRunnerLimits, type RunnerLimits } from "./runner-limits.ts";
import { Schedule } from "./schedule.ts";
import { Settler } from "./settler.ts";
import type { AcceptedMessage, QueueStore } from "./store.ts";
import { releaseTime } from "./terms.ts";
import { Undertakings } from "./undertakings.ts";

export interface RunnerOptions extends RetryRules {
  readonly store: QueueStore;
  readonly deliverer: Deliverer;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly limits?: Partial<RunnerLimits>;
  /** What a destination may be burdened with, by its key; default: what is learned. */
  readonly limitOf?: (destination: string) => Limit;
}

export interface RunnerStats {
  /** Deliveries under way. */
  readonly delivering: number;
  /** Jobs waiting in memory for their turn. */
  readonly waiting: number;
  /** Recipients claimed and not yet settled. */
  readonly claimed: number;
  /** Octets of bodies in memory. */
  readonly octets: number;
  readonly destinations: number;
}

/** Sees to it that what is due is tried, and that what was tried is written. */
export interface Runner {
  /**
   * Takes over a message that was kept with `claim`, while its body is still in memory, where that has room for it. False when there is
   * no room for its recipients or the runner stands still; the runner then ends the claims itself and finds the message in the store later.
   */
  offer(accepted: AcceptedMessage): boolean;
  start(): void;
  /**
   * Starts nothing new, lets deliveries under way end for `grace` milliseconds, then aborts them. What was not delivered is due
   * again at the next start. Resolves when nothing uses the store any more.
   */
  stop(grace: Duration): Promise<void>;
  /** Looks for due mail now and gives suspended destinations another chance: an operator changed something. */
  poke(): void;
  /**
   * Lets go of what waits in memory for its turn of this message, because it was held or is to go elsewhere: it is tried as the store says
   * by then. What is under way ends.
   */
  withdraw(id: QueueId): void;
  /** From now on these waits count, and what `limitOf` says by now; nothing that waits is waited for anew. */
  renew(rules: RetryRules): void;
  stats(): RunnerStats;
}

export function createRunner(options: RunnerOptions): Runner {
  return new QueueRunner(options);
}

/** How long aborted deliveries may take to notice. */
const ABORT_PATIENCE = 5 * SECOND;

class QueueRunner implements Runner {
  readonly #store: QueueStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: RunnerLimits;
  readonly #schedule: Schedule<Job>;
  readonly #settler: Settler;
  readonly #lookout: Lookout;
  readonly #inHand: InHand;
  readonly #division: JobDivision;
  readonly #deliveries: Deliveries;
  readonly #judgement: Judgement;
  /** All that stop has to wait for. */
  readonly #undertakings: Undertakings;
  #started = false;
  /** Gathered, because finding them takes a look at all that waits. */
  #withdrawn = new Set<QueueId>();
  /** For destinations that wait for nothing but time. */
  readonly #alarm: Alarm;

  constructor(options: RunnerOptions) {
    const { store, deliverer, reporter, clock, random, log = silentLog, limitOf = () => noLimit } = options;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    this.#alarm = new Alarm(clock, () => this.#pump());
    this.#deliveries = new Deliveries(deliverer, clock, log);
    this.#judgement = new Judgement(clock, random, options);
    this.#limits = { ...defaultRunnerLimits, ...options.limits };
    this.#schedule = new Schedule(this.#limits, limitOf);
    this.#undertakings = new Undertakings(clock, (error) => log.error(events.deliveryBroke, { error: asError(error) }));
    this.#settler = new Settler({ store, reporter, clock, log, reportRetry: () => this.#judgement.rule.longest });
    // A minute's mail of a destination with a rate is enough in hand; the rest can still be held or removed.
    this.#inHand = new InHand(this.#limits, {
      mostOf: (destination) => limitOf(destination).messagesPerMinute,
      isQuick: (destination) => this.#schedule.isQuick(destination),
    });
    this.#division = new JobDivision({
      store,
      inHand: this.#inHand,
      destinationOf: (recipient) => this.#deliveries.destinationOf(recipient),
      leaveOut: (id, recipients) => {
        this.#track(this.#unclaim(id, recipients));
        this.#lookout.expectLater();
      },
    });
    this.#lookout = new Lookout({
      store,
      clock,
      log,
      settler: this.#settler,
      inHand: this.#inHand,
      rule: () => this.#judgement.rule,
      window: this.#limits.window,
      take: (message, places) => this.#takeClaimed(message, places),
      quickOnes: (most) => this.#schedule.quickOnes(most),
      track: (work) => this.#undertakings.track(work),
    });
  }

  offer(accepted: AcceptedMessage): boolean {
    const { message } = accepted;
    const release = releaseTime(message);
    if (release > this.#clock.now()) {
      this.#track(this.#unclaim(message.id, message.recipients).then(() => this.#lookout.wakeAt(release)));
      return false;
    }
    if (this.#started && this.#inHand.recipients + message.recipients.length <= this.#limits.window) {
      const taken = this.#take(accepted, message.recipients);
      this.#pump();
      return taken > 0;
    }
    this.#track(this.#unclaim(message.id, message.recipients).then(() => this.#lookout.expectMore()));
    return false;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#lookout.start();
  }

  async stop(grace: Duration): Promise<void> {
    this.#started = false;
    this.#lookout.stop();
    this.#alarm.set(null);
    for (const job of this.#schedule.drain()) this.#track(this.#letGo(job));
    await this.#undertakings.idle(grace);
    this.#deliveries.abortAll();
    this.#settler.giveUp();
    await this.#undertakings.idle(ABORT_PATIENCE);
  }

  poke(): void {
    this.#deliveries.resume();
    this.#schedule.resume();
    this.#lookout.look();
  }

  withdraw(id: QueueId): void {
    if (this.#withdrawn.size === 0) this.#clock.after(0, () => this.#letGoWithdrawn());
    this.#withdrawn.add(id);
  }

  renew(rules: RetryRules): void {
    this.#judgement.renew(rules);
    this.#schedule.renewLimits();
    this.#pump();
  }

  stats(): RunnerStats {
    return {
      delivering: this.#schedule.running,
      waiting: this.#schedule.pending,
      claimed: this.#inHand.recipients,
      octets: this.#inHand.octets,
      destinations: this.#schedule.destinations,
    };
  }

  /** Returns how many were taken; the claims of the others have ended. */
  #takeClaimed(message: QueuedMessage, places: ReadonlySet<number>): number {
    const due = message.recipients.filter(({ index }) => places.has(index));
    const taken = this.#take({ message, body: this.#store.body(message), inMemory: 0 }, due);
    this.#pump();
    return taken;
  }

  /** Returns how many of the claimed recipients were taken; the claims of the others end. */
  #take(accepted: AcceptedMessage, recipients: readonly Recipient[]): number {
    const priority = accepted.message.parameters.priority ?? 0;
    let taken = 0;
    for (const job of this.#division.divide(accepted, recipients)) {
      taken += job.recipients.length;
      if (this.#schedule.suspendedUntil(job.destination, this.#clock.now()) !== null) this.#putOff(job, null);
      else this.#schedule.add(job.destination, job, priority, job.sender);
    }
    return taken;
  }

  #pump(): void {
    while (this.#started) {
      const next = this.#schedule.next(this.#clock.now());
      if (next === null) break;
      this.#track(this.#run(next.job));
    }
    this.#alarm.set(this.#started ? this.#schedule.wakeAt : null);
  }

  async #run(job: Job): Promise<void> {
    const abort = new AbortController();
    const begun = this.#clock.now();
    const outcomes = await this.#deliveries.deliver(job, abort);
    const concluded = this.#judgement.conclude(job, outcomes);
    const experience = abort.signal.aborted ? "nothing" : experienceOf(outcomes);
    const resumeAt = this.#judgement.probeAt(concluded);
    const took = this.#clock.now() - begun;
    const putOff = this.#schedule.finished(job.destination, experience, resumeAt, took);
    if (putOff.length > 0) {
      const { destination } = job;
      this.#log.warn(events.destinationSuspended, { destination, until: new Date(resumeAt).toISOString() });
      for (const other of putOff) this.#putOff(other, outcomes[0] ?? null);
    }
    // The slot is free from here on; the claims last until the outcome is written.
    this.#pump();
    await this.#settle(job, abort.signal.aborted ? await this.#withoutAborted(job, concluded) : concluded);
  }

  /** What we aborted ourselves was no attempt: those claims just end. */
  async #withoutAborted(job: Job, concluded: readonly Concluded[]): Promise<readonly Concluded[]> {
    const isOver = ({ outcome, nextAttempt }: Concluded): boolean =>
      outcome.kind !== "deferred" && nextAttempt === null;
    const unfinished = concluded.filter((each) => !isOver(each));
    await this.#unclaim(
      job.message.id,
      unfinished.map(({ recipient }) => recipient),
    );
    return concluded.filter(isOver);
  }

  /** It has its turn when the destination is tried again; what was not tried is no attempt, and lengthens no wait. */
  #putOff(job: Job, cause: Outcome | null): void {
    const now = this.#clock.now();
    const turnAt = this.#schedule.putOffUntil(job.destination, now) ?? now;
    const outcomes = job.recipients.map(({ lastOutcome }) => putOffOutcome(cause ?? lastOutcome, turnAt));
    this.#track(this.#settle(job, this.#judgement.conclude(job, outcomes)));
  }

  async #settle(job: Job, concluded: readonly Concluded[]): Promise<void> {
    const reported = concluded.length === 0 ? false : await this.#settler.settle(job.message, job.body, concluded);
    const hasRoomAgain = this.#inHand.release(job);
    if (!this.#started) return;
    const next = earliestAttempt(concluded);
    if (next !== null) this.#lookout.wakeAt(next);
    if (reported === true || hasRoomAgain) this.#lookout.expectMore();
    else this.#lookout.roomWasMade();
  }

  #letGoWithdrawn(): void {
    const ids = this.#withdrawn;
    this.#withdrawn = new Set();
    for (const job of this.#schedule.withdraw(({ message }) => ids.has(message.id))) {
      // Looked for only then: before, the store has it claimed.
      this.#track(this.#letGo(job).then(() => this.#lookout.expectMore()));
    }
  }

  async #letGo(job: Job): Promise<void> {
    await this.#unclaim(job.message.id, job.recipients);
    this.#inHand.release(job);
  }

  async #unclaim(id: QueueId, recipients: readonly Recipient[]): Promise<void> {
    if (recipients.length === 0) return;
    const places = recipients.map(({ index }) => index);
    await this.#settler.unclaim(id, places);
  }

  #track(work: Promise<void>): void {
    this.#undertakings.track(work);
  }
}
