import type { Instant } from "../base/index.ts";
import {
  deliverByTime,
  type FinishedRecipient,
  formatOverride,
  type Outcome,
  type QueuedMessage,
  type Recipient,
  releaseTime,
  type StoryEntry,
} from "../queue/index.ts";
import { describeReply, formatMailbox } from "../smtp/index.ts";

/** A recipient as the command line and other front ends show it. Times are ISO 8601 in UTC. */
export interface RecipientView {
  readonly index: number;
  readonly address: string;
  readonly state: Recipient["state"];
  readonly attempts: number;
  /** Null once nothing will be tried any more. */
  readonly nextAttempt: string | null;
  /** `smtp://HOST:PORT, tls LEVEL`: the next hop that an operator chose; null where it goes as configured. */
  readonly rerouted: string | null;
  /** How the last attempt ended; null before the first. */
  readonly last: OutcomeView | null;
}

export interface OutcomeView {
  readonly kind: Outcome["kind"];
  /** One plain line: why, or the reply that took it. */
  readonly text: string;
  /** Enhanced status of a problem, null for a success. */
  readonly status: string | null;
  readonly host: string | null;
  /** Of the session that stood; null where none did, and for mailboxes here. */
  readonly address: string | null;
  /** Version and cipher, null in clear text or where there was no session. */
  readonly tls: string | null;
  /** What the connection had to prove, and why. */
  readonly rule: string | null;
}

/** A message in the queue. */
export interface MessageView {
  readonly id: string;
  /** Empty for the null reverse-path. */
  readonly sender: string;
  readonly receivedAt: string;
  readonly expiresAt: string;
  /** Octets. */
  readonly size: number;
  readonly held: boolean;
  /** From -9 to 9; 0 where the sender asked for none (RFC 6710). */
  readonly priority: number;
  /** When it may first be tried, null where the sender did not ask to wait (RFC 4865). */
  readonly releaseAt: string | null;
  /** The time asked for, and what follows when it is over (RFC 2852); null where none was. */
  readonly deliverBy: { readonly at: string; readonly late: "return" | "notify" } | null;
  readonly origin: QueuedMessage["origin"];
  readonly recipients: readonly RecipientView[];
}

/** A recipient whose mail is over. */
export interface FinishedView {
  readonly id: string;
  /** Empty for the null reverse-path. */
  readonly sender: string;
  readonly recipient: string;
  readonly receivedAt: string;
  readonly finishedAt: string;
  readonly attempts: number;
  readonly outcome: OutcomeView;
}

/** One line of a message's story, oldest first. */
export interface StoryView {
  readonly at: string;
  /** The address it is about, null for the whole message. */
  readonly recipient: string | null;
  readonly event: StoryEntry["event"];
  readonly text: string;
}

export interface MessageDetail extends MessageView {
  readonly story: readonly StoryView[];
}

export function viewMessage(message: QueuedMessage): MessageView {
  return {
    id: message.id,
    sender: message.reversePath === null ? "" : formatMailbox(message.reversePath),
    receivedAt: time(message.receivedAt),
    expiresAt: time(message.expiresAt),
    size: message.size,
    held: message.held,
    priority: message.parameters.priority ?? 0,
    releaseAt: message.parameters.hold === undefined ? null : time(releaseTime(message)),
    deliverBy: viewDeliverBy(message),
    origin: message.origin,
    recipients: message.recipients.map(viewRecipient),
  };
}

export function viewDetail(message: QueuedMessage, story: readonly StoryEntry[]): MessageDetail {
  const addresses = new Map(message.recipients.map(({ index, mailbox }) => [index, formatMailbox(mailbox)]));
  return {
    ...viewMessage(message),
    story: story.map((entry) => ({
      at: time(entry.at),
      recipient: entry.recipient === null ? null : (addresses.get(entry.recipient) ?? null),
      event: entry.event,
      text: entry.text,
    })),
  };
}

export function viewFinished(finished: FinishedRecipient): FinishedView {
  const { reversePath, outcome } = finished;
  return {
    id: finished.id,
    sender: reversePath === null ? "" : formatMailbox(reversePath),
    recipient: formatMailbox(finished.mailbox),
    receivedAt: time(finished.receivedAt),
    finishedAt: time(finished.finishedAt),
    attempts: finished.attempts,
    outcome: viewOutcome(outcome),
  };
}

function viewDeliverBy(message: QueuedMessage): MessageView["deliverBy"] {
  const at = deliverByTime(message);
  if (at === null) return null;
  return { at: time(at), late: message.parameters.by?.mode === "R" ? "return" : "notify" };
}

function viewRecipient(recipient: Recipient): RecipientView {
  return {
    index: recipient.index,
    address: formatMailbox(recipient.mailbox),
    state: recipient.state,
    attempts: recipient.attempts,
    nextAttempt: recipient.state === "waiting" ? time(recipient.nextAttempt) : null,
    rerouted: recipient.override === undefined ? null : formatOverride(recipient.override),
    last: recipient.lastOutcome === null ? null : viewOutcome(recipient.lastOutcome),
  };
}

function viewOutcome(outcome: Outcome): OutcomeView {
  const where = {
    host: outcome.hop?.host ?? null,
    address: outcome.hop?.address ?? null,
    tls: outcome.hop?.tls ?? null,
    rule: outcome.hop?.rule ?? null,
  };
  if (outcome.kind === "delivered") {
    const text = outcome.reply === null ? "delivered" : describeReply(outcome.reply);
    return { kind: outcome.kind, text, status: null, ...where };
  }
  return { kind: outcome.kind, text: outcome.problem.text, status: outcome.problem.status, ...where };
}

function time(at: Instant): string {
  return new Date(at).toISOString();
}
