import type { Duration, Instant } from "../base/index.ts";
import type { Outcome, QueuedMessage, Recipient } from "./model.ts";
import { delayReportTime, deliverByTime } from "./terms.ts";

/** What a report says of one recipient (RFC 3464 §2.3.3). */
export type ReportAction = "failed" | "delayed" | "delivered" | "relayed";

/** One recipient that its sender is to be told about. */
export interface ReportItem {
  readonly recipient: Recipient;
  readonly outcome: Outcome;
  readonly action: ReportAction;
}

export interface ReportCircumstances {
  readonly now: Instant;
  /** How long mail may wait before its sender is told. */
  readonly warnAfter: Duration;
}

/**
 * What is owed to the sender for one recipient after an attempt, or null. Never anything for a null reverse-path: no report
 * makes a report (RFC 3461 §5.2).
 */
export function reportDuty(
  message: QueuedMessage,
  recipient: Recipient,
  outcome: Outcome,
  circumstances: ReportCircumstances,
): ReportAction | null {
  if (message.reversePath === null) return null;
  const { notify } = recipient.parameters;
  switch (outcome.kind) {
    case "failed":
      // RFC 3461 §5.2.6.
      return notify === undefined || notify.includes("FAILURE") ? "failed" : null;
    case "deferred": {
      const at = warningTime(message, recipient, circumstances.warnAfter);
      return at !== null && circumstances.now >= at ? "delayed" : null;
    }
    case "delivered":
      return successDuty(message, recipient, outcome, circumstances.now);
  }
}

/**
 * When the sender is to be told that this recipient still waits, or null where that is not wanted (RFC 3461 §5.2.5, RFC 2852
 * §4.1.3) or was done: whoever waits for days knows it after the first.
 */
export function warningTime(message: QueuedMessage, recipient: Recipient, warnAfter: Duration): Instant | null {
  const { notify } = recipient.parameters;
  if (message.reversePath === null || recipient.warned) return null;
  return notify === undefined || notify.includes("DELAY") ? delayReportTime(message, warnAfter) : null;
}

function successDuty(
  message: QueuedMessage,
  { parameters: { notify } }: Recipient,
  { onward }: Extract<Outcome, { kind: "delivered" }>,
  now: Instant,
): "delivered" | "relayed" | null {
  const wanted = notify?.includes("SUCCESS") === true;
  // RFC 3461 §5.2.3.
  if (onward === undefined) return wanted ? "delivered" : null;
  // RFC 3461 §5.2.2 (b): who takes it will not tell.
  if (wanted && !onward.dsn) return "relayed";
  const { by } = message.parameters;
  if (by === undefined || notify?.includes("NEVER") === true) return null;
  // RFC 2852 §4.1.4: each hop was asked for a trace.
  if (by.trace) return "relayed";
  // RFC 2852 §4.1.4.2: in time, but from here on nobody watches it.
  const inTime = now < (deliverByTime(message) ?? now);
  return by.mode === "N" && inTime && !onward.deliverBy ? "relayed" : null;
}
