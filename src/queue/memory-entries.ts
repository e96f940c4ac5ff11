import type { Instant } from "../base/index.ts";
import { matchesFilter, readAddressFilter } from "./address-filter.ts";
import type { Claims } from "./claims.ts";
import type { NewMessage, QueuedMessage, QueueId, StoryEntry } from "./model.ts";
import { isSelected, type SelectedMessage, type Selection, type SelectQuery } from "./selection.ts";
import type { Body, DueQuery, ListQuery, QueueCounts } from "./store.ts";
import { releaseTime } from "./terms.ts";
import { acceptedMessage } from "./transitions.ts";

export interface Entry {
  message: QueuedMessage;
  readonly body: Body;
  /** Without its beginning, the acceptance. */
  readonly story: StoryEntry[];
}

interface DuePlace {
  readonly message: QueuedMessage;
  readonly place: number;
  readonly nextAttempt: Instant;
}

/** The messages of a queue in memory, and the questions that go through them all. */
export class MemoryEntries {
  readonly #claims: Claims<QueueId>;
  /** In order of keeping; listings sort by id, since a draft begun earlier may be kept later. */
  readonly #entries = new Map<QueueId, Entry>();

  constructor(claims: Claims<QueueId>) {
    this.#claims = claims;
  }

  add(message: NewMessage, body: Body): void {
    this.#entries.set(message.id, { message: acceptedMessage(message), body, story: [] });
  }

  get(id: QueueId): Entry | undefined {
    return this.#entries.get(id);
  }

  /** True when it was there. */
  delete(id: QueueId): boolean {
    return this.#entries.delete(id);
  }

  /** Recipients that wait, are due, and are in nobody's hands, in the order of their turn. */
  due({ now, limit, except, only }: DueQuery): readonly DuePlace[] {
    const named = new Set(only ?? except);
    const passesOver = (domain: string): boolean => named.has(domain) === (only === undefined);
    const due: DuePlace[] = [];
    for (const { message } of this.#entries.values()) {
      if (message.held) continue;
      for (const { index, state, nextAttempt, mailbox } of message.recipients) {
        // Claims are asked last: most of what waits is not due.
        if (state !== "waiting" || nextAttempt > now || passesOver(mailbox.domain)) continue;
        if (!this.#claims.has(message.id, index)) due.push({ message, place: index, nextAttempt });
      }
    }
    return due
      .sort((a, b) => priorityOf(b.message) - priorityOf(a.message) || a.nextAttempt - b.nextAttempt)
      .slice(0, limit);
  }

  nextDue(): Instant | null {
    let earliest: Instant | null = null;
    for (const { message } of this.#entries.values()) {
      if (message.held) continue;
      for (const { index, state, nextAttempt } of message.recipients) {
        if (state !== "waiting" || (earliest !== null && earliest <= nextAttempt)) continue;
        if (!this.#claims.has(message.id, index)) earliest = nextAttempt;
      }
    }
    return earliest;
  }

  list({ limit, after, address }: ListQuery): readonly QueuedMessage[] {
    const filter = address === undefined ? null : readAddressFilter(address);
    return [...this.#entries.values()]
      .map(({ message }) => message)
      .filter(({ id }) => after === undefined || id > after)
      .filter(({ reversePath, recipients }) => {
        if (filter === null) return true;
        const mailboxes = recipients.map(({ mailbox }) => mailbox);
        if (reversePath !== null) mailboxes.push(reversePath);
        return mailboxes.some((mailbox) => matchesFilter(filter, mailbox));
      })
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit);
  }

  select({ filter, after, limit }: SelectQuery): Selection {
    const looked = this.list({ limit, ...(after === undefined ? {} : { after }) });
    const matches = looked.flatMap((message): SelectedMessage[] => {
      const chosen = message.recipients.filter((recipient) => isSelected(filter, message, recipient));
      if (chosen.length === 0) return [];
      return [{ id: message.id, recipients: chosen.map(({ index }) => index), releaseAt: releaseTime(message) }];
    });
    return { matches, last: looked.at(-1)?.id ?? null };
  }

  expired(now: Instant, limit: number): readonly QueueId[] {
    return [...this.#entries.values()]
      .filter(({ message }) => message.expiresAt <= now && !this.#claims.hasAny(message.id))
      .sort((a, b) => a.message.expiresAt - b.message.expiresAt)
      .slice(0, limit)
      .map(({ message }) => message.id);
  }

  counts(): QueueCounts {
    let recipients = 0;
    let held = 0;
    let octets = 0;
    for (const { message } of this.#entries.values()) {
      recipients += message.recipients.filter(({ state }) => state === "waiting").length;
      held += message.held ? 1 : 0;
      octets += message.size;
    }
    return { messages: this.#entries.size, recipients, held, claimed: this.#claims.count, octets };
  }
}

function priorityOf({ parameters }: QueuedMessage): number {
  return parameters.priority ?? 0;
}
