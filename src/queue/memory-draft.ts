import { assert, concatBytes } from "../base/index.ts";
import { memoryBody } from "./memory-body.ts";
import type { NewMessage, QueueId } from "./model.ts";
import type { AcceptedMessage, Body, Draft } from "./store.ts";

/** Makes a message of a draft part of the queue. */
export type Keep = (message: NewMessage, body: Body, claim: boolean) => AcceptedMessage;

/** A message on its way into a queue in memory. */
export class MemoryDraft implements Draft {
  readonly id: QueueId;
  readonly #keep: Keep;
  #chunks: Uint8Array[] = [];
  #open = true;

  constructor(id: QueueId, keep: Keep) {
    this.id = id;
    this.#keep = keep;
  }

  append(chunk: Uint8Array): void {
    assert(this.#open, "a draft takes octets until it is kept or disposed");
    this.#chunks.push(chunk);
  }

  async keep(message: NewMessage, options: { readonly claim?: boolean } = {}): Promise<AcceptedMessage> {
    assert(this.#open, "a draft is kept once");
    assert(message.id === this.id, "a draft is kept under its own id");
    this.#open = false;
    const body = memoryBody([concatBytes(this.#chunks)]);
    assert(message.size === body.size, "the size of a message is that of its draft");
    return this.#keep(message, body, options.claim ?? false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false;
    this.#chunks = [];
  }
}
