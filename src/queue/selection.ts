import type { Instant } from "../base/index.ts";
import { matchesFilter, readAddressFilter } from "./address-filter.ts";
import { matchesName } from "./limit.ts";
import type { QueuedMessage, QueueId, Recipient, RouteOverride } from "./model.ts";
import { matchesReply } from "./retry.ts";

/** Which waiting recipients an operator means: those that all of this is true of. Null: whatever it is. */
export interface QueueFilter {
  /** Of the recipient: `example.org`, `.example.org` (all below it) or `*`. */
  readonly domain: string | null;
  /** A mailbox, `@domain`, or `<>` for reports. */
  readonly sender: string | null;
  /** The message came then or before. */
  readonly receivedBefore: Instant | null;
  /** How the last attempt ended, see `matchesReply`. */
  readonly reply: string | null;
}

export interface SelectQuery {
  readonly filter: QueueFilter;
  /** Only messages after this id. */
  readonly after?: QueueId;
  /** At most so many messages are looked at; fewer where they have many recipients. */
  readonly limit: number;
}

export interface Selection {
  readonly matches: readonly SelectedMessage[];
  /** The last message looked at, whether it matched or not; null behind the last one. */
  readonly last: QueueId | null;
}

/** Recipients of one message that match, at least one. */
export interface SelectedMessage {
  readonly id: QueueId;
  readonly recipients: readonly number[];
  /** Before then its sender does not want it to be sent (RFC 4865). */
  readonly releaseAt: Instant;
}

/** What an operator does to waiting recipients of one message. */
export interface Alteration {
  readonly id: QueueId;
  readonly recipients: readonly number[];
  /** When it is done. */
  readonly at: Instant;
  readonly change:
    | { readonly kind: "retry"; readonly dueAt: Instant }
    /** Deleted without a report; the message goes with its last recipient. */
    | { readonly kind: "remove" }
    /** Null: as configured. It counts from the next attempt on. */
    | { readonly kind: "reroute"; readonly dueAt: Instant; readonly override: RouteOverride | null };
}

/** What alterations are called in a story. */
export const ALTERED = { retry: "retried", remove: "removed", reroute: "rerouted" } as const;

/** What stands in the story for an alteration. */
export function alterationText({ change }: Pick<Alteration, "change">): string {
  if (change.kind !== "reroute") return "by the operator";
  if (change.override === null) return "by the operator, back to what is configured";
  return `by the operator, to ${formatOverride(change.override)}`;
}

/** `smtp://HOST:PORT, tls LEVEL`. */
export function formatOverride({ kind, host, port, tls }: RouteOverride): string {
  return `${kind}://${host.includes(":") ? `[${host}]` : host}:${port}, tls ${tls}`;
}

export function isSelected(
  filter: QueueFilter,
  message: Pick<QueuedMessage, "receivedAt" | "reversePath">,
  recipient: Pick<Recipient, "state" | "mailbox" | "lastOutcome">,
): boolean {
  if (recipient.state !== "waiting") return false;
  if (filter.receivedBefore !== null && message.receivedAt > filter.receivedBefore) return false;
  if (filter.domain !== null && !matchesName(filter.domain, recipient.mailbox.domain)) return false;
  if (filter.sender !== null && !isSender(filter.sender, message.reversePath)) return false;
  if (filter.reply === null) return true;
  const { lastOutcome } = recipient;
  return lastOutcome !== null && lastOutcome.kind !== "delivered" && matchesReply(filter.reply, lastOutcome.problem);
}

function isSender(wanted: string, reversePath: QueuedMessage["reversePath"]): boolean {
  if (wanted === "<>") return reversePath === null;
  return reversePath !== null && matchesFilter(readAddressFilter(wanted), reversePath);
}

/** A recipient that an operator removed, as `show` tells of it while others of the message wait. */
export const removedOutcome = {
  kind: "failed",
  scope: "recipient",
  problem: { text: "removed by the operator", reply: null, status: "5.0.0" },
  hop: null,
} as const;
