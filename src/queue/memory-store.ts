import { assert, type Clock, concatBytes, type Instant } from "../base/index.ts";
import { matchesFilter, readAddressFilter } from "./address-filter.ts";
import { Claims } from "./claims.ts";
import { keptOutcome } from "./history.ts";
import { memoryBody } from "./memory-body.ts";
import type { FinishedRecipient, NewMessage, QueuedMessage, QueueId, Recipient, StoryEntry } from "./model.ts";
import { QueueIdSource } from "./queue-id.ts";
import {
  ALTERED,
  type Alteration,
  alterationText,
  isSelected,
  removedOutcome,
  type SelectedMessage,
  type Selection,
  type SelectQuery,
} from "./selection.ts";
import type {
  AcceptedMessage,
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
import { releaseTime } from "./terms.ts";
import { acceptedMessage, isToldFirst, settledRecipient } from "./transitions.ts";

/** Finished recipients that are still told of. */
const HISTORY = 1000;

interface Entry {
  message: QueuedMessage;
  readonly body: Body;
  readonly story: StoryEntry[];
}

interface Due {
  readonly message: QueuedMessage;
  readonly place: number;
  readonly nextAttempt: Instant;
}

/**
 * A queue in memory: for tests, for the simulator, and for library users who need no durability. It keeps the rules of the
 * port (`store-conformance.ts`) but loses everything with the process.
 */
export function createMemoryStore(options: { readonly clock: Clock }): OperableStore {
  return new MemoryStore(options.clock);
}

class MemoryStore implements OperableStore {
  readonly #ids: QueueIdSource;
  /** In order of keeping; listings sort by id, since a draft begun earlier may be kept later. */
  readonly #entries = new Map<QueueId, Entry>();
  readonly #claims = new Claims<QueueId>();
  #history: FinishedRecipient[] = [];
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
      this.#add(message, body);
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
    if (report !== null && reportIsNews) this.#add(report.message, memoryBody([concatBytes(report.body)]));
    const after = entry.message.recipients.map((recipient) => {
      const news = recipient.state === "waiting" ? settled.get(recipient.index) : undefined;
      if (news === undefined) return recipient;
      if (news.counted !== false) entry.story.push({ at, recipient: recipient.index, ...settledEntry(news) });
      const settledNow = settledRecipient(recipient, news, at);
      if (settledNow.state !== "waiting") this.#finish(entry.message, settledNow, at);
      return settledNow;
    });
    entry.message = { ...entry.message, recipients: after };
    if (!after.some(({ state }) => state === "waiting")) this.#entries.delete(id);
  }

  async claimDue(query: DueQuery): Promise<readonly ClaimedMessage[]> {
    this.#mustBeOpen();
    const except = new Set(query.except);
    const due = this.#unclaimedDue(query.now, except)
      .sort((a, b) => priorityOf(b.message) - priorityOf(a.message) || a.nextAttempt - b.nextAttempt)
      .slice(0, query.limit);
    const byMessage = new Map<QueuedMessage, number[]>();
    for (const { message, place } of due) {
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

  async list({ limit, after, address }: ListQuery): Promise<readonly QueuedMessage[]> {
    this.#mustBeOpen();
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

  async get(id: QueueId): Promise<QueuedMessage | null> {
    this.#mustBeOpen();
    return this.#entries.get(id)?.message ?? null;
  }

  async story(id: QueueId): Promise<readonly StoryEntry[]> {
    this.#mustBeOpen();
    const entry = this.#entries.get(id);
    return entry === undefined ? [] : [acceptedEntry(entry.message), ...entry.story];
  }

  async history({ limit, id, address }: HistoryQuery): Promise<readonly FinishedRecipient[]> {
    this.#mustBeOpen();
    const filter = address === undefined ? null : readAddressFilter(address);
    return this.#history
      .filter((each) => id === undefined || each.id === id)
      .filter(({ mailbox, reversePath }) => {
        const matches = (one: Parameters<typeof matchesFilter>[1]) => filter === null || matchesFilter(filter, one);
        return matches(mailbox) || (reversePath !== null && matches(reversePath));
      })
      .slice(-limit)
      .reverse();
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

  async select({ filter, after, limit }: SelectQuery): Promise<Selection> {
    const looked = await this.list({ limit, ...(after === undefined ? {} : { after }) });
    const matches = looked.flatMap((message): SelectedMessage[] => {
      const chosen = message.recipients.filter((recipient) => isSelected(filter, message, recipient));
      if (chosen.length === 0) return [];
      return [{ id: message.id, recipients: chosen.map(({ index }) => index), releaseAt: releaseTime(message) }];
    });
    return { matches, last: looked.at(-1)?.id ?? null };
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
    return [...this.#entries.values()]
      .filter(({ message }) => message.expiresAt <= now && !this.#claims.hasAny(message.id))
      .sort((a, b) => a.message.expiresAt - b.message.expiresAt)
      .slice(0, limit)
      .map(({ message }) => message.id);
  }

  async counts(): Promise<QueueCounts> {
    this.#mustBeOpen();
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

  async close(): Promise<void> {
    this.#closed = true;
  }

  #add(message: NewMessage, body: Body): void {
    this.#entries.set(message.id, { message: acceptedMessage(message), body, story: [] });
  }

  #finish({ id, receivedAt, reversePath }: QueuedMessage, recipient: Recipient, finishedAt: Instant): void {
    const { mailbox, attempts, lastOutcome } = recipient;
    if (lastOutcome === null) return;
    this.#history.push({
      id,
      receivedAt,
      finishedAt,
      reversePath,
      mailbox,
      attempts,
      outcome: keptOutcome(lastOutcome),
    });
    if (this.#history.length > HISTORY) this.#history.shift();
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

  /** Recipients that wait, are due by `now`, and are in nobody's hands. */
  #unclaimedDue(now: Instant, except: ReadonlySet<string>): Due[] {
    const due: Due[] = [];
    for (const { message } of this.#entries.values()) {
      if (message.held) continue;
      for (const { index, state, nextAttempt, mailbox } of message.recipients) {
        // Claims are asked last: most of what waits is not due.
        if (state !== "waiting" || nextAttempt > now || except.has(mailbox.domain)) continue;
        if (!this.#claims.has(message.id, index)) due.push({ message, place: index, nextAttempt });
      }
    }
    return due;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StoreError("broken", "the queue is closed");
  }
}

function priorityOf({ parameters }: QueuedMessage): number {
  return parameters.priority ?? 0;
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

class MemoryDraft implements Draft {
  readonly id: QueueId;
  readonly #keep: (message: NewMessage, body: Body, claim: boolean) => AcceptedMessage;
  #chunks: Uint8Array[] = [];
  #open = true;

  constructor(id: QueueId, keep: (message: NewMessage, body: Body, claim: boolean) => AcceptedMessage) {
    this.id = id;
    this.#keep = keep;
  }

  append(chunk: Uint8Array): void {
    assert(this.#open, "a draft takes octets until it is kept or disposed");
    this.#chunks.push(chunk);
  }

  async keep(message: NewMessage, options: { readonly claim?: boolean } = {}): Promise<AcceptedMessage> {
    assert(this.#open, "a draft is kept once");
    assert(message.id === this.id, "a draft is kept under its own id");
    this.#open = false;
    const body = memoryBody([concatBytes(this.#chunks)]);
    assert(message.size === body.size, "the size of a message is that of its draft");
    return this.#keep(message, body, options.claim ?? false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false;
    this.#chunks = [];
  }
}
