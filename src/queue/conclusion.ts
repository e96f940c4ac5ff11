import { type Instant, instant } from "../base/index.ts";
import type { Experience } from "./destinations.ts";
import type { DeliveryProblem, Outcome, QueuedMessage, Recipient } from "./model.ts";
import { type ReportAction, reportDuty, warningTime } from "./report-duty.ts";
import { nextAttempt, type RetryException, type RetryRule, retryRuleFor } from "./retry.ts";
import type { Settlement } from "./store.ts";
import { EXPIRED_STATUS, OVERDUE_STATUS } from "./story.ts";
import { isOverdue } from "./terms.ts";

/** One recipient and what is to be written about it. */
export interface Concluded {
  readonly recipient: Recipient;
  readonly outcome: Outcome;
  /** Set exactly when the outcome is deferred. */
  readonly nextAttempt: Instant | null;
  /** What its sender is to be told. */
  readonly duty: ReportAction | null;
  /** False where nothing was tried, see `Outcome.turnAt`. */
  readonly counted: boolean;
}

export interface Circumstances {
  readonly now: Instant;
  /** A number in [-1, 1]. */
  readonly jitter: number;
  readonly rule: RetryRule;
  /** Where other waits count. Default: nowhere. */
  readonly exceptions?: readonly RetryException[];
}

/**
 * Turns the outcome of an attempt into what is written: a time for the next one, or, past the expiry, a failure; and what the
 * sender is to be told. Mail whose delay is still to be told of is tried again at the time for that.
 */
export function conclude(
  message: QueuedMessage,
  recipient: Recipient,
  outcome: Outcome,
  circumstances: Circumstances,
): Concluded {
  const { now, jitter, rule: general, exceptions = [] } = circumstances;
  const moment = { now, warnAfter: general.warnAfter };
  if (outcome.kind !== "deferred") return over(message, recipient, outcome, moment);
  const rule = retryRuleFor(general, exceptions, recipient.mailbox.domain, outcome.problem);
  // A rule that gives up earlier takes its part off the end; the term may have begun later than the message came (RFC 4865).
  const expiresAt = instant(message.expiresAt - Math.max(0, general.giveUpAfter - rule.giveUpAfter));
  const step = nextAttempt({ before: recipient.attempts, expiresAt }, now, jitter, rule);
  if (step.kind === "giveUp") return over(message, recipient, expiredOutcome(message, outcome, now), moment);
  const counted = outcome.turnAt === undefined;
  const wanted = outcome.turnAt ?? step.at;
  const warning = warningTime(message, recipient, general.warnAfter);
  const latest = warning === null || warning <= now ? expiresAt : Math.min(expiresAt, warning);
  // What was really tried before tells more than that there was no turn.
  const told = counted ? outcome : (recipient.lastOutcome ?? outcome);
  const duty = reportDuty(message, recipient, told, moment);
  return { recipient, outcome: told, nextAttempt: instant(Math.min(wanted, latest)), duty, counted };
}

/** A recipient that needs no further attempt. */
function over(
  message: QueuedMessage,
  recipient: Recipient,
  outcome: Outcome,
  moment: Parameters<typeof reportDuty>[3],
): Concluded {
  const duty = reportDuty(message, recipient, outcome, moment);
  return { recipient, outcome, nextAttempt: null, duty, counted: true };
}

/** The end of waiting recipients past their time, found without an attempt. */
export function concludeExpired(
  message: QueuedMessage,
  recipient: Recipient,
  now: Instant,
  rule: RetryRule,
): Concluded {
  const outcome = expiredOutcome(message, recipient.lastOutcome, now);
  return over(message, recipient, outcome, { now, warnAfter: rule.warnAfter });
}

/** The end of a recipient whose time is over, told with the last trouble it had. */
export function expiredOutcome(message: QueuedMessage, last: Outcome | null, now: Instant): Outcome {
  const status = isOverdue(message, now) ? OVERDUE_STATUS : EXPIRED_STATUS;
  if (last === null || last.kind === "delivered") {
    const problem = { text: "delivery time expired before an attempt was made", reply: null, status };
    return { kind: "failed", scope: "message", problem, hop: null };
  }
  const { reply, text } = last.problem;
  const problem: DeliveryProblem = {
    text: `delivery time expired; last trouble: ${text}`,
    reply,
    status,
  };
  return { kind: "failed", scope: "message", problem, hop: last.hop };
}

/** When the first of them is tried again; null where none is. */
export function earliestAttempt(concluded: readonly Concluded[]): Instant | null {
  let first: Instant | null = null;
  for (const { nextAttempt } of concluded) {
    if (nextAttempt !== null && (first === null || nextAttempt < first)) first = nextAttempt;
  }
  return first;
}

/** What the outcomes of one job say of the destination it went to. */
export function experienceOf(outcomes: readonly Outcome[]): Experience {
  let worst: Experience = "nothing";
  for (const outcome of outcomes) {
    if (outcome.kind === "delivered") return "answered";
    if (outcome.scope === "recipient") return "answered";
    if (outcome.scope === "message") {
      // A host spoke about the message; without a reply the trouble may be ours.
      if (outcome.problem.reply !== null) return "answered";
    } else if (outcome.kind === "deferred") {
      if (outcome.scope === "host") worst = "hostTrouble";
      else if (outcome.turnAt !== undefined) {
        if (worst === "nothing") worst = "busy";
      } else if (worst !== "hostTrouble") worst = "connectionTrouble";
    }
  }
  return worst;
}

const PUT_OFF = "not tried, the destination is suspended: ";

/** For mail put off until `turnAt` because its destination is suspended. */
export function putOffOutcome(cause: Outcome | null, turnAt: Instant): Outcome {
  const known = cause === null || cause.kind === "delivered" ? null : cause;
  const told = known === null ? "an earlier attempt failed" : known.problem.text;
  const text = told.startsWith(PUT_OFF) ? told : `${PUT_OFF}${told}`;
  return {
    kind: "deferred",
    scope: "host",
    problem: {
      text,
      reply: known?.problem.reply ?? null,
      status: known?.problem.status ?? "4.4.1",
    },
    hop: known?.hop ?? null,
    turnAt,
  };
}

/** For an exception of ours, whose text is for the log alone. */
export function brokenOutcome(): Outcome {
  const problem = { text: "an internal error, told in the log", reply: null, status: "4.3.0" };
  return { kind: "deferred", scope: "message", problem, hop: null };
}

export function settlementOf(
  message: QueuedMessage,
  concluded: readonly Concluded[],
  report: Settlement["report"],
  at: Instant,
): Settlement {
  const recipients = concluded.map(({ recipient, outcome, nextAttempt, duty, counted }) => ({
    index: recipient.index,
    outcome,
    nextAttempt,
    warned: duty === "delayed",
    ...(counted ? {} : { counted }),
  }));
  return { id: message.id, at, recipients, report };
}
