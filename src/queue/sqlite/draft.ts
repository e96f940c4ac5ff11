import { assert } from "../../base/index.ts";
import { memoryBody } from "../memory-body.ts";
import type { NewMessage, QueueId } from "../model.ts";
import { type QueueIdSource, queueIdNumber } from "../queue-id.ts";
import { type AcceptedMessage, type Draft, StoreError } from "../store.ts";
import { acceptedMessage } from "../transitions.ts";
import { type Channel, GIVEN } from "./channel.ts";
import { messageColumns } from "./requests.ts";
import { storedBody } from "./stored-body.ts";

/** Octets of one chunk row. */
const CHUNK_OCTETS = 128 * 1024;
/** Octets of one draft on their way to the disk before `append` asks to wait. */
const IN_FLIGHT_OCTETS = 8 * CHUNK_OCTETS;

interface DraftSettings {
  readonly channel: Channel;
  readonly ids: QueueIdSource;
  /** Octets up to which a body stays in memory until `keep`. */
  readonly memoryLimit: number;
}

/** A draft that stays in memory while it is small and streams chunk rows to the store from there on. */
export class SqliteDraft implements Draft {
  readonly id: QueueId;
  readonly #settings: DraftSettings;
  readonly #number: number;
  #buffered: Uint8Array[] = [];
  #bufferedOctets = 0;
  #size = 0;
  #inFlight = 0;
  #writing = new Set<Promise<void>>();
  #failure: StoreError | null = null;
  #state: "open" | "keeping" | "kept" | "disposed" = "open";
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
    this.#buffered.push(chunk);
    this.#bufferedOctets += chunk.length;
    this.#size += chunk.length;
    const limit = this.#stored ? CHUNK_OCTETS : this.#settings.memoryLimit;
    if (this.#bufferedOctets <= limit) return;
    this.#spill(CHUNK_OCTETS);
    if (this.#inFlight > IN_FLIGHT_OCTETS) return this.#room();
  }

  async keep(message: NewMessage, options: { readonly claim?: boolean } = {}): Promise<AcceptedMessage> {
    assert(this.#state === "open", "a draft is kept once");
    assert(message.id === this.id, "a draft is kept under its own id");
    assert(message.size === this.#size, "the size of a message is that of its draft");
    this.#state = "keeping";
    const claim = options.claim ?? false;
    return this.#stored ? await this.#keepStored(message, claim) : await this.#keepWhole(message, claim);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "kept" || this.#state === "disposed") return;
    this.#state = "disposed";
    this.#buffered = [];
    if (!this.#stored) return;
    await Promise.all(this.#writing);
    try {
      await this.#settings.channel.ask({ op: "discard", draft: this.#number });
    } catch (error) {
      // The store is in trouble and says so elsewhere; what is left of the draft goes when the queue is next opened.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /** The common case: body, envelope and recipients in one request. */
  async #keepWhole(message: NewMessage, claim: boolean): Promise<AcceptedMessage> {
    // A copy of its own, because small pieces of large receive buffers would keep those in memory for as long as the message.
    const octets = new Uint8Array(this.#size);
    let at = 0;
    for (const chunk of this.#buffered) {
      octets.set(chunk, at);
      at += chunk.length;
    }
    this.#buffered = [];
    this.#stored = true;
    const request = { op: "keep", message: messageColumns(message), claim, octets: GIVEN } as const;
    await this.#settings.channel.ask(request, [octets]);
    this.#state = "kept";
    return { message: acceptedMessage(message), body: memoryBody([octets]), inMemory: octets.length };
  }

  async #keepStored(message: NewMessage, claim: boolean): Promise<AcceptedMessage> {
    this.#spill(1);
    // Not in one batch with the chunks: were one of them refused there, the message would be kept without it.
    await Promise.all(this.#writing);
    if (this.#failure !== null) throw this.#failure;
    const { channel } = this.#settings;
    await channel.ask({ op: "keep", message: messageColumns(message), claim, octets: null });
    this.#state = "kept";
    return { message: acceptedMessage(message), body: storedBody(channel, message), inMemory: 0 };
  }

  /** Sends what is buffered as chunk rows, as long as at least `least` octets are left for one. */
  #spill(least: number): void {
    while (this.#bufferedOctets >= least && this.#bufferedOctets > 0) this.#write(this.#takeChunk());
  }

  #takeChunk(): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let room = CHUNK_OCTETS;
    let used = 0;
    for (const chunk of this.#buffered) {
      if (chunk.length > room) {
        if (room > 0) {
          taken.push(chunk.subarray(0, room));
          this.#buffered[used] = chunk.subarray(room);
          room = 0;
        }
        break;
      }
      taken.push(chunk);
      room -= chunk.length;
      used++;
    }
    this.#buffered = this.#buffered.slice(used);
    this.#bufferedOctets -= CHUNK_OCTETS - room;
    return taken;
  }

  #write(parts: Uint8Array[]): void {
    // The first chunk bears the message's own id, so that a small body is found without an index.
    const chunk = this.#stored ? this.#settings.ids.nextNumber() : this.#number;
    this.#stored = true;
    let length = 0;
    for (const part of parts) length += part.length;
    this.#inFlight += length;
    const written: Promise<void> = this.#settings.channel
      .ask({ op: "append", draft: this.#number, chunk, octets: GIVEN }, parts)
      .then(
        () => {},
        (error: StoreError) => {
          this.#failure ??= error;
        },
      )
      .then(() => {
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
