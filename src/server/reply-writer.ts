import { type Clock, concatBytes, later, type Timer } from "../base/index.ts";
import type { Stream } from "../net/index.ts";
import { formatReply, type Reply } from "../smtp/index.ts";
import { Deadline, soon } from "./deadline.ts";

/** Replies held back for one write, at most so many octets. */
const MAX_HELD = 16_384;

/**
 * Sends the replies of a pipelined group in one write (RFC 2920 §3.2). While the peer does not read, `blocked` is true and
 * nobody may add more; a peer that goes on not reading for `patience` milliseconds is given up.
 */
export class ReplyWriter {
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #patience: number;
  readonly #giveUp: () => void;
  /** Made for a peer that does not read: few ever need it. */
  #deadline: Deadline | null = null;
  #held: Uint8Array[] = [];
  #octets = 0;
  #blocked = false;
  #soon: Timer | null = null;

  constructor(stream: Stream, clock: Clock, patience: number, giveUp: () => void) {
    this.#stream = stream;
    this.#clock = clock;
    this.#patience = patience;
    this.#giveUp = giveUp;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  add(reply: Reply): void {
    const bytes = formatReply(reply);
    this.#held.push(bytes);
    this.#octets += bytes.length;
    if (this.#octets >= MAX_HELD) this.flush();
  }

  /** What else comes within this turn of the event loop shares the write with what is held back. */
  flushSoon(): void {
    if (this.#octets > 0) this.#soon ??= soon(this.#clock, () => this.flush());
  }

  flush(): void {
    this.#soon?.cancel();
    this.#soon = null;
    if (this.#octets === 0) return;
    const bytes = concatBytes(this.#held);
    this.#held = [];
    this.#octets = 0;
    if (this.#stream.write(bytes) || this.#blocked) return;
    this.#blocked = true;
    this.#deadline ??= new Deadline(this.#clock, this.#giveUp);
    this.#deadline.set(later(this.#clock.now(), this.#patience));
  }

  drained(): void {
    this.#blocked = false;
    this.#deadline?.clear();
  }

  cancel(): void {
    this.#soon?.cancel();
    this.#deadline?.cancel();
  }
}
