import { DAY, type Duration, HOUR, type Instant, instant, MINUTE, SECOND } from "../base/index.ts";

/** When to try again, and until when (RFC 5321 §4.5.4.1). */
export interface RetryRule {
  /** The wait after the first attempt; each further one waits twice as long. */
  readonly first: Duration;
  /** No wait is longer, before chance is added. */
  readonly longest: Duration;
  /** How far chance moves a wait to either side, as a part of it (0 to 1), so that mail deferred together does not return together. */
  readonly spread: number;
  /** Age at which a message is given up; whoever makes a message sets its `expiresAt` by it. */
  readonly giveUpAfter: Duration;
  /** Age at which the sender is told that it is delayed (RFC 3461 §5.2.5). */
  readonly warnAfter: Duration;
}

/**
 * Deviation: RFC 5321 §4.5.4.1 recommends at least 30 minutes between attempts. Greylisting hosts expect the second attempt
 * within minutes, so the first wait is 5 minutes as elsewhere in the field; after some attempts the waits reach an hour.
 */
export const defaultRetryRule: RetryRule = {
  first: 5 * MINUTE,
  longest: 4000 * SECOND,
  spread: 0.1,
  giveUpAfter: 5 * DAY,
  warnAfter: 4 * HOUR,
};

export type NextStep = { readonly kind: "retryAt"; readonly at: Instant } | { readonly kind: "giveUp" };

export interface Attempts {
  /** Attempts finished before the one that was just made. */
  readonly before: number;
  readonly expiresAt: Instant;
}

/**
 * What follows an attempt that has to be repeated. `jitter` is in [-1, 1]. A wait never goes beyond the expiry: there the last
 * attempt is made, and only after that one the message is given up.
 */
export function nextAttempt(mail: Attempts, now: Instant, jitter: number, rule: RetryRule): NextStep {
  if (now >= mail.expiresAt) return { kind: "giveUp" };
  const wait = Math.min(rule.first * 2 ** mail.before, rule.longest) * (1 + rule.spread * jitter);
  return { kind: "retryAt", at: instant(Math.min(Math.round(now + wait), mail.expiresAt)) };
}
