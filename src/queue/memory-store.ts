import { type Clock, concatBytes, type Instant } from "../base/index.ts";
import { Claims } from "./claims.ts";
import { memoryBody } from "./memory-body.ts";
import { MemoryDraft } from "./memory-draft.ts";
import { MemoryEntries } from "./memory-entries.ts";
import { MemoryHistory } from "./memory-history.ts";
import type { FinishedRecipient, QueuedMessage, QueueId, Recipient, StoryEntry } from "./model.ts";
import { QueueIdSource } from "./queue-id.ts";
import {
  ALTERED,
  type Alteration,
  alterationText,
  removedOutcome,
  type Selection,
  type SelectQuery,
} from "./selection.ts";
import type {
  Body,
  ClaimedMessage,
  Draft,
  DueQuery,
  HistoryQuery,
  ListQuery,
  OperableStore,
  QueueCounts,
  Settlement,
} from "./store.ts";
import { StoreError } from "./store.ts";
import { acceptedEntry, settledEntry } from "./story.ts";
import { acceptedMessage, isToldFirst, settledRecipient } from "./transitions.ts";

/**
 * A queue in memory: for tests, for the simulator, and for library users who need no durability. It keeps the rules of the
 * port (`store-conformance.ts`) but loses everything with the process.
 */
export function createMemoryStore(options: { readonly clock: Clock }): OperableStore {
  return new MemoryStore(options.clock);
}

class MemoryStore implements OperableStore {
  readonly #ids: QueueIdSource;
  readonly #claims = new Claims<QueueId>();
  readonly #entries = new MemoryEntries(this.#claims);
  readonly #history = new MemoryHistory();
  #closed = false;

  constructor(clock: Clock) {
    this.#ids = new QueueIdSource(clock);
  }

  nextId(): QueueId {
    return this.#ids.next();
  }

  createDraft(): Draft {
    return new MemoryDraft(this.nextId(), (message, body, claim) => {
      this.#mustBeOpen();
      this.#entries.add(message, body);
      if (claim) for (const place of message.recipients.keys()) this.#claims.add(message.id, place);
      return { message: acceptedMessage(message), body, inMemory: body.size };
    });
  }

  async settle(settlement: Settlement): Promise<void> {
    this.#mustBeOpen();
    const { id, at, recipients, report } = settlement;
    for (const { index } of recipients) this.#claims.remove(id, index);
    const entry = this.#entries.get(id);
    const settled = new Map(recipients.map((recipient) => [recipient.index, recipient]));
    if (entry === undefined) return;
    const reportIsNews = entry.message.recipients.some((before) => {
      const news = before.state === "waiting" ? settled.get(before.index) : undefined;
      return news !== undefined && isToldFirst({ kind: news.outcome.kind, warned: news.warned }, before);
    });
    if (report !== null && reportIsNews) this.#entries.add(report.message, memoryBody([concatBytes(report.body)]));
    const after = entry.message.recipients.map((recipient) => {
      const news = recipient.state === "waiting" ? settled.get(recipient.index) : undefined;
      if (news === undefined) return recipient;
      if (news.counted !== false) entry.story.push({ at, recipient: recipient.index, ...settledEntry(news) });
      const settledNow = settledRecipient(recipient, news, at);
      if (settledNow.state !== "waiting") this.#history.add(entry.message, settledNow, at);
      return settledNow;
    });
    entry.message = { ...entry.message, recipients: after };
    if (!after.some(({ state }) => state === "waiting")) this.#entries.delete(id);
  }

  async claimDue(query: DueQuery): Promise<readonly ClaimedMessage[]> {
    this.#mustBeOpen();
    const byMessage = new Map<QueuedMessage, number[]>();
    for (const { message, place } of this.#entries.due(query)) {
      const places = byMessage.get(message) ?? [];
      places.push(place);
      byMessage.set(message, places);
      this.#claims.add(message.id, place);
    }
    return [...byMessage].map(([message, recipients]) => ({ message, recipients }));
  }

  async unclaim(id: QueueId, recipients: readonly number[]): Promise<void> {
    this.#mustBeOpen();
    for (const place of recipients) this.#claims.remove(id, place);
  }

  async nextDue(): Promise<Instant | null> {
    this.#mustBeOpen();
    return this.#entries.nextDue();
  }

  body(message: Pick<QueuedMessage, "id" | "size">): Body {
    return {
      size: message.size,
      chunks: () => {
        const entry = this.#entries.get(message.id);
        if (entry === undefined) throw new StoreError("broken", `the body of ${message.id} ends after 0 octets`);
        return entry.body.chunks();
      },
    };
  }

  async list(query: ListQuery): Promise<readonly QueuedMessage[]> {
    this.#mustBeOpen();
    return this.#entries.list(query);
  }

  async get(id: QueueId): Promise<QueuedMessage | null> {
    this.#mustBeOpen();
    return this.#entries.get(id)?.message ?? null;
  }

  async story(id: QueueId): Promise<readonly StoryEntry[]> {
    this.#mustBeOpen();
    const entry = this.#entries.get(id);
    return entry === undefined ? [] : [acceptedEntry(entry.message), ...entry.story];
  }

  async history(query: HistoryQuery): Promise<readonly FinishedRecipient[]> {
    this.#mustBeOpen();
    return this.#history.find(query);
  }

  async hold(id: QueueId, at: Instant): Promise<boolean> {
    return this.#setHeld(id, at, true);
  }

  async release(id: QueueId, at: Instant): Promise<boolean> {
    return this.#setHeld(id, at, false);
  }

  async retry(id: QueueId, at: Instant): Promise<boolean> {
    this.#mustBeOpen();
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    const recipients = entry.message.recipients.map((recipient) =>
      recipient.state === "waiting" ? { ...recipient, nextAttempt: at } : recipient,
    );
    entry.message = { ...entry.message, recipients };
    entry.story.push({ at, recipient: null, event: "retried", text: "by the operator" });
    return true;
  }

  async remove(id: QueueId, _at: Instant): Promise<boolean | "claimed"> {
    this.#mustBeOpen();
    if (this.#claims.hasAny(id)) return "claimed";
    return this.#entries.delete(id);
  }

  async select(query: SelectQuery): Promise<Selection> {
    this.#mustBeOpen();
    return this.#entries.select(query);
  }

  async alter(alteration: Alteration): Promise<boolean | "claimed"> {
    this.#mustBeOpen();
    const { id, at, change } = alteration;
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    const places = new Set(alteration.recipients);
    if (change.kind === "remove" && alteration.recipients.some((place) => this.#claims.has(id, place)))
      return "claimed";
    const text = alterationText(alteration);
    const recipients = entry.message.recipients.map((recipient) => {
      if (recipient.state !== "waiting" || !places.has(recipient.index)) return recipient;
      entry.story.push({ at, recipient: recipient.index, event: ALTERED[change.kind], text });
      return altered(recipient, change);
    });
    entry.message = { ...entry.message, recipients };
    if (!recipients.some(({ state }) => state === "waiting")) this.#entries.delete(id);
    return true;
  }

  async expired(now: Instant, limit: number): Promise<readonly QueueId[]> {
    this.#mustBeOpen();
    return this.#entries.expired(now, limit);
  }

  async counts(): Promise<QueueCounts> {
    this.#mustBeOpen();
    return this.#entries.counts();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #setHeld(id: QueueId, at: Instant, held: boolean): boolean {
    this.#mustBeOpen();
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    if (entry.message.held === held) return true;
    entry.message = { ...entry.message, held };
    entry.story.push({ at, recipient: null, event: held ? "held" : "released", text: "by the operator" });
    return true;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreError("broken", "the queue is closed");
  }
}

function altered(recipient: Recipient, change: Alteration["change"]): Recipient {
  switch (change.kind) {
    case "retry":
      return { ...recipient, nextAttempt: change.dueAt };
    case "remove":
      return { ...recipient, state: "failed", lastOutcome: removedOutcome };
    case "reroute": {
      const { override: _, ...others } = recipient;
      const override = change.override === null ? {} : { override: change.override };
      return { ...others, nextAttempt: change.dueAt, ...override };
    }
  }
}
