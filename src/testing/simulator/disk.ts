import { type Clock, concatBytes } from "../../base/index.ts";
import {
  type AcceptedMessage,
  type Body,
  createMemoryStore,
  type Draft,
  type NewMessage,
  type OperableStore,
  type QueuedMessage,
  type QueueStore,
  type Settlement,
  StoreError,
} from "../../queue/index.ts";
import type { Chance } from "./chance.ts";
import type { Life, VirtualLoop } from "./loop.ts";

/** How one batch fares. */
export interface DiskFate {
  /** Milliseconds until it is synced, or is not. */
  readonly delay: number;
  /** The sync failed: nothing is known to be on the disk. */
  readonly failed: boolean;
  /** No room for anything new. */
  readonly full: boolean;
}

/** Who is told of what is on the disk for good. */
export interface DiskWitness {
  kept(message: NewMessage, body: readonly Uint8Array[]): void;
  /** `reported`: the report of the settlement is in the queue, now or since an earlier try. */
  settled(before: QueuedMessage, settlement: Settlement, reported: boolean): void;
  removed(id: string): void;
}

export interface DiskParts {
  readonly loop: VirtualLoop;
  readonly chance: Chance;
  readonly clock: Clock;
  /** Asked for each batch; `writes`: more than questions. */
  readonly fate: (writes: boolean) => DiskFate;
  /** Told before a batch is synced and before those who wait hear of it: the moments to lose power at. */
  readonly moment: (when: "committing" | "committed") => void;
  readonly witness: DiskWitness;
  /** Told of a power cut in a commit, by what is left of it: all or nothing. */
  readonly count: (kind: "commits cut off, kept" | "commits cut off, lost") => void;
}

interface Operation {
  readonly kind: "write" | "read";
  /** It takes room. */
  readonly grows: boolean;
  /** Of it nobody knows after a failed sync whether it is there; all others are not. */
  readonly repeatable: boolean;
  /** Does it to the image, at once. */
  apply(): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Octets of a draft that are held before they go to the disk. */
const DRAFT_BUFFER = 64 * 1024;
const READ_CHUNK = 64 * 1024;

/**
 * The disk under a queue, at the port of the store. As with the embedded store all that waits while a sync runs goes into the next
 * one, a batch is on the disk whole or not at all, and what was not synced when the power went is as if it had never been. Claims
 * are memory, and gone with the program.
 */
export class SimulatedDisk {
  readonly parts: DiskParts;
  /** What survives. */
  readonly image: OperableStore;

  constructor(parts: DiskParts) {
    this.parts = parts;
    this.image = createMemoryStore({ clock: parts.clock });
  }

  /** What is on it. */
  messages(): Promise<readonly QueuedMessage[]> {
    return this.image.list({ limit: Number.MAX_SAFE_INTEGER });
  }

  /** Opens the queue for a program that just started. */
  async open(life: Life): Promise<OperableStore> {
    for (const { id, recipients } of await this.messages()) {
      await this.image.unclaim(
        id,
        recipients.map(({ index }) => index),
      );
    }
    return new SimulatedStore(this, life);
  }
}

class SimulatedStore implements OperableStore {
  readonly #disk: SimulatedDisk;
  readonly #life: Life;
  #waiting: Operation[] = [];
  #running: readonly Operation[] = [];
  #busy = false;
  #closed = false;

  constructor(disk: SimulatedDisk, life: Life) {
    this.#disk = disk;
    this.#life = life;
    life.onEnd(() => this.#powerCut());
  }

  nextId(): NewMessage["id"] {
    return this.#disk.image.nextId();
  }

  createDraft(): Draft {
    const { image, parts } = this.#disk;
    const draft = image.createDraft();
    const chunks: Uint8Array[] = [];
    let unwritten = 0;
    return {
      id: draft.id,
      append: (chunk) => {
        chunks.push(chunk);
        unwritten += chunk.length;
        const kept = draft.append(chunk);
        if (unwritten < DRAFT_BUFFER) return kept;
        unwritten = 0;
        return this.#do({ grows: true }, async () => {});
      },
      keep: (message, options) =>
        this.#do<AcceptedMessage>({ grows: true }, () => {
          const accepted = draft.keep(message, options);
          parts.witness.kept(message, chunks);
          return accepted;
        }),
      [Symbol.asyncDispose]: () => draft[Symbol.asyncDispose](),
    };
  }

  settle(settlement: Settlement): Promise<void> {
    const { image, parts } = this.#disk;
    // The claims of those who wait on end with a commit that was seen, and with no other.
    const repeatable = settlement.recipients.every(({ outcome }) => outcome.kind !== "deferred");
    return this.#do({ repeatable }, async () => {
      // The image does it all before its first wait.
      const { id, report } = settlement;
      const before = image.get(id);
      const done = image.settle(settlement);
      const reported = report === null ? null : image.get(report.message.id);
      const found = await before;
      if (found !== null) parts.witness.settled(found, settlement, (await reported) !== null);
      await done;
    });
  }

  claimDue(query: Parameters<QueueStore["claimDue"]>[0]): ReturnType<QueueStore["claimDue"]> {
    return this.#ask(() => this.#disk.image.claimDue(query));
  }

  unclaim(...args: Parameters<QueueStore["unclaim"]>): Promise<void> {
    return this.#ask(() => this.#disk.image.unclaim(...args));
  }

  nextDue(): ReturnType<QueueStore["nextDue"]> {
    return this.#ask(() => this.#disk.image.nextDue());
  }

  body(message: Pick<QueuedMessage, "id" | "size">): Body {
    const { image } = this.#disk;
    const ask = <T>(action: () => Promise<T>): Promise<T> => this.#ask(action);
    const read = async (): Promise<Uint8Array> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of image.body(message).chunks()) chunks.push(chunk);
      return concatBytes(chunks);
    };
    return {
      size: message.size,
      async *chunks() {
        for (let from = 0; from < message.size; from += READ_CHUNK) {
          yield (await ask(read)).subarray(from, from + READ_CHUNK);
        }
      },
    };
  }

  list(query: Parameters<QueueStore["list"]>[0]): ReturnType<QueueStore["list"]> {
    return this.#ask(() => this.#disk.image.list(query));
  }

  get(id: NewMessage["id"]): ReturnType<QueueStore["get"]> {
    return this.#ask(() => this.#disk.image.get(id));
  }

  story(id: NewMessage["id"]): ReturnType<QueueStore["story"]> {
    return this.#ask(() => this.#disk.image.story(id));
  }

  hold(...args: Parameters<QueueStore["hold"]>): Promise<boolean> {
    return this.#do({}, () => this.#disk.image.hold(...args));
  }

  release(...args: Parameters<QueueStore["release"]>): Promise<boolean> {
    return this.#do({}, () => this.#disk.image.release(...args));
  }

  retry(...args: Parameters<QueueStore["retry"]>): Promise<boolean> {
    return this.#do({}, () => this.#disk.image.retry(...args));
  }

  remove(...args: Parameters<QueueStore["remove"]>): ReturnType<QueueStore["remove"]> {
    return this.#do({}, async () => {
      const done = await this.#disk.image.remove(...args);
      if (done === true) this.#disk.parts.witness.removed(args[0]);
      return done;
    });
  }

  select(...args: Parameters<OperableStore["select"]>): ReturnType<OperableStore["select"]> {
    return this.#ask(() => this.#disk.image.select(...args));
  }

  alter(...args: Parameters<OperableStore["alter"]>): ReturnType<OperableStore["alter"]> {
    const { image, parts } = this.#disk;
    const [{ id }] = args;
    return this.#do({}, async () => {
      const done = await image.alter(...args);
      if (done === true && (await image.get(id)) === null) parts.witness.removed(id);
      return done;
    });
  }

  history(...args: Parameters<QueueStore["history"]>): ReturnType<QueueStore["history"]> {
    return this.#ask(() => this.#disk.image.history(...args));
  }

  expired(...args: Parameters<QueueStore["expired"]>): ReturnType<QueueStore["expired"]> {
    return this.#ask(() => this.#disk.image.expired(...args));
  }

  counts(): ReturnType<QueueStore["counts"]> {
    return this.#ask(() => this.#disk.image.counts());
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #do<T>(
    { grows = false, repeatable = false }: { readonly grows?: boolean; readonly repeatable?: boolean },
    apply: () => Promise<T>,
  ): Promise<T> {
    return this.#enqueue({ kind: "write", grows, repeatable }, apply);
  }

  #ask<T>(apply: () => Promise<T>): Promise<T> {
    return this.#enqueue({ kind: "read", grows: false, repeatable: false }, apply);
  }

  #enqueue<T>(what: Pick<Operation, "kind" | "grows" | "repeatable">, apply: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreError("broken", "the queue is closed"));
    return new Promise<T>((resolve, reject) => {
      let result: Promise<T> | null = null;
      this.#waiting.push({
        ...what,
        apply: () => {
          result = apply();
          return result;
        },
        resolve: () => resolve(result ?? Promise.reject(new Error("resolved before it was done"))),
        reject,
      });
      if (!this.#busy) this.#run();
    });
  }

  #run(): void {
    this.#busy = true;
    const { loop, fate, moment } = this.#disk.parts;
    // What is asked for in one turn goes together.
    queueMicrotask(() => {
      if (!this.#life.alive) return;
      const batch = this.#waiting;
      this.#waiting = [];
      this.#running = batch;
      const writes = batch.some(({ kind }) => kind === "write");
      const fared = fate(writes);
      loop.after(fared.delay, () => {
        if (!this.#life.alive) return;
        if (writes) moment("committing");
        if (!this.#life.alive) return;
        this.#running = [];
        this.#finish(batch, fared);
        if (this.#life.alive && this.#waiting.length > 0) this.#run();
        else this.#busy = false;
      });
    });
  }

  #finish(batch: readonly Operation[], fared: DiskFate): void {
    const { chance, moment } = this.#disk.parts;
    const answers: (() => void)[] = [];
    let wrote = false;
    for (const operation of batch) {
      const { kind, grows, repeatable } = operation;
      if (fared.failed) {
        // Of a settlement that failed nobody knows whether it is written.
        if (repeatable && chance.is(0.5)) operation.apply().catch(() => {});
        answers.push(() => operation.reject(new StoreError("broken", "EIO: the sync failed")));
      } else if (grows && fared.full) {
        answers.push(() => operation.reject(new StoreError("full", "ENOSPC: no space left")));
      } else {
        wrote ||= kind === "write";
        operation.apply().catch(() => {});
        answers.push(() => operation.resolve(null));
      }
    }
    if (wrote) moment("committed");
    if (!this.#life.alive) return;
    for (const answer of answers) answer();
  }

  /** A batch that was being written is there or it is not. */
  #powerCut(): void {
    const running = this.#running.filter(({ kind }) => kind === "write");
    this.#running = [];
    this.#waiting = [];
    if (running.length === 0) return;
    const { chance, count } = this.#disk.parts;
    const isKept = chance.is(0.5);
    count(isKept ? "commits cut off, kept" : "commits cut off, lost");
    if (!isKept) return;
    for (const operation of running) operation.apply().catch(() => {});
  }
}
