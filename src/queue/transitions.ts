import type { NewMessage, Outcome, QueuedMessage, Recipient } from "./model.ts";
import type { Settlement } from "./store.ts";
import { releaseTime } from "./terms.ts";

/** A message at the start of its life in the queue: all recipients are waiting, and due as soon as it may go. */
export function acceptedMessage(message: NewMessage): QueuedMessage {
  const recipients = message.recipients.map(
    ({ mailbox, parameters }, index): Recipient => ({
      mailbox,
      parameters,
      index,
      state: "waiting",
      attempts: 0,
      nextAttempt: releaseTime(message),
      lastOutcome: null,
      warned: false,
    }),
  );
  return { ...message, held: false, recipients };
}

/** A recipient after an attempt. */
export function settledRecipient(
  recipient: Recipient,
  settled: Settlement["recipients"][number],
  at: Settlement["at"],
): Recipient {
  const { outcome, nextAttempt } = settled;
  return {
    ...recipient,
    state: outcome.kind === "deferred" ? "waiting" : outcome.kind,
    attempts: recipient.attempts + (settled.counted === false ? 0 : 1),
    nextAttempt: outcome.kind === "deferred" ? (nextAttempt ?? at) : recipient.nextAttempt,
    lastOutcome: outcome,
    warned: recipient.warned || settled.warned,
  };
}

/**
 * Whether something that a report tells of a recipient is not written yet. A commit whose success was not seen is written again,
 * and its report is in the queue already; deferred ones, of whom it tells nothing, wait as before.
 */
export function isToldFirst(
  settled: { readonly kind: Outcome["kind"]; readonly warned: boolean },
  before: { readonly warned: boolean },
): boolean {
  return settled.kind !== "deferred" || (settled.warned && !before.warned);
}
