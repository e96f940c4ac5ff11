import { keptOutcome } from "../history.ts";
import type { NewMessage } from "../model.ts";
import { queueIdNumber } from "../queue-id.ts";
import type { Settlement } from "../store.ts";
import { settledEntry } from "../story.ts";
import { releaseTime } from "../terms.ts";
import type { MessageColumns, OutcomeColumns } from "./protocol.ts";

/** A message as the worker writes it. */
export function messageColumns(message: NewMessage): MessageColumns {
  const { reversePath } = message;
  return {
    id: queueIdNumber(message.id),
    receivedAt: message.receivedAt,
    expiresAt: message.expiresAt,
    size: message.size,
    senderLocal: reversePath === null ? null : reversePath.localPart,
    senderDomain: reversePath === null ? null : reversePath.domain,
    parameters: JSON.stringify(message.parameters),
    origin: JSON.stringify(message.origin),
    priority: message.parameters.priority ?? 0,
    dueAt: releaseTime(message),
    recipients: message.recipients.map(({ mailbox, parameters }) => ({
      localPart: mailbox.localPart,
      domain: mailbox.domain,
      parameters: JSON.stringify(parameters),
    })),
  };
}

/** What an attempt led to for one recipient, as the worker writes it. */
export function outcomeColumns(settled: Settlement["recipients"][number]): OutcomeColumns {
  const { index, outcome, nextAttempt, warned, counted = true } = settled;
  const json = JSON.stringify(outcome.kind === "deferred" ? outcome : keptOutcome(outcome));
  return { index, kind: outcome.kind, outcome: json, nextAttempt, warned, counted, ...settledEntry(settled) };
}
