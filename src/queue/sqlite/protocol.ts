import type { Instant } from "../../base/index.ts";
import type { AddressFilter } from "../address-filter.ts";
import type { HistoryBounds } from "../history.ts";
import type { FinishedRecipient, QueuedMessage, QueueId, StoryEntry } from "../model.ts";
import type { Alteration, QueueFilter, Selection } from "../selection.ts";
import type { ClaimedMessage, QueueCounts, StoreError } from "../store.ts";

/*
 * What the store says to its worker thread. Requests go over in batches; the octets of a batch lie in memory that both threads
 * see, and a request names its part of it. Ids are numbers here (see queue-id.ts), structured values are JSON text, which
 * is cheaper to hand over than objects and is what the columns hold.
 */

/** Part of the octets of a batch. */
export interface Span {
  readonly from: number;
  readonly length: number;
}

export interface RecipientColumns {
  readonly localPart: string;
  readonly domain: string;
  readonly parameters: string;
}

export interface MessageColumns {
  readonly id: number;
  readonly receivedAt: number;
  readonly expiresAt: number;
  readonly size: number;
  readonly senderLocal: string | null;
  readonly senderDomain: string | null;
  readonly parameters: string;
  readonly origin: string;
  readonly priority: number;
  readonly dueAt: number;
  readonly recipients: readonly RecipientColumns[];
}

export interface OutcomeColumns {
  readonly index: number;
  readonly kind: "delivered" | "deferred" | "failed";
  readonly outcome: string;
  readonly nextAttempt: number | null;
  readonly warned: boolean;
  readonly counted: boolean;
  readonly event: StoryEntry["event"];
  readonly text: string;
}

/** Changes: those of one batch run in one transaction. */
export type WriteRequest =
  /** `octets` null: the body came before, by "append". */
  | { readonly op: "keep"; readonly message: MessageColumns; readonly claim: boolean; readonly octets: Span | null }
  | { readonly op: "append"; readonly draft: number; readonly chunk: number; readonly octets: Span }
  | { readonly op: "discard"; readonly draft: number }
  | {
      readonly op: "settle";
      readonly id: number;
      readonly at: number;
      readonly recipients: readonly OutcomeColumns[];
      readonly report: { readonly message: MessageColumns; readonly octets: Span } | null;
    }
  | { readonly op: "hold" | "release" | "retry" | "remove"; readonly id: number; readonly at: number }
  | {
      readonly op: "alter";
      readonly id: number;
      readonly at: number;
      readonly recipients: readonly number[];
      readonly change: Alteration["change"];
      readonly text: string;
    };

/** A place in the order in which mail is due. */
export interface DuePlace {
  readonly priority: number;
  readonly nextAttempt: number;
  readonly domain: string;
  readonly message: number;
  readonly place: number;
}

/*
 * A question that goes through much of the queue is asked part by part, so that no commit waits for the whole of it: its answer says
 * where the next part begins.
 */
export type ReadRequest =
  | {
      readonly op: "claimDue";
      readonly now: number;
      readonly limit: number;
      readonly except: readonly string[];
      /** In place of `except`; null: all. */
      readonly only: readonly string[] | null;
      /** Only what comes behind it. */
      readonly from: DuePlace | null;
    }
  | { readonly op: "nextDue" }
  | { readonly op: "chunk"; readonly message: number; readonly after: number | null }
  | {
      readonly op: "list";
      readonly limit: number;
      readonly after: number;
      readonly address: AddressFilter | null;
    }
  | {
      readonly op: "history";
      readonly limit: number;
      readonly id: number | null;
      readonly address: AddressFilter | null;
    }
  | {
      readonly op: "select";
      readonly after: number;
      readonly limit: number;
      readonly filter: QueueFilter;
    }
  | { readonly op: "get"; readonly id: number }
  | { readonly op: "story"; readonly id: number }
  | { readonly op: "expired"; readonly now: number; readonly limit: number }
  | { readonly op: "counts"; readonly after: number }
  | { readonly op: "close" };

/** Claims are in memory alone, so that ending them works whatever state the disk is in. */
type UnclaimRequest = { readonly op: "unclaim"; readonly id: number; readonly recipients: readonly number[] };

export type Request = WriteRequest | ReadRequest | UnclaimRequest;

/** What each request is answered with. */
export interface Answers {
  readonly keep: null;
  readonly append: null;
  readonly discard: null;
  readonly settle: null;
  readonly unclaim: null;
  readonly hold: boolean;
  readonly release: boolean;
  readonly retry: boolean;
  readonly remove: boolean | "claimed";
  readonly alter: boolean | "claimed";
  readonly select: Selection;
  /** `next`: where to go on when there is still room; null where nothing more is due. */
  readonly claimDue: { readonly claimed: readonly ClaimedMessage[]; readonly next: DuePlace | null };
  readonly nextDue: Instant | null;
  /** Null behind the last one. */
  readonly chunk: { readonly id: number; readonly octets: Uint8Array } | null;
  /** `next`: the last id looked at; null where nothing is behind it. */
  readonly list: { readonly messages: readonly QueuedMessage[]; readonly next: number | null };
  readonly history: readonly FinishedRecipient[];
  readonly get: QueuedMessage | null;
  readonly story: readonly StoryEntry[];
  readonly expired: readonly QueueId[];
  /** Of a part alone, but for `claimed`. */
  readonly counts: { readonly part: QueueCounts; readonly next: number | null };
  readonly close: null;
}

export type Answer = Answers[keyof Answers];

export interface Batch {
  readonly requests: readonly Request[];
  readonly octets: Uint8Array;
}

/** A batch as it goes over to the thread. */
export interface BatchMessage {
  readonly requests: readonly Request[];
  /** Where the octets lie from this batch on; null: where they lay before. Left alone until the batch is answered. */
  readonly shared: SharedArrayBuffer | null;
}

export interface Failure {
  readonly kind: StoreError["kind"];
  readonly text: string;
}

export type Result = { readonly ok: true; readonly answer: Answer } | { readonly ok: false; readonly failure: Failure };

/** From the worker: first "ready" or "refused", then one "results" for each batch, in order. */
export type WorkerMessage =
  | { readonly kind: "ready"; readonly lastId: number }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "reopened"; readonly failure: Failure }
  /** `sync`: how long its commit waited for the disk, ms; null where nothing was synced. */
  | { readonly kind: "results"; readonly results: readonly Result[]; readonly sync: number | null };

export interface DatabaseSettings {
  readonly path: string;
  readonly role: "owner" | "admin";
  /** Octets the file may grow to; null: as large as the disk allows. */
  readonly maxFileSize: number | null;
  readonly history: HistoryBounds;
}
