import { assert, GatheredBytes } from "../../base/index.ts";
import { memoryBody } from "../memory-body.ts";
import type { NewMessage, QueueId } from "../model.ts";
import { type QueueIdSource, queueIdNumber } from "../queue-id.ts";
import { type AcceptedMessage, type Draft, StoreError } from "../store.ts";
import { acceptedMessage } from "../transitions.ts";
import { BLOCK_OCTETS, type BlockPool } from "./block-pool.ts";
import { type Channel, GIVEN } from "./channel.ts";
import { messageColumns } from "./requests.ts";
import { storedBody } from "./stored-body.ts";

/** Octets of one draft on their way to the disk before `append` asks to wait. */
const IN_FLIGHT_OCTETS = 8 * BLOCK_OCTETS;

interface DraftSettings {
  readonly channel: Channel;
  readonly ids: QueueIdSource;
  readonly blocks: BlockPool;
  /** Octets up to which a body stays in memory until `keep`. */
  readonly memoryLimit: number;
}

/** A draft that stays in memory while it is small and streams chunk rows to the store from there on. */
export class SqliteDraft implements Draft {
  readonly id: QueueId;
  readonly #settings: DraftSettings;
  readonly #number: number;
  /** All of it, while it is small; null from where it goes to the store, or nowhere any more. */
  #held: GatheredBytes | null = new GatheredBytes();
  /** The next chunk row, as far as it is filled. */
  #block: Uint8Array | null = null;
  #filled = 0;
  #size = 0;
  #inFlight = 0;
  #writing = new Set<Promise<void>>();
  #failure: StoreError | null = null;
  #state: "open" | "keeping" | "kept" | "disposed" = "open";
  #keeping: Promise<AcceptedMessage> | null = null;
  /** True once the store may hold something of it. */
  #stored = false;

  constructor(id: QueueId, settings: DraftSettings) {
    this.id = id;
    this.#number = queueIdNumber(id);
    this.#settings = settings;
  }

  append(chunk: Uint8Array): void | Promise<void> {
    assert(this.#state === "open", "a draft takes octets until it is kept or disposed");
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (chunk.length === 0) return;
    this.#size += chunk.length;
    if (this.#held === null) this.#fill(chunk);
    else {
      this.#held.add(chunk);
      if (this.#size <= this.#settings.memoryLimit) return;
      const held = this.#held;
      this.#held = null;
      for (const each of held.pieces()) this.#fill(each);
    }
    if (this.#inFlight > IN_FLIGHT_OCTETS) return this.#room();
  }

  get copies(): boolean {
    return this.#held === null;
  }

  async keep(message: NewMessage, options: { readonly claim?: boolean } = {}): Promise<AcceptedMessage> {
    assert(this.#state === "open", "a draft is kept once");
    assert(message.id === this.id, "a draft is kept under its own id");
    assert(message.size === this.#size, "the size of a message is that of its draft");
    this.#state = "keeping";
    const claim = options.claim ?? false;
    const held = this.#held;
    const keeping = held === null ? this.#keepStored(message, claim) : this.#keepWhole(message, held.pieces(), claim);
    this.#keeping = keeping;
    return await keeping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is kept after all must not be deleted behind the back of whoever hears so.
    await this.#keeping?.catch(() => {});
    if (this.#state === "kept" || this.#state === "disposed") return;
    this.#state = "disposed";
    this.#held = null;
    if (this.#block !== null) this.#settings.blocks.give(this.#block);
    this.#block = null;
    if (!this.#stored) return;
    await Promise.all(this.#writing);
    try {
      await this.#settings.channel.ask({ op: "discard", draft: this.#number });
    } catch (error) {
      // The store is in trouble and says so elsewhere; what is left of the draft goes when that is over.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /** The common case: body, envelope and recipients in one request. */
  async #keepWhole(message: NewMessage, held: readonly Uint8Array[], claim: boolean): Promise<AcceptedMessage> {
    // A copy of its own, because small pieces of large receive buffers would keep those in memory for as long as the message.
    const octets = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of held) {
      octets.set(chunk, at);
      at += chunk.length;
    }
    this.#held = null;
    this.#stored = true;
    const request = { op: "keep", message: messageColumns(message), claim, octets: GIVEN } as const;
    await this.#settings.channel.ask(request, [octets]);
    this.#state = "kept";
    return { message: acceptedMessage(message), body: memoryBody([octets]), inMemory: octets.length };
  }

  async #keepStored(message: NewMessage, claim: boolean): Promise<AcceptedMessage> {
    if (this.#block !== null) this.#write(this.#block);
    // Not in one batch with the chunks: were one of them refused there, the message would be kept without it.
    await Promise.all(this.#writing);
    if (this.#failure !== null) throw this.#failure;
    const { channel } = this.#settings;
    await channel.ask({ op: "keep", message: messageColumns(message), claim, octets: null });
    this.#state = "kept";
    return { message: acceptedMessage(message), body: storedBody(channel, message), inMemory: 0 };
  }

  #fill(octets: Uint8Array): void {
    for (let at = 0; at < octets.length; ) {
      this.#block ??= this.#settings.blocks.take();
      const part = octets.subarray(at, at + BLOCK_OCTETS - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === BLOCK_OCTETS) this.#write(this.#block);
    }
  }

  /** Sends what is filled as a chunk row. */
  #write(block: Uint8Array): void {
    const { blocks, channel, ids } = this.#settings;
    const length = this.#filled;
    this.#block = null;
    this.#filled = 0;
    // The first chunk bears the message's own id, so that a small body is found without an index.
    const chunk = this.#stored ? ids.nextNumber() : this.#number;
    this.#stored = true;
    this.#inFlight += length;
    const written: Promise<void> = channel
      .ask({ op: "append", draft: this.#number, chunk, octets: GIVEN }, [block.subarray(0, length)])
      .then(
        () => {},
        (error: StoreError) => {
          this.#failure ??= error;
        },
      )
      .then(() => {
        blocks.give(block);
        this.#inFlight -= length;
        this.#writing.delete(written);
      });
    this.#writing.add(written);
  }

  async #room(): Promise<void> {
    while (this.#inFlight > IN_FLIGHT_OCTETS) await Promise.race(this.#writing);
    if (this.#failure !== null) throw this.#failure;
  }
}
