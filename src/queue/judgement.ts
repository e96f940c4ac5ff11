import { type Clock, type Instant, instant, later, type Random } from "../base/index.ts";
import { brokenOutcome, type Concluded, conclude, earliestAttempt } from "./conclusion.ts";
import type { Job } from "./in-hand.ts";
import type { Outcome } from "./model.ts";
import { defaultRetryRule, type RetryException, type RetryRule } from "./retry.ts";

/** When mail is tried again and when it is given up. */
export interface RetryRules {
  /** What differs from the default. */
  readonly rules?: Partial<RetryRule>;
  /** Where other waits count, first match first. */
  readonly exceptions?: readonly RetryException[];
}

/** The rules as they count now, and what follows by them from what came of a job. */
export class Judgement {
  readonly #clock: Clock;
  readonly #random: Random;
  #rule: RetryRule = defaultRetryRule;
  #exceptions: readonly RetryException[] = [];

  constructor(clock: Clock, random: Random, rules: RetryRules) {
    this.#clock = clock;
    this.#random = random;
    this.renew(rules);
  }

  /** From now on these count. */
  renew({ rules, exceptions = [] }: RetryRules): void {
    this.#rule = { ...defaultRetryRule, ...rules };
    this.#exceptions = exceptions;
  }

  /** What counts where no exception does. */
  get rule(): RetryRule {
    return this.#rule;
  }

  /** One for each recipient of the job, in order, with waits that are a little apart from those of other jobs. */
  conclude(job: Job, outcomes: readonly Outcome[]): Concluded[] {
    const jitter = this.#random.next() * 2 - 1;
    const circumstances = { now: this.#clock.now(), jitter, rule: this.#rule, exceptions: this.#exceptions };
    return job.recipients.map((recipient, at) =>
      conclude(job.message, recipient, outcomes[at] ?? brokenOutcome(), circumstances),
    );
  }

  /**
   * When a destination in trouble is probed: as soon as this message is due, yet never later than a new message would be. The
   * long waits of an old message say nothing of how long its host will be away.
   */
  probeAt(concluded: readonly Concluded[]): Instant {
    const probe = later(this.#clock.now(), this.#rule.first);
    return instant(Math.min(earliestAttempt(concluded) ?? probe, probe));
  }
}
