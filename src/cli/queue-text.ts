import type { Admin, FinishedView, MessageDetail, MessageView, OutcomeView, RecipientView } from "../admin/index.ts";
import { printable } from "../base/index.ts";
import { table } from "./terminal.ts";

/** Characters of a line: a reply may be long, and a rule is. */
const MAX_LINE = 2000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * The queue as a table, part by part: one line for each recipient that waits, and the head above the first. `now` in milliseconds since
 * the epoch.
 */
export function queueTable(now: number): (messages: readonly MessageView[]) => readonly string[] {
  const widths: number[] = [];
  let head = [["ID", "AGE", "SIZE", "SENDER", "RECIPIENT", "NEXT", "REASON"]];
  return (messages) => {
    const lines = table([...head, ...queueRows(messages, now)], widths);
    head = [];
    return lines;
  };
}

function queueRows(messages: readonly MessageView[], now: number): readonly (readonly string[])[] {
  return messages.flatMap((message) =>
    message.recipients
      .filter(({ state }) => state === "waiting")
      .map((recipient) => [
        message.id,
        span(now - Date.parse(message.receivedAt)),
        size(message.size),
        sender(message),
        recipient.address,
        next(message, recipient, now),
        reason(recipient),
      ]),
  );
}

/** One message with its story. */
export function messageLines(message: MessageDetail): readonly string[] {
  const { origin } = message;
  const from = [origin.address, origin.hello, origin.identity, origin.tls].filter((part) => part !== null).join(", ");
  return [
    ...table([
      ["id", message.id],
      ["sender", sender(message)],
      ["received", `${message.receivedAt} by ${origin.service}${from === "" ? "" : ` from ${from}`}`],
      ["expires", message.expiresAt],
      ["size", size(message.size)],
      ["state", message.held ? "held" : "active"],
      ...(message.releaseAt === null ? [] : [["waits", `until ${message.releaseAt}`]]),
      ...(message.deliverBy === null
        ? []
        : [["deliver by", `${message.deliverBy.at}, else ${message.deliverBy.late}`]]),
      ...(message.priority === 0 ? [] : [["priority", String(message.priority)]]),
    ]),
    "",
    ...message.recipients.flatMap(recipientLines),
    "",
    ...table(message.story.map(({ at, event, recipient, text }) => [at, event, recipient ?? "", text])),
  ];
}

function reason({ last, rerouted }: RecipientView): string {
  const trouble = last === null ? "" : `${last.status ?? ""} ${last.text}`.trim();
  return rerouted === null ? trouble : `rerouted to ${rerouted}${trouble === "" ? "" : `; ${trouble}`}`;
}

function recipientLines({ address, state, attempts, nextAttempt, rerouted, last }: RecipientView): readonly string[] {
  const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  const lines = [`${address}: ${state}, ${tries}${nextAttempt === null ? "" : `, next ${nextAttempt}`}`];
  if (rerouted !== null) lines.push(`  rerouted by the operator to ${rerouted}`);
  if (last !== null) lines.push(...outcomeLines(last).map((line) => `  ${line}`));
  return lines.map((line) => printable(line, MAX_LINE));
}

/** What became of a recipient, where, and what the connection had to prove. */
function outcomeLines({ kind, status, text, host, address, tls, rule }: OutcomeView): readonly string[] {
  const told = kind === text ? text : `${kind}${status === null ? "" : ` ${status}`}: ${text}`;
  if (host === null) return [told];
  const to = address === null || address === host ? host : `${host} (${address})`;
  // Before a session stands nothing of the mail was sent, in clear text or otherwise; a mailbox here needs none.
  const session = address !== null ? `, ${tls ?? "clear text"}` : kind === "delivered" ? "" : ", no session";
  return [told, `by ${to}${session}; rule: ${rule ?? "none"}`];
}

/** How much is in the queue, for a person. */
export function countLines(counts: Awaited<ReturnType<Admin["counts"]>>): readonly string[] {
  const { messages, recipients, held, claimed, octets } = counts;
  const each = (count: number, one: string): string => `${count} ${count === 1 ? one : `${one}s`}`;
  return [
    `${each(messages, "message")}, ${size(octets)}`,
    `${each(recipients, "recipient")} that wait or are being delivered to, ${claimed} of them now in hand`,
    `${each(held, "message")} held`,
  ];
}

/** What became of recipients, the last first. */
export function historyLines(finished: readonly FinishedView[]): readonly string[] {
  if (finished.length === 0) return ["nothing is on record"];
  return finished.flatMap(({ id, sender: from, recipient, finishedAt, attempts, outcome }) => {
    const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
    const head = `${finishedAt} ${id} ${from === "" ? "<>" : from} to ${recipient}, ${tries}`;
    return [head, ...outcomeLines(outcome).map((line) => `  ${line}`)].map((line) => printable(line, MAX_LINE));
  });
}

function sender(message: MessageView): string {
  return message.sender === "" ? "<>" : message.sender;
}

function next(message: MessageView, recipient: RecipientView, now: number): string {
  if (message.held) return "held";
  if (message.releaseAt !== null && Date.parse(message.releaseAt) > now) return `waiting until ${message.releaseAt}`;
  const wait = recipient.nextAttempt === null ? 0 : Date.parse(recipient.nextAttempt) - now;
  return wait <= 0 ? "now" : `in ${span(wait)}`;
}

/** A length of time in its largest unit: `45s`, `12m`, `3h`, `2d`. */
function span(milliseconds: number): string {
  const length = Math.max(0, milliseconds);
  if (length >= DAY) return `${Math.floor(length / DAY)}d`;
  if (length >= HOUR) return `${Math.floor(length / HOUR)}h`;
  return length >= MINUTE ? `${Math.floor(length / MINUTE)}m` : `${Math.floor(length / 1000)}s`;
}

function size(octets: number): string {
  if (octets < 1024) return `${octets} B`;
  return octets < 1024 ** 2 ? `${(octets / 1024).toFixed(1)} KiB` : `${(octets / 1024 ** 2).toFixed(1)} MiB`;
}
