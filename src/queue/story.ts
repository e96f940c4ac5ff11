import type { NewMessage, Outcome, StoryEntry } from "./model.ts";
import type { Settlement } from "./store.ts";

/**
 * The first line of every story. It is made from the message itself and never written, so that mail delivered at once costs
 * no story rows.
 */
export function acceptedEntry(message: Pick<NewMessage, "receivedAt" | "origin" | "size">): StoryEntry {
  const { origin } = message;
  const from = origin.address === null ? "" : ` from ${origin.hello ?? "unknown"} (${origin.address})`;
  const by = origin.identity === null ? "" : ` as ${origin.identity}`;
  const tls = origin.tls === null ? "" : `, ${origin.tls}`;
  const text = `${message.size} octets by ${origin.service}${from}${by}${tls}`;
  return { at: message.receivedAt, recipient: null, event: "accepted", text };
}

/** What an outcome is called in a story, and its one line. */
export function outcomeEntry(outcome: Outcome): { readonly event: StoryEntry["event"]; readonly text: string } {
  if (outcome.kind === "delivered") {
    const { reply, hop } = outcome;
    const said = reply === null ? "" : `: ${reply.code} ${reply.lines[0] ?? ""}`;
    // A mailbox on this machine is no connection, so there is nothing to say of TLS.
    const proof = hop.address === null ? hop.rule : `${hop.tls ?? "no TLS"}; ${hop.rule}`;
    return { event: "delivered", text: `${hop.host}${said} (${proof})` };
  }
  const { problem, hop } = outcome;
  const event = outcome.kind === "failed" && EXPIRED_STATUSES.has(problem.status) ? "expired" : outcome.kind;
  return {
    event,
    text: hop === null || problem.text.includes(hop.host) ? problem.text : `${hop.host}: ${problem.text}`,
  };
}

/** As `outcomeEntry`, and whether the sender was told of a delay. */
export function settledEntry({ outcome, warned }: Settlement["recipients"][number]): ReturnType<typeof outcomeEntry> {
  const entry = outcomeEntry(outcome);
  return warned ? { event: entry.event, text: `${entry.text}; the sender was told of the delay` } : entry;
}

/** Delivery time expired (RFC 3463 §3.5): ours to give, and the sender's (RFC 2852 §4.1.3). */
export const EXPIRED_STATUS = "4.4.7";
export const OVERDUE_STATUS = "5.4.7";
const EXPIRED_STATUSES: ReadonlySet<string> = new Set([EXPIRED_STATUS, OVERDUE_STATUS]);
