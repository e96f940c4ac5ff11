import { readAddressFilter } from "../address-filter.ts";
import type { QueuedMessage } from "../model.ts";
import { queueIdNumber } from "../queue-id.ts";
import type { ClaimedMessage, DueQuery, ListQuery, QueueCounts } from "../store.ts";
import type { Channel } from "./channel.ts";
import type { Answers, DuePlace } from "./protocol.ts";

/*
 * Questions that go through much of the queue, asked part by part: the thread serves others between two parts, so that nobody's commit
 * waits for a million rows.
 */

/** Recipients of one page: what is listed goes over sockets as one line. */
const PAGE_RECIPIENTS = 4000;

/** Claims as `QueueStore.claimDue` says; a million rows of crowded domains may have to be passed over. */
export async function claimDue(
  channel: Channel,
  { now, limit, except = [], only }: DueQuery,
): Promise<readonly ClaimedMessage[]> {
  const claimed: ClaimedMessage[] = [];
  let room = limit;
  let from: DuePlace | null = null;
  do {
    try {
      const part: Answers["claimDue"] = await channel.ask({
        op: "claimDue",
        now,
        limit: room,
        except,
        only: only ?? null,
        from,
      });
      claimed.push(...part.claimed);
      for (const { recipients } of part.claimed) room -= recipients.length;
      from = part.next;
    } catch (error) {
      if (claimed.length === 0) throw error;
      return claimed; // what is claimed already must not be lost sight of
    }
  } while (from !== null && room > 0);
  return claimed;
}

/** Lists as `QueueStore.list` says. */
export async function list(channel: Channel, { limit, after, address }: ListQuery): Promise<readonly QueuedMessage[]> {
  const filter = address === undefined ? null : readAddressFilter(address);
  const messages: QueuedMessage[] = [];
  let recipients = 0;
  let from: number | null = after === undefined ? -1 : queueIdNumber(after);
  while (from !== null && messages.length < limit && recipients < PAGE_RECIPIENTS) {
    const room = limit - messages.length;
    const part: Answers["list"] = await channel.ask({ op: "list", limit: room, after: from, address: filter });
    for (const message of part.messages) {
      messages.push(message);
      recipients += message.recipients.length;
    }
    from = part.next;
  }
  return messages;
}

/**
 * Counts as `QueueStore.counts` says; what comes and goes meanwhile may be counted or not. Up to the id `until`, which is made when it
 * begins: behind the last message there is always another while mail comes in, and it would never end.
 */
export async function counts(channel: Channel, until: number): Promise<QueueCounts> {
  const sum = { messages: 0, recipients: 0, held: 0, claimed: 0, octets: 0 };
  let after: number | null = -1;
  while (after !== null) {
    const { part, next }: Answers["counts"] = await channel.ask({ op: "counts", after });
    sum.messages += part.messages;
    sum.recipients += part.recipients;
    sum.held += part.held;
    sum.octets += part.octets;
    sum.claimed = part.claimed;
    after = next !== null && next < until ? next : null;
  }
  return sum;
}
