import { DAY, type Duration, HOUR, type Instant, instant, MINUTE, SECOND } from "../base/index.ts";
import { matchesName } from "./limit.ts";
import type { DeliveryProblem } from "./model.ts";

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
  /** The waits one by one, in place of `first` and `longest`; the last of them is repeated. */
  readonly schedule?: readonly Duration[];
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

/** One line of the table of exceptions: for some domains, after some replies, other waits. */
export interface RetryException extends Partial<Pick<RetryRule, "first" | "longest" | "giveUpAfter" | "schedule">> {
  /** Recipient domains: `example.org`, `.example.org` (all below it) or `*`. */
  readonly match: string;
  /** After which trouble; null: any. See `matchesReply`. */
  readonly reply: string | null;
}

/** A reply code, part of one, an enhanced status, part of one, or `none`. */
const REPLY_PATTERN = /^(?:[45](?:\d\d|\d\*|\*)|[45]\.(?:\*|\d{1,3}\.(?:\*|\d{1,3}))|none)$/;

/** `451`, `45*`, `4*`, `4.7.1`, `4.7.*`, `4.*`, or `none` for trouble without a reply. */
export function isReplyPattern(text: string): boolean {
  return REPLY_PATTERN.test(text);
}

/** Whether a problem is of the kind: by the remote's reply code, by its enhanced status (theirs or ours), or by its silence. */
export function matchesReply(pattern: string, { reply, status }: Pick<DeliveryProblem, "reply" | "status">): boolean {
  if (pattern === "none") return reply === null;
  const seen = pattern.includes(".") ? status : reply === null ? "" : String(reply.code);
  return pattern.endsWith("*") ? seen.startsWith(pattern.slice(0, -1)) : seen === pattern;
}

/** The rule for mail to a domain after this trouble: the first exception that matches, filled up from the general rule. */
export function retryRuleFor(
  general: RetryRule,
  exceptions: readonly RetryException[],
  domain: string,
  problem: Pick<DeliveryProblem, "reply" | "status"> | null,
): RetryRule {
  for (const { match, reply, ...changes } of exceptions) {
    if (!matchesName(match, domain)) continue;
    if (reply !== null && (problem === null || !matchesReply(reply, problem))) continue;
    return changed(general, changes);
  }
  return general;
}

/** The rules that may count for mail to a domain, in the order they are looked at: each with the replies it is for. */
export function retryRulesFor(
  general: RetryRule,
  exceptions: readonly RetryException[],
  domain: string,
): readonly { readonly reply: string | null; readonly rule: RetryRule }[] {
  const rules: { readonly reply: string | null; readonly rule: RetryRule }[] = [];
  for (const { match, reply, ...changes } of exceptions) {
    if (!matchesName(match, domain)) continue;
    rules.push({ reply, rule: changed(general, changes) });
    if (reply === null) return rules;
  }
  return [...rules, { reply: null, rule: general }];
}

/** A `first` of its own that is longer than the general longest is its longest, too. */
function changed(general: RetryRule, changes: Omit<RetryException, "match" | "reply">): RetryRule {
  const rule = { ...general, ...changes };
  return rule.longest >= rule.first ? rule : { ...rule, longest: rule.first };
}

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
  const wait = waitAfter(mail.before, rule) * (1 + rule.spread * jitter);
  return { kind: "retryAt", at: instant(Math.min(Math.round(now + wait), mail.expiresAt)) };
}

function waitAfter(before: number, { schedule, first, longest }: RetryRule): Duration {
  const listed = schedule?.[Math.min(before, schedule.length - 1)];
  return listed ?? Math.min(first * 2 ** before, longest);
}

/** A schedule without end is a configuration without sense. */
const MOST_ATTEMPTS = 1000;

/**
 * When each attempt would be made, in milliseconds from the arrival, if none came to anything; the last is the one before the message
 * is given up. Chance is left out.
 */
export function attemptTimes(rule: RetryRule): readonly Duration[] {
  const expiresAt = instant(rule.giveUpAfter);
  const times: Duration[] = [];
  let now = instant(0);
  while (times.length < MOST_ATTEMPTS) {
    times.push(now);
    const next = nextAttempt({ before: times.length - 1, expiresAt }, now, 0, rule);
    if (next.kind === "giveUp") break;
    now = next.at;
  }
  return times;
}
