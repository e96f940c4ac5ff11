import type { Clock } from "../base/index.ts";
import { parseQueueId, type QueueCounts, type QueueId, type QueueStore, releaseTime } from "../queue/index.ts";
import {
  type FinishedView,
  type MessageDetail,
  type MessageView,
  viewDetail,
  viewFinished,
  viewMessage,
} from "./views.ts";

/** What may be done to a message. */
export const ACTIONS = ["retry", "hold", "release", "remove"] as const;
export type Action = (typeof ACTIONS)[number];

/** One message, or all that are in the queue when the operation begins. */
export type Target = { readonly id: string } | { readonly all: true };

/** What an action did, message by message. */
export interface ActionReport {
  readonly done: readonly string[];
  readonly refused: readonly { readonly id: string; readonly reason: "unknown" | "in flight" }[];
}

export interface ListRequest {
  /** At most this many messages, 1 to `MAX_LIST`. */
  readonly limit: number;
  /** Only after this id. */
  readonly after?: string | undefined;
  /** Only with this sender or recipient: a mailbox, or `@domain`. */
  readonly address?: string | undefined;
}

export interface HistoryRequest {
  /** At most this many recipients, 1 to `MAX_LIST`. */
  readonly limit: number;
  /** Only of this message, by its id; or with this sender or recipient, a mailbox or `@domain`. */
  readonly of?: string | undefined;
}

/** The most messages of one answer; more are asked for with `after`. */
export const MAX_LIST = 1000;

/** What an operator may see and do. The command line and other front ends are all made from these. */
export interface AdminOperations {
  /** Oldest first. */
  list(request: ListRequest): Promise<readonly MessageView[]>;
  /** The message with its story so far, null when there is none. */
  show(id: string): Promise<MessageDetail | null>;
  /** Recipients whose mail is over, the last first, as long as they are told of. */
  history(request: HistoryRequest): Promise<readonly FinishedView[]>;
  act(action: Action, target: Target): Promise<ActionReport>;
  counts(): Promise<QueueCounts>;
}

export interface OperationsOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  /** Called after messages became due, so that a running daemon need not wait for its next look. */
  readonly poke?: () => void;
}

/** The operations on an open store. They reject only with a `StoreError`. */
export function createOperations({ store, clock, poke }: OperationsOptions): AdminOperations {
  const actions: Record<Action, (id: QueueId) => Promise<boolean | "claimed">> = {
    async retry(id) {
      const message = await store.get(id);
      if (message === null) return false;
      // Never before its sender wants it to go (RFC 4865 §4.2); at that time it is due anyhow.
      return releaseTime(message) > clock.now() || (await store.retry(id, clock.now()));
    },
    hold: (id) => store.hold(id, clock.now()),
    release: (id) => store.release(id, clock.now()),
    remove: (id) => store.remove(id, clock.now()),
  };
  const list = async ({ limit, after, address }: ListRequest) => {
    const start = after === undefined ? null : queueId(after);
    return store.list({
      limit: bounded(limit),
      ...(start === null ? {} : { after: start }),
      ...(address === undefined ? {} : { address }),
    });
  };
  return {
    list: async (request) => (await list(request)).map(viewMessage),
    async show(text) {
      const id = queueId(text);
      const message = id === null ? null : await store.get(id);
      return id === null || message === null ? null : viewDetail(message, await store.story(id));
    },
    async history({ limit, of }) {
      const id = of === undefined ? null : queueId(of);
      const which = id !== null ? { id } : of === undefined ? {} : { address: of.trim() };
      return (await store.history({ limit: bounded(limit), ...which })).map(viewFinished);
    },
    async act(action, target) {
      const ids = "all" in target ? await allIds(store) : [queueId(target.id) ?? target.id];
      const done: string[] = [];
      const refused: ActionReport["refused"][number][] = [];
      for (const id of ids) {
        const known = queueId(id);
        const outcome = known === null ? false : await actions[action](known);
        if (outcome === true) done.push(id);
        else refused.push({ id, reason: outcome === "claimed" ? "in flight" : "unknown" });
      }
      if (done.length > 0 && (action === "retry" || action === "release")) poke?.();
      return { done, refused };
    },
    counts: () => store.counts(),
  };
}

function bounded(limit: number): number {
  return Math.min(Math.max(1, limit), MAX_LIST);
}

/** Taken before the first action, so that a message that arrives meanwhile is not touched. */
async function allIds(store: QueueStore): Promise<readonly QueueId[]> {
  const ids: QueueId[] = [];
  for (;;) {
    const after = ids.at(-1);
    const page = await store.list({ limit: MAX_LIST, ...(after === undefined ? {} : { after }) });
    if (page.length === 0) return ids;
    ids.push(...page.map(({ id }) => id));
  }
}

/** Ids are taken as people type them: in either case, also with spaces around. */
function queueId(text: string): QueueId | null {
  return parseQueueId(text.trim());
}
