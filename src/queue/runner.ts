import {
  type Clock,
  type Duration,
  type Instant,
  instant,
  type Log,
  later,
  type Random,
  SECOND,
  silentLog,
  type Timer,
} from "../base/index.ts";
import { brokenOutcome, type Concluded, conclude, experienceOf, expiredOutcome, putOffOutcome } from "./conclusion.ts";
import type { Deliverer, Reporter } from "./deliverer.ts";
import { events } from "./events.ts";
import { type BodyShare, InHand, type Job, senderOf } from "./in-hand.ts";
import { type Limit, noLimit } from "./limit.ts";
import { Lookout } from "./lookout.ts";
import type { Outcome, QueuedMessage, QueueId, Recipient } from "./model.ts";
import { defaultRetryRule, type RetryException, type RetryRule } from "./retry.ts";
import { defaultRunnerLimits, type RunnerLimits } from "./runner-limits.ts";
import { Schedule } from "./schedule.ts";
import { asError, Settler } from "./settler.ts";
import type { AcceptedMessage, QueueStore } from "./store.ts";
import { isOverdue, releaseTime } from "./terms.ts";
import { Undertakings } from "./undertakings.ts";

export interface RunnerOptions {
  readonly store: QueueStore;
  readonly deliverer: Deliverer;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly rules?: Partial<RetryRule>;
  /** Where other waits count, first match first. */
  readonly exceptions?: readonly RetryException[];
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
  renew(rules: Pick<RunnerOptions, "rules" | "exceptions">): void;
  stats(): RunnerStats;
}

export function createRunner(options: RunnerOptions): Runner {
  return new QueueRunner(options);
}

/** How long aborted deliveries may take to notice. */
const ABORT_PATIENCE = 5 * SECOND;

/** Recipients of one message with one destination. */
interface Group {
  readonly destination: string;
  readonly recipients: Recipient[];
}

class QueueRunner implements Runner {
  readonly #store: QueueStore;
  readonly #deliverer: Deliverer;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  #rule: RetryRule;
  #exceptions: readonly RetryException[];
  readonly #limits: RunnerLimits;
  readonly #schedule: Schedule<Job>;
  readonly #settler: Settler;
  readonly #lookout: Lookout;
  readonly #inHand: InHand;
  /** All that stop has to wait for. */
  readonly #undertakings: Undertakings;
  readonly #aborts = new Set<AbortController>();
  #started = false;
  /** Gathered, because finding them takes a look at all that waits. */
  #withdrawn = new Set<QueueId>();
  /** For destinations that wait for nothing but time. */
  #timer: Timer | null = null;
  #timerAt: Instant | null = null;

  constructor(options: RunnerOptions) {
    const { store, deliverer, reporter, clock, random, log = silentLog, limitOf = () => noLimit } = options;
    this.#store = store;
    this.#deliverer = deliverer;
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#rule = { ...defaultRetryRule, ...options.rules };
    this.#exceptions = options.exceptions ?? [];
    this.#limits = { ...defaultRunnerLimits, ...options.limits };
    this.#schedule = new Schedule(this.#limits, limitOf);
    this.#undertakings = new Undertakings(clock, (error) => log.error(events.deliveryBroke, { error: asError(error) }));
    this.#settler = new Settler({ store, reporter, clock, log, reportRetry: () => this.#rule.longest });
    // A minute's mail of a destination with a rate is enough in hand; the rest can still be held or removed.
    this.#inHand = new InHand(this.#limits, {
      mostOf: (destination) => limitOf(destination).messagesPerMinute,
      isQuick: (destination) => this.#schedule.isQuick(destination),
    });
    this.#lookout = new Lookout({
      store,
      clock,
      log,
      settler: this.#settler,
      inHand: this.#inHand,
      rule: () => this.#rule,
      window: this.#limits.window,
      take: (message, places) => this.#takeClaimed(message, places),
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
      const taken = this.#take(accepted, this.#groups(message.recipients));
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
    this.#timer?.cancel();
    for (const job of this.#schedule.drain()) this.#track(this.#letGo(job));
    await this.#undertakings.idle(grace);
    for (const abort of this.#aborts) abort.abort();
    this.#settler.giveUp();
    await this.#undertakings.idle(ABORT_PATIENCE);
  }

  poke(): void {
    this.#deliverer.resume?.();
    this.#schedule.resume();
    this.#lookout.look();
  }

  withdraw(id: QueueId): void {
    if (this.#withdrawn.size === 0) this.#clock.after(0, () => this.#letGoWithdrawn());
    this.#withdrawn.add(id);
  }

  renew({ rules, exceptions = [] }: Parameters<Runner["renew"]>[0]): void {
    this.#rule = { ...defaultRetryRule, ...rules };
    this.#exceptions = exceptions;
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
    const taken = this.#take({ message, body: this.#store.body(message), inMemory: 0 }, this.#groups(due));
    this.#pump();
    return taken;
  }

  /**
   * Makes jobs of claimed recipients, one for each destination that has room, and lets go of the others. A body for which a destination
   * has no memory is read from the store when its turn comes.
   */
  #take({ message, body, inMemory }: AcceptedMessage, groups: Iterable<Group>): number {
    const share: BodyShare = { octets: inMemory, jobs: 0 };
    const sender = senderOf(message);
    const jobs: Job[] = [];
    let taken = 0;
    for (const { destination, recipients } of groups) {
      if (!this.#inHand.hasRoom({ destination, sender, count: recipients.length })) {
        this.#leaveOut(message.id, destination, recipients);
        continue;
      }
      const of = { message, recipients, destination, sender };
      const isKept = this.#inHand.hasMemory(destination, inMemory);
      const job = isKept ? { ...of, body, share } : { ...of, body: this.#store.body(message), share: nothingHeld() };
      this.#inHand.take(job);
      jobs.push(job);
      taken += recipients.length;
    }
    for (const job of jobs) {
      if (this.#schedule.suspendedUntil(job.destination, this.#clock.now()) !== null) this.#putOff(job, null);
      else this.#schedule.add(job.destination, job, message.parameters.priority ?? 0, sender);
    }
    return taken;
  }

  /** Their destination is full: they are rows again, and found when it has room. */
  #leaveOut(id: QueueId, destination: string, recipients: readonly Recipient[]): void {
    for (const { mailbox } of recipients) this.#inHand.noteFull(destination, mailbox.domain);
    this.#track(this.#unclaim(id, recipients));
    this.#lookout.expectLater();
  }

  #groups(recipients: readonly Recipient[]): Iterable<Group> {
    const groups = new Map<string, Group>();
    for (const recipient of recipients) {
      const destination = this.#destination(recipient);
      const group = groups.get(destination);
      if (group === undefined) groups.set(destination, { destination, recipients: [recipient] });
      else group.recipients.push(recipient);
    }
    return groups.values();
  }

  #destination({ mailbox, override }: Recipient): string {
    try {
      return this.#deliverer.destination(mailbox, override);
    } catch (error) {
      this.#log.error(events.deliveryBroke, { error: asError(error) });
      return mailbox.domain;
    }
  }

  #pump(): void {
    for (;;) {
      const next = this.#started ? this.#schedule.next(this.#clock.now()) : null;
      if (next === null) break;
      this.#track(this.#run(next.job));
    }
    const { wakeAt } = this.#schedule;
    if (wakeAt === this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = wakeAt;
    if (wakeAt === null || !this.#started) return;
    this.#timer = this.#clock.after(Math.max(0, wakeAt - this.#clock.now()), () => {
      this.#timerAt = null;
      this.#pump();
    });
  }

  async #run(job: Job): Promise<void> {
    const abort = new AbortController();
    const begun = this.#clock.now();
    this.#aborts.add(abort);
    const outcomes = await this.#deliver(job, abort.signal);
    this.#aborts.delete(abort);
    const concluded = this.#conclude(job, outcomes);
    const experience = abort.signal.aborted ? "nothing" : experienceOf(outcomes);
    const resumeAt = this.#resumeAt(concluded);
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

  /**
   * When a destination in trouble is probed: as soon as this message is due, yet never later than a new message would be. The
   * long waits of an old message say nothing of how long its host will be away.
   */
  #resumeAt(concluded: readonly Concluded[]): Instant {
    const probe = later(this.#clock.now(), this.#rule.first);
    return instant(Math.min(earliest(concluded) ?? probe, probe));
  }

  async #deliver(job: Job, signal: AbortSignal): Promise<readonly Outcome[]> {
    const { message, recipients, destination, body } = job;
    const now = this.#clock.now();
    if (isOverdue(message, now)) {
      return recipients.map(({ lastOutcome }) => expiredOutcome(message, lastOutcome, now));
    }
    try {
      const outcomes = await this.#deliverer.deliver({ message, recipients, destination, body }, signal);
      if (outcomes.length === recipients.length) return outcomes;
      throw new Error(`${outcomes.length} outcomes for ${recipients.length} recipients`);
    } catch (error) {
      this.#log.error(events.deliveryBroke, { id: message.id, destination, error: asError(error) });
      return recipients.map(brokenOutcome);
    }
  }

  #conclude(job: Job, outcomes: readonly Outcome[]): Concluded[] {
    const jitter = this.#random.next() * 2 - 1;
    const rules = { rule: this.#rule, exceptions: this.#exceptions };
    const circumstances = { now: this.#clock.now(), jitter, ...rules };
    return job.recipients.map((recipient, at) =>
      conclude(job.message, recipient, outcomes[at] ?? brokenOutcome(), circumstances),
    );
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
    this.#track(this.#settle(job, this.#conclude(job, outcomes)));
  }

  async #settle(job: Job, concluded: readonly Concluded[]): Promise<void> {
    const reported = concluded.length === 0 ? false : await this.#settler.settle(job.message, job.body, concluded);
    const hasRoomAgain = this.#inHand.release(job);
    if (!this.#started) return;
    const next = earliest(concluded);
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

function nothingHeld(): BodyShare {
  return { octets: 0, jobs: 0 };
}

function earliest(concluded: readonly Concluded[]): Instant | null {
  let first: Instant | null = null;
  for (const { nextAttempt } of concluded) {
    if (nextAttempt !== null && (first === null || nextAttempt < first)) first = nextAttempt;
  }
  return first;
}
