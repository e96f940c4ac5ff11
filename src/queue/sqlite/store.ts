import { type Clock, type Log, silentLog } from "../../base/index.ts";
import { readAddressFilter } from "../address-filter.ts";
import { DEFAULT_HISTORY, type HistoryBounds } from "../history.ts";
import { formatQueueId, QueueIdSource, queueIdNumber } from "../queue-id.ts";
import { alterationText } from "../selection.ts";
import type { OperableStore, StoreError } from "../store.ts";
import { BlockPool } from "./block-pool.ts";
import { type Channel, GIVEN, Channel as SqliteChannel, type StoreWatch } from "./channel.ts";
import { SqliteDraft } from "./draft.ts";
import { claimDue, counts, list } from "./parts.ts";
import { messageColumns, outcomeColumns } from "./requests.ts";
import { storedBody } from "./stored-body.ts";

/** Octets up to which a body waits in memory for its commit. */
const DEFAULT_DRAFT_MEMORY = 256 * 1024;

export interface SqliteStoreOptions {
  /** The queue file; its folder must exist. `-wal`, `-shm` and `.owner` files stand beside it. */
  readonly path: string;
  readonly clock: Clock;
  readonly log?: Log;
  /**
   * "owner" (the default) delivers: one process at a time, and what an earlier one left half-received is deleted. "admin" looks and
   * changes without delivering; with an owner at work use its control socket, since claims are known to the owner alone.
   */
  readonly role?: "owner" | "admin";
  /**
   * 0 to 63: the ids made here differ from those of stores with another lane, so that several queues can be shown as one. Default:
   * all ids are this store's.
   */
  readonly lane?: number;
  /** Octets of one message kept in memory until it is stored, then streamed to disk. Default 256 KiB. */
  readonly draftMemory?: number;
  /** Octets the queue file may grow to; beyond it `StoreError` "full". Default: as large as the disk allows. */
  readonly maxFileSize?: number;
  /** How much is told of mail that is over. Default: 7 days, 100,000 recipients. */
  readonly history?: HistoryBounds;
  /**
   * The store's thread ended by itself (a bug, no memory). Nothing more can be taken or written, and what was in flight is due
   * again for the next owner: end the process, and let it be started anew.
   */
  readonly onDeath?: (error: StoreError) => void;
  /** Told what commits take; default: nobody. */
  readonly watch?: StoreWatch;
}

/**
 * Opens the embedded store, in a worker thread. Rejects with a `StoreError`: "busy" when another process is the owner, else for
 * what is wrong with the file. The file format is described in docs/queue-format.md.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<OperableStore> {
  const {
    path,
    clock,
    log = silentLog,
    role = "owner",
    lane = null,
    draftMemory = DEFAULT_DRAFT_MEMORY,
    maxFileSize = null,
    history = DEFAULT_HISTORY,
    onDeath = () => {},
    watch = null,
  } = options;
  const { channel, lastId } = await SqliteChannel.open({ path, role, maxFileSize, history }, { log, watch, onDeath });
  return sqliteStore(channel, new QueueIdSource(clock, lastId, lane), draftMemory);
}

function sqliteStore(channel: Channel, ids: QueueIdSource, memoryLimit: number): OperableStore {
  let closing: Promise<void> | null = null;
  const blocks = new BlockPool();
  const change = <Op extends "hold" | "release" | "retry" | "remove">(op: Op, id: string, at: number) =>
    channel.ask<Op>({ op, id: queueIdNumber(id as Parameters<typeof queueIdNumber>[0]), at });
  return {
    nextId: () => ids.next(),
    get syncTime() {
      return channel.syncTime;
    },
    createDraft: () => new SqliteDraft(formatQueueId(ids.nextNumber()), { channel, ids, blocks, memoryLimit }),
    async settle({ id, at, recipients, report }) {
      await channel.ask(
        {
          op: "settle",
          id: queueIdNumber(id),
          at,
          recipients: recipients.map(outcomeColumns),
          report: report === null ? null : { message: messageColumns(report.message), octets: GIVEN },
        },
        report === null ? [] : report.body,
      );
    },
    claimDue: (query) => claimDue(channel, query),
    async unclaim(id, recipients) {
      await channel.ask({ op: "unclaim", id: queueIdNumber(id), recipients });
    },
    nextDue: () => channel.ask({ op: "nextDue" }),
    body: (message) => storedBody(channel, message),
    list: (query) => list(channel, query),
    history: ({ limit, id, address }) =>
      channel.ask({
        op: "history",
        limit,
        id: id === undefined ? null : queueIdNumber(id),
        address: address === undefined ? null : readAddressFilter(address),
      }),
    get: (id) => channel.ask({ op: "get", id: queueIdNumber(id) }),
    story: (id) => channel.ask({ op: "story", id: queueIdNumber(id) }),
    hold: (id, at) => change("hold", id, at),
    release: (id, at) => change("release", id, at),
    retry: (id, at) => change("retry", id, at),
    remove: (id, at) => change("remove", id, at),
    select: ({ filter, after, limit }) =>
      channel.ask({ op: "select", filter, limit, after: after === undefined ? -1 : queueIdNumber(after) }),
    alter: (alteration) => {
      const { id, at, recipients, change: wanted } = alteration;
      const text = alterationText(alteration);
      return channel.ask({ op: "alter", id: queueIdNumber(id), at, recipients, change: wanted, text });
    },
    expired: (now, limit) => channel.ask({ op: "expired", now, limit }),
    counts: () => counts(channel, ids.nextNumber()),
    close() {
      closing ??= channel.ask({ op: "close" }).then(() => {});
      return closing;
    },
  };
}
