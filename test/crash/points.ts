// The named moments at which a daemon is killed. Who brings the kill about: "inside" the preload in the daemon (preload.ts), "outside"
// the harness, which sees both peers, "kernel" strace, at a system call of the store.

/** A moment, and what a crash there puts to the test. */
export interface Point {
  readonly name: string;
  readonly by: "inside" | "outside" | "kernel";
  readonly what: string;
}

/** In the store's thread: accepting, writing outcomes, streaming a large body, and opening the queue. */
const STORE = [
  ["accept.begun", "rows of a message are written, its transaction is open"],
  ["accept.uncommitted", "all of its rows are written, the commit is not"],
  ["accept.committed", "the commit returned, nobody was told"],
  ["body.appended", "a piece of a large body is committed, its message is not"],
  ["outcome.begun", "the next hop has answered, the outcome is being written"],
  ["outcome.uncommitted", "the outcome is written, the commit is not"],
  ["outcome.committed", "the outcome is committed, nobody was told"],
  ["report.uncommitted", "a failure and its report are written, the commit is not"],
  ["report.committed", "a failure and its report are committed, nobody was told"],
  ["opening.uncommitted", "the start clears away half-received mail"],
] as const;

/** In a delivery to a Maildir, in order. */
const MAILDIR = [
  ["maildir.made", "a folder of a new Maildir is made, its name not synced"],
  ["maildir.opened", "the file in tmp is there and empty"],
  ["maildir.written", "the file is written, not synced"],
  ["maildir.synced", "the file is synced, still in tmp"],
  ["maildir.renamed", "the file is in new, the directories not synced"],
  ["maildir.directory-synced", "one of the two directories is synced, the outcome not begun"],
] as const;

/** What both peers see. */
const PEERS = [
  ["client.answered", "a client has just read its 250"],
  ["hop.taken", "the next hop took a message, and its 250 is on the way"],
] as const;

/** System calls of the store: any write or sync, of the log or, in a checkpoint, of the file itself. */
const KERNEL = [
  ["log.write", "a write begins to the queue's log (-wal)"],
  ["log.sync", "a sync begins of the queue's log (-wal)"],
  ["file.write", "a write begins to the queue's file, in a checkpoint"],
  ["file.sync", "a sync begins of the queue's file, in a checkpoint"],
] as const;

function points(by: Point["by"], list: readonly (readonly [name: string, what: string])[]): readonly Point[] {
  return list.map(([name, what]) => ({ name, by, what }));
}

export const POINTS: readonly Point[] = [
  ...points("inside", STORE),
  ...points("inside", MAILDIR),
  ...points("outside", PEERS),
  ...points("kernel", KERNEL),
];

/** A point that the preload brings about. */
export type InsidePoint = (typeof STORE)[number][0] | (typeof MAILDIR)[number][0];

/** What the preload is told, as JSON in the environment variable `PLAN`. */
export interface Plan {
  readonly point: string;
  /** Which passage of the point, from 1. */
  readonly passage: number;
  /** Written right before the kill, so that it is known that it came from here. */
  readonly mark: string;
  /** Stops the parent process first: a supervisor is not to start the worker again before its queue was looked at. */
  readonly stopParent: boolean;
}

export const PLAN = "POSTERN_CRASH_PLAN";
