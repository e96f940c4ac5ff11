import type { MessageSink } from "../server/index.ts";
import type { Reply } from "../smtp/index.ts";
import { REPLIES } from "./replies.ts";

export interface LimitedMessageOptions {
  readonly sink: MessageSink;
  /** Octets of the largest message; null: as the service has it. */
  readonly largest: number | null;
  /** The message was taken. */
  readonly taken: () => void;
  /** It was taken or it was not; called after `taken`, once. */
  readonly over: () => void;
}

/** Holds a message to its user's size, and tells whether it was taken. */
export class LimitedMessage implements MessageSink {
  readonly #options: LimitedMessageOptions;
  #size = 0;
  #tooLarge = false;

  constructor(options: LimitedMessageOptions) {
    this.#options = options;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#tooLarge) return; // The rest is passed over; the refusal can only follow it.
    const { sink, largest } = this.#options;
    this.#size += chunk.length;
    if (largest === null || this.#size <= largest) return sink.write(chunk);
    this.#tooLarge = true;
    return sink.abort();
  }

  get copies(): boolean {
    return this.#tooLarge || this.#options.sink.copies === true;
  }

  async finish(): Promise<Reply | readonly Reply[]> {
    const { sink, taken, over } = this.#options;
    try {
      if (this.#tooLarge) return REPLIES.messageTooLarge;
      const answer = await sink.finish();
      const replies: readonly Reply[] = "code" in answer ? [answer] : answer;
      if (replies.some(({ code }) => code >= 200 && code < 300)) taken();
      return answer;
    } finally {
      over();
    }
  }

  abort(): void | Promise<void> {
    this.#options.over();
    if (!this.#tooLarge) return this.#options.sink.abort();
  }
}
