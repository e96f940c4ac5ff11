import type { Duration, Instant } from "../base/clock.ts";
import type { FinishedRecipient, NewMessage, Outcome, QueuedMessage, QueueId, StoryEntry } from "./model.ts";
import type { Alteration, Selection, SelectQuery } from "./selection.ts";

/** The octets of a message: in memory for one just accepted, else read from the store in bounded pieces. */
export interface Body {
  /** Octets. */
  readonly size: number;
  /** May be read more than once, also at the same time. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Frees the memory of a chunk that its reader has done with. Absent where the octets are not the reader's alone. */
  release?(chunk: Uint8Array): void;
}

/**
 * A message on its way in. Disposing an unkept draft deletes it. Only `keep` makes it durable.
 */
export interface Draft extends AsyncDisposable {
  readonly id: QueueId;
  /** Takes the octets (the array is the draft's to keep). A promise means: wait before the next append (back-pressure). */
  append(chunk: Uint8Array): void | Promise<void>;
  /**
   * True from where `append` copies: what it is given from here on is not kept, and its memory may be used anew once `append` returned
   * or its promise settled. Default: never.
   */
  readonly copies?: boolean;
  /**
   * Makes body, envelope and recipients durable in one commit; resolves after the sync. With `claim` the recipients start out
   * claimed by the caller. Rejects with a `StoreError` when nothing was stored (disk full, read-only, failed sync).
   */
  keep(message: NewMessage, options?: { readonly claim?: boolean }): Promise<AcceptedMessage>;
}

/** A message with the body that is still in memory, or can be read. */
export interface AcceptedMessage {
  readonly message: QueuedMessage;
  readonly body: Body;
  /** Octets of memory that `body` holds; 0 where it is read from the store. */
  readonly inMemory: number;
}

/** What is to be written about recipients of one message after an attempt; all of it in one commit. */
export interface Settlement {
  readonly id: QueueId;
  readonly at: Instant;
  readonly recipients: readonly {
    readonly index: number;
    readonly outcome: Outcome;
    /** When to try again; only with a deferred outcome. */
    readonly nextAttempt: Instant | null;
    /** The report tells of its delay, and no later one will. */
    readonly warned: boolean;
    /** False where nothing was tried: no attempt is counted, and the story has nothing to tell. Default true. */
    readonly counted?: boolean;
  }[];
  /**
   * What the sender is told of these recipients, which goes into the queue by the same commit: no failure is forgotten, no delay
   * told twice. Written again after a commit whose success was not seen, it goes in once.
   */
  readonly report: { readonly message: NewMessage; readonly body: readonly Uint8Array[] } | null;
}

export interface DueQuery {
  readonly now: Instant;
  /** At most this many recipients. */
  readonly limit: number;
  /** Recipient domains to leave out, because enough of their mail is in memory already. */
  readonly except?: readonly string[];
  /** Recipient domains to keep to, in place of `except`; default: all. */
  readonly only?: readonly string[];
}

export interface ListQuery {
  /** At most so many messages. */
  readonly limit: number;
  /** Only after this id, for paging. */
  readonly after?: QueueId;
  /** Only messages with this sender or recipient (mailbox text or `@domain`). */
  readonly address?: string;
}

export interface HistoryQuery {
  readonly limit: number;
  /** Only recipients of this message. */
  readonly id?: QueueId;
  /** Only with this sender or recipient (mailbox text or `@domain`). */
  readonly address?: string;
}

export interface QueueCounts {
  readonly messages: number;
  readonly recipients: number;
  readonly held: number;
  /** In flight: claimed by the runner. */
  readonly claimed: number;
  /** Octets of all bodies. */
  readonly octets: number;
}

/** The store could not do it; nothing was written. `kind` decides between 452 and 451. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly kind: "full" | "readOnly" | "busy" | "broken";
  constructor(kind: "full" | "readOnly" | "busy" | "broken", message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/**
 * Where mail waits. One owner at a time opens a store for delivery. A claim keeps recipients from being handed out twice; it
 * lasts until settled, unclaimed, or the store is closed or its process dies. `test` of this port:
 * `store-conformance.ts`.
 */
export interface QueueStore {
  /** A new id, later in order than all before it. */
  nextId(): QueueId;
  /** How long its commits wait for the disk at present, the least of the last few, ms. Absent where that is not worth knowing. */
  readonly syncTime?: Duration;
  createDraft(): Draft;
  /** Writes what an attempt led to; ends the claims of the recipients named. A message with no one waiting leaves the queue. */
  settle(settlement: Settlement): Promise<void>;
  /**
   * Claims recipients that are due, highest priority first, then oldest due time, and returns them grouped by message; a message may
   * be named more than once. Held messages are left out.
   */
  claimDue(query: DueQuery): Promise<readonly ClaimedMessage[]>;
  /** Ends claims without an outcome. */
  unclaim(id: QueueId, recipients: readonly number[]): Promise<void>;
  /** The earliest due time of unclaimed recipients that are not held, null when there is none. */
  nextDue(): Promise<Instant | null>;
  /** Its octets, read from the store in bounded pieces. The message must be in the queue while it is read. */
  body(message: Pick<QueuedMessage, "id" | "size">): Body;
  /** In order of id. Fewer than asked for where they have many recipients; none only behind the last. */
  list(query: ListQuery): Promise<readonly QueuedMessage[]>;
  get(id: QueueId): Promise<QueuedMessage | null>;
  story(id: QueueId): Promise<readonly StoryEntry[]>;
  /** Recipients that were delivered or failed, the last first: written by the commit that finished them, and kept for a while. */
  history(query: HistoryQuery): Promise<readonly FinishedRecipient[]>;
  /** These four return false when there is no such message. `retry` makes waiting recipients due now. */
  hold(id: QueueId, at: Instant): Promise<boolean>;
  release(id: QueueId, at: Instant): Promise<boolean>;
  retry(id: QueueId, at: Instant): Promise<boolean>;
  /** Deletes it without a report, unless it is in flight ("claimed"). */
  remove(id: QueueId, at: Instant): Promise<boolean | "claimed">;
  /** Ids of messages past `expiresAt` with waiting recipients, held ones included, claimed ones not. */
  expired(now: Instant, limit: number): Promise<readonly QueueId[]>;
  /** Goes through the whole queue: for people, not for every moment. */
  counts(): Promise<QueueCounts>;
  close(): Promise<void>;
}

/** A store whose mail an operator can pick out and change; both stores here are. `QueueStore` alone is what a runner needs. */
export interface OperableStore extends QueueStore {
  /** Looks through messages in order of id, a bounded part at a time, for waiting recipients, held and claimed ones included. */
  select(query: SelectQuery): Promise<Selection>;
  /**
   * Changes waiting recipients; those who wait no longer are passed over. False when there is no such message. "claimed": one of
   * them that was to be removed is in flight, and nothing was done.
   */
  alter(alteration: Alteration): Promise<boolean | "claimed">;
}

export interface ClaimedMessage {
  /** It may lack recipients that are not claimed: they are found by their `index`. */
  readonly message: QueuedMessage;
  /** Indexes claimed. */
  readonly recipients: readonly number[];
}
