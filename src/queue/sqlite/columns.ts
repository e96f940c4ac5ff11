import type { SQLOutputValue } from "node:sqlite";
import { type Instant, instant } from "../../base/index.ts";
import type { Mailbox } from "../../smtp/index.ts";
import type {
  FinishedRecipient,
  Origin,
  Outcome,
  QueuedMessage,
  Recipient,
  RouteOverride,
  StoryEntry,
} from "../model.ts";
import { formatQueueId } from "../queue-id.ts";

/*
 * Rows back into values. The columns are STRICT, so a value of another type, or JSON that does not parse, is a damaged file and
 * throws. What the JSON means is taken on trust: this store wrote it from checked values.
 */

export type Row = Record<string, SQLOutputValue>;

/** How the `state` column says it. A held message's waiting recipients have a state of their own, outside the due index. */
export const STATE = { waiting: 0, delivered: 1, failed: 2, held: 3 } as const;

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw damaged(column);
  return value;
}

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw damaged(column);
  return value;
}

export function octets(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw damaged(column);
  return value;
}

function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

function time(row: Row, column: string): Instant {
  return instant(integer(row, column));
}

/** The message of a `message` row and its `recipient` rows in order. */
export function messageOf(row: Row, recipients: readonly Row[]): QueuedMessage {
  return {
    id: formatQueueId(integer(row, "id")),
    receivedAt: time(row, "received_at"),
    expiresAt: time(row, "expires_at"),
    size: integer(row, "size"),
    held: integer(row, "held") !== 0,
    reversePath: senderOf(row),
    parameters: JSON.parse(text(row, "parameters")),
    origin: JSON.parse(text(row, "origin")) as Origin, // written by this store
    recipients: recipients.map(recipientOf),
  };
}

function recipientOf(row: Row): Recipient {
  const state = integer(row, "state");
  const outcome = textOrNull(row, "outcome");
  const override = textOrNull(row, "override");
  return {
    mailbox: mailbox(text(row, "local_part"), text(row, "domain")),
    parameters: JSON.parse(text(row, "parameters")),
    index: integer(row, "place"),
    state: state === STATE.delivered ? "delivered" : state === STATE.failed ? "failed" : "waiting",
    attempts: integer(row, "attempts"),
    nextAttempt: time(row, "next_attempt"),
    lastOutcome: outcome === null ? null : (JSON.parse(outcome) as Outcome), // written by this store
    warned: integer(row, "warned") !== 0,
    ...(override === null ? {} : { override: JSON.parse(override) as RouteOverride }), // written by this store
  };
}

/** What a filter looks at of a waiting recipient. */
export function sightOf(row: Row): Pick<Recipient, "state" | "mailbox" | "lastOutcome"> {
  const outcome = textOrNull(row, "outcome");
  const lastOutcome = outcome === null ? null : (JSON.parse(outcome) as Outcome); // written by this store
  return { state: "waiting", mailbox: mailbox(text(row, "local_part"), text(row, "domain")), lastOutcome };
}

export function finishedOf(row: Row): FinishedRecipient {
  return {
    id: formatQueueId(integer(row, "message")),
    receivedAt: time(row, "received_at"),
    finishedAt: time(row, "finished_at"),
    reversePath: senderOf(row),
    mailbox: mailbox(text(row, "local_part"), text(row, "domain")),
    attempts: integer(row, "attempts"),
    outcome: JSON.parse(text(row, "outcome")) as Outcome, // written by this store
  };
}

export function senderOf(row: Row): Mailbox | null {
  const local = textOrNull(row, "sender_local");
  return local === null ? null : mailbox(local, text(row, "sender_domain"));
}

export function storyOf(row: Row): StoryEntry {
  return {
    at: time(row, "at"),
    recipient: row.recipient === null ? null : integer(row, "recipient"),
    event: text(row, "event") as StoryEntry["event"], // written by this store
    text: text(row, "text"),
  };
}

function mailbox(localPart: string, domain: string): Mailbox {
  return { localPart, domain: domain as Mailbox["domain"] }; // written by this store from a checked mailbox
}

function damaged(column: string): Error {
  return new Error(`the queue file is damaged: column ${column} holds a value of another type`);
}
