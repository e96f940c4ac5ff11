import type { NewMessage, QueuedMessage, Recipient } from "./model.ts";
import type { Settlement } from "./store.ts";

/** A message at the start of its life in the queue: all recipients are waiting and due at once. */
export function acceptedMessage(message: NewMessage): QueuedMessage {
  const recipients = message.recipients.map(
    ({ mailbox, parameters }, index): Recipient => ({
      mailbox,
      parameters,
      index,
      state: "waiting",
      attempts: 0,
      nextAttempt: message.receivedAt,
      lastOutcome: null,
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
    attempts: recipient.attempts + 1,
    nextAttempt: outcome.kind === "deferred" ? (nextAttempt ?? at) : recipient.nextAttempt,
    lastOutcome: outcome,
  };
}
