import { type Clock, type Duration, type Instant, instant } from "../base/index.ts";
import {
  type Alteration,
  type OperableStore,
  parseQueueId,
  type QueueCounts,
  type QueueFilter,
  type QueueId,
  type RouteOverride,
  releaseTime,
  type SelectedMessage,
} from "../queue/index.ts";
import {
  type FinishedView,
  type MessageDetail,
  type MessageView,
  viewDetail,
  viewFinished,
  viewMessage,
} from "./views.ts";

/** What may be done to a message. */
export const ACTIONS = ["retry", "hold", "release", "remove", "reroute"] as const;
export type Action = (typeof ACTIONS)[number];

/** Which waiting recipients are meant: those that all of this is true of. */
export interface Filter {
  /** Of the recipient: `example.org`, `.example.org` (all below it) or `*`. */
  readonly domain?: string | undefined;
  /** A mailbox, `@domain`, or `<>` for reports. */
  readonly sender?: string | undefined;
  /** Milliseconds since the message came. */
  readonly olderThan?: Duration | undefined;
  /** The last attempt's reply code, enhanced status, beginning of one and `*`, or `none`. */
  readonly reply?: string | undefined;
}

/**
 * One message; all that are in the queue when the operation begins; or what matches a filter then. By a filter only the recipients that
 * match are tried, removed or rerouted; messages are held and released whole.
 */
export type Target = { readonly id: string } | { readonly all: true } | { readonly filter: Filter };

export interface ActOptions {
  /** Only tells what would be done. */
  readonly dryRun?: boolean | undefined;
  /** For "reroute": the next hop; null or absent: as configured. */
  readonly override?: RouteOverride | null | undefined;
}

/** What an action did, message by message. */
export interface ActionReport {
  readonly done: readonly string[];
  /** How many recipients those are of; messages that are held or released count with all who wait. */
  readonly recipients: number;
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
  /** Oldest first. Fewer than asked for where they have many recipients; none only behind the last. */
  list(request: ListRequest): Promise<readonly MessageView[]>;
  /** The message with its story so far, null when there is none. */
  show(id: string): Promise<MessageDetail | null>;
  /** Recipients whose mail is over, the last first, as long as they are told of. */
  history(request: HistoryRequest): Promise<readonly FinishedView[]>;
  act(action: Action, target: Target, options?: ActOptions): Promise<ActionReport>;
  counts(): Promise<QueueCounts>;
}

export interface OperationsOptions {
  readonly store: OperableStore;
  readonly clock: Clock;
  /** Called after messages became due, so that a running daemon need not wait for its next look. */
  readonly poke?: () => void;
}

/** The operations on an open store. They reject only with a `StoreError`. */
export function createOperations({ store, clock, poke }: OperationsOptions): AdminOperations {
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
    async act(action, target, { dryRun = false, override = null } = {}) {
      const [done, refused]: [string[], ActionReport["refused"][number][]] = [[], []];
      const report = { done, recipients: 0, refused };
      for await (const { found: part, unknown } of targets(store, target, clock.now())) {
        refused.push(...unknown);
        // Those that are asked for together share a sync of the disk.
        const outcomes = await Promise.all(part.map((each) => dryRun || act({ store, clock, action, override }, each)));
        for (const [at, { id, recipients }] of part.entries()) {
          const outcome = outcomes[at];
          if (outcome === true) {
            done.push(id);
            report.recipients += recipients.length;
          } else if (outcome === "claimed") refused.push({ id, reason: "in flight" });
          // Of many that were found one may have been delivered since.
          else if ("id" in target) refused.push({ id, reason: "unknown" });
        }
      }
      if (done.length > 0 && !dryRun && MAKES_DUE.has(action)) poke?.();
      return report;
    },
    counts: () => store.counts(),
  };
}

function bounded(limit: number): number {
  return Math.min(Math.max(1, limit), MAX_LIST);
}

interface Order {
  readonly store: OperableStore;
  readonly clock: Clock;
  readonly action: Action;
  readonly override: RouteOverride | null;
}

/** `whole`: all of the message is meant, also those who joined it since, if that could be. */
interface Meant extends SelectedMessage {
  readonly whole: boolean;
}

function act({ store, clock, action, override }: Order, meant: Meant): Promise<boolean | "claimed"> {
  const { id, recipients, releaseAt, whole } = meant;
  const at = clock.now();
  // Never before its sender wants it to go (RFC 4865 §4.2).
  const dueAt: Instant = instant(Math.max(at, releaseAt));
  const alter = (change: Alteration["change"]) => store.alter({ id, recipients, at, change });
  switch (action) {
    case "hold":
      return store.hold(id, at);
    case "release":
      return store.release(id, at);
    case "retry":
      return whole ? store.retry(id, dueAt) : alter({ kind: "retry", dueAt });
    case "remove":
      return whole ? store.remove(id, at) : alter({ kind: "remove" });
    case "reroute":
      return alter({ kind: "reroute", dueAt, override });
  }
}

/** Messages looked at in one question, and changed in one go. */
const TOGETHER = 500;
const MAKES_DUE: ReadonlySet<Action> = new Set(["retry", "release", "reroute"]);
const ANY: QueueFilter = { domain: null, sender: null, receivedBefore: null, reply: null };

/** Messages to be changed in one go, and what was asked for and is not there. */
interface Part {
  readonly found: readonly Meant[];
  readonly unknown: ActionReport["refused"];
}

/** Part by part, for there may be a million. A message that arrives meanwhile is not touched. */
async function* targets(store: OperableStore, target: Target, now: Instant): AsyncGenerator<Part> {
  if ("id" in target) {
    const id = queueId(target.id);
    const message = id === null ? null : await store.get(id);
    if (id === null || message === null) {
      yield { found: [], unknown: [{ id: id ?? target.id, reason: "unknown" }] };
      return;
    }
    const waiting = message.recipients.filter(({ state }) => state === "waiting");
    const recipients = waiting.map(({ index }) => index);
    yield { found: [{ id, recipients, releaseAt: releaseTime(message), whole: true }], unknown: [] };
    return;
  }
  const filter = "all" in target ? ANY : queueFilter(target.filter, now);
  const whole = "all" in target;
  const until = store.nextId();
  let after: QueueId | null = null;
  do {
    const part: Awaited<ReturnType<OperableStore["select"]>> = await store.select({
      filter,
      limit: TOGETHER,
      ...(after === null ? {} : { after }),
    });
    const found = part.matches.filter(({ id }) => id < until).map((match) => ({ ...match, whole }));
    yield { found, unknown: [] };
    after = part.last;
  } while (after !== null && after < until);
}

function queueFilter({ domain, sender, olderThan, reply }: Filter, now: Instant): QueueFilter {
  return {
    domain: domain?.toLowerCase() ?? null,
    sender: sender?.trim() ?? null,
    receivedBefore: olderThan === undefined ? null : instant(now - olderThan),
    reply: reply ?? null,
  };
}

/** Ids are taken as people type them: in either case, also with spaces around. */
function queueId(text: string): QueueId | null {
  return parseQueueId(text.trim());
}
