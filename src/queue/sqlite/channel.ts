import { Worker } from "node:worker_threads";
import { type Duration, type Log, printable } from "../../base/index.ts";
import { events } from "../events.ts";
import { StoreError } from "../store.ts";
import { Departure, Waiting } from "./departure.ts";
import { storeError } from "./failure.ts";
import type { Answers, BatchMessage, DatabaseSettings, Request, Result, Span, WorkerMessage } from "./protocol.ts";

/** Who hears of what happens to the store. */
export interface ChannelEars {
  readonly log: Log;
  readonly watch: StoreWatch | null;
  /** The thread ended by itself. */
  readonly onDeath: (error: StoreError) => void;
}

interface Pending {
  readonly request: Request;
  /** Where `request.octets` (or its report's) come from. */
  readonly octets: readonly Uint8Array[];
  readonly resolve: (answer: never) => void;
  readonly reject: (error: StoreError) => void;
  /** When it was asked, ms of `performance.now`. */
  readonly since: number;
}

/** Octets in one batch beyond which the rest waits for the next, so that no transaction grows without bound. */
const MAX_BATCH_OCTETS = 16 * 1024 * 1024;
const MAX_BATCH_REQUESTS = 2000;
const ANSWERS_A_TURN = 50;
/** The least memory shared with the thread; it doubles when a batch is larger, and stays. */
const LEAST_SHARED_OCTETS = 1024 * 1024;
const NOWHERE: Span = { from: 0, length: 0 };

/** Who measures what the store takes; must not throw. Times are milliseconds. */
export interface StoreWatch {
  /** A commit was synced, and the disk took so long. */
  synced(took: Duration): void;
  /** A message is durable; so long ago it was whole. */
  kept(took: Duration): void;
}

/**
 * The way to the worker thread and back. One batch is under way at a time; what is asked meanwhile makes the next one. That is
 * the group commit: all who came during one sync share the next.
 */
export class Channel {
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #watch: StoreWatch | null;
  /**
   * Where octets lie on their way to the thread. Only one batch is under way, so one piece of memory does for all; buffers of each
   * batch's own would pile up in the thread until its next collection, by the size of a whole large message.
   */
  #shared: Uint8Array<SharedArrayBuffer> = new Uint8Array(new SharedArrayBuffer(0));
  #queue: Pending[] = [];
  #flying: Pending[] | null = null;
  #scheduled = false;
  readonly #departure = new Departure();
  #waiting = new Waiting();
  /** Messages in the batch under way. */
  #flyingMessages = 0;
  /** Until the queue is looked at again, though nothing more was asked. */
  #pause: { readonly until: number; readonly timer: NodeJS.Timeout } | null = null;
  #broken: StoreError | null = null;
  #closing = false;

  private constructor(worker: Worker, { log, watch }: ChannelEars) {
    this.#worker = worker;
    this.#log = log;
    this.#watch = watch;
  }

  /** Starts the thread. Rejects with a `StoreError` when the file cannot be opened or has another owner. */
  static open(settings: DatabaseSettings, ears: ChannelEars): Promise<{ channel: Channel; lastId: number }> {
    // The published package holds .js files, a checkout .ts ones that Node strips of their types.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData: settings });
    const channel = new Channel(worker, ears);
    return new Promise((resolve, reject) => {
      let opened = false;
      const die = (error: StoreError): void => {
        const unexpected = opened && !channel.#closing && channel.#broken === null;
        channel.#break(error);
        reject(error);
        if (unexpected) ears.onDeath(error);
      };
      worker.on("message", (message: WorkerMessage) => {
        if (message.kind === "ready") {
          opened = true;
          resolve({ channel, lastId: message.lastId });
        } else if (message.kind === "refused") reject(storeError(message.failure));
        else channel.#receive(message);
      });
      worker.on("error", (cause) => die(new StoreError("broken", "the queue's thread failed", { cause })));
      worker.on("exit", () => {
        die(new StoreError("broken", channel.#closing ? "the queue is closed" : "the queue's thread is gone"));
      });
    });
  }

  /** See `QueueStore.syncTime`. */
  get syncTime(): Duration {
    return this.#departure.syncTime;
  }

  /** Octets are the caller's to leave alone until the promise settles. */
  ask<Op extends Request["op"]>(
    request: Extract<Request, { op: Op }> | (Request & { readonly op: Op }),
    octets: readonly Uint8Array[] = [],
  ): Promise<Answers[Op]> {
    if (this.#broken !== null) return Promise.reject(this.#broken);
    if (request.op === "close") this.#closing = true;
    return new Promise((resolve, reject) => {
      const since = performance.now();
      this.#queue.push({ request, octets, resolve, reject, since });
      this.#waiting.add(request.op, since);
      this.#schedule();
    });
  }

  /** Sends what is asked when its time has come; while a batch is under way that is not before it is answered. */
  #schedule(): void {
    if (this.#scheduled || this.#flying !== null || this.#queue.length === 0) return;
    const now = performance.now();
    const wait = this.#departure.wait(now, this.#waiting);
    if (wait > 0) {
      this.#lookAgain(now + wait, wait);
      return;
    }
    this.#scheduled = true;
    // Not at once: whoever else the same turn of the event loop has made ready joins this batch.
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#flying === null && this.#queue.length > 0) this.#send();
    });
  }

  #lookAgain(until: number, wait: number): void {
    if (this.#pause !== null && this.#pause.until <= until) return;
    this.#endPause();
    const timer = setTimeout(() => {
      this.#pause = null;
      this.#schedule();
    }, wait);
    this.#pause = { until, timer };
  }

  #endPause(): void {
    if (this.#pause !== null) clearTimeout(this.#pause.timer);
    this.#pause = null;
  }

  #send(): void {
    const all = this.#queue;
    let total = 0;
    let count = 0;
    for (const { octets } of all) {
      const length = lengthOf(octets);
      if (count > 0 && (total + length > MAX_BATCH_OCTETS || count >= MAX_BATCH_REQUESTS)) break;
      total += length;
      count++;
    }
    this.#flying = count === all.length ? all : all.slice(0, count);
    this.#queue = count === all.length ? [] : all.slice(count);
    this.#endPause();
    const now = performance.now();
    this.#flyingMessages = this.#waiting.messages;
    this.#waiting = new Waiting();
    for (const { request } of this.#queue) this.#waiting.add(request.op, now);
    this.#flyingMessages -= this.#waiting.messages;
    this.#departure.left(this.#flyingMessages);
    const grown = this.#share(total);
    const message: BatchMessage = { requests: pack(this.#flying, this.#shared), shared: grown };
    this.#worker.postMessage(message);
  }

  /** Sees to it that `octets` have room; returns new memory where the thread does not know of it yet. */
  #share(octets: number): SharedArrayBuffer | null {
    if (octets <= this.#shared.length) return null;
    let size = Math.max(this.#shared.length, LEAST_SHARED_OCTETS);
    while (size < octets) size *= 2;
    const grown = new SharedArrayBuffer(size);
    this.#shared = new Uint8Array(grown);
    return grown;
  }

  #receive(message: Extract<WorkerMessage, { kind: "results" | "reopened" }>): void {
    if (message.kind === "reopened") {
      const { kind, text } = message.failure;
      this.#log.error(events.storeReopened, { kind, text: printable(text) });
      return;
    }
    const answered = this.#flying ?? [];
    this.#flying = null;
    const now = performance.now();
    if (this.#watch !== null) tell(this.#watch, { answered, message, now });
    const { messages } = this.#waiting;
    this.#departure.answered(now, { sync: message.sync, messages: this.#flyingMessages, waiting: messages });
    // Before the answers: what they lead to takes its time, and a slow disk is not to stand idle meanwhile.
    const leaves = this.#departure.isSlow && this.#queue.length > 0 && this.#departure.wait(now, this.#waiting) === 0;
    if (leaves) this.#send();
    else this.#schedule();
    answerFrom(answered, message.results, 0);
  }

  #break(error: StoreError): void {
    this.#broken ??= error;
    const all = [...(this.#flying ?? []), ...this.#queue];
    this.#flying = null;
    this.#queue = [];
    this.#endPause();
    for (const { reject } of all) reject(this.#broken);
  }
}

/** What is behind a batch, for measurements. */
function tell(
  watch: StoreWatch,
  batch: {
    readonly answered: readonly Pending[];
    readonly message: Extract<WorkerMessage, { kind: "results" }>;
    readonly now: number;
  },
): void {
  const { answered, message, now } = batch;
  if (message.sync !== null) watch.synced(message.sync);
  for (const [at, { request, since }] of answered.entries()) {
    if (request.op === "keep" && message.results[at]?.ok === true) watch.kept(now - since);
  }
}

/** Answers in slices, so that what else happens in the event loop comes between them: each answer sets off much. */
function answerFrom(asked: readonly Pending[], results: readonly Result[], from: number): void {
  const until = Math.min(from + ANSWERS_A_TURN, asked.length);
  for (let at = from; at < until; at++) {
    const result = results[at];
    const pending = asked[at];
    if (result === undefined) pending?.reject(new StoreError("broken", "the queue's thread left out an answer"));
    else if (result.ok)
      pending?.resolve(result.answer as never); // the worker answers each request by its op (`Answers`)
    else pending?.reject(storeError(result.failure));
  }
  if (until < asked.length) setImmediate(() => answerFrom(asked, results, until));
}

/** Copies the octets of all requests into memory that the thread sees, and points the requests into it. */
function pack(pending: readonly Pending[], shared: Uint8Array): Request[] {
  let at = 0;
  return pending.map(({ request, octets: parts }) => {
    if (parts.length === 0) return request;
    const from = at;
    for (const part of parts) {
      shared.set(part, at);
      at += part.length;
    }
    return pointed(request, { from, length: at - from });
  });
}

function pointed(request: Request, span: Span): Request {
  if (request.op === "keep" || request.op === "append") return { ...request, octets: span };
  if (request.op === "settle" && request.report !== null)
    return { ...request, report: { ...request.report, octets: span } };
  return request;
}

/** Stands in a request for octets given beside it. */
export const GIVEN: Span = NOWHERE;

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
