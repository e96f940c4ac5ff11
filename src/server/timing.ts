import { type Clock, type Instant, later } from "../base/index.ts";
import type { ServerLimits } from "./limits.ts";

/** Since when a peer keeps us waiting, and until when it may. See `ServerLimits` for each bound. */
export class Timing {
  readonly #clock: Clock;
  readonly #limits: ServerLimits;
  #command: Instant;
  #progress: Instant;
  #block: Instant;
  /** The session last came nearer to a message taken, or a body began. */
  #body: Instant;
  #question: Instant;

  constructor(clock: Clock, limits: ServerLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#command = this.#progress = this.#block = this.#body = this.#question = clock.now();
  }

  /** A command came whole, or its reply was decided: the wait for the next one begins. */
  commandDone(): void {
    this.#command = this.#clock.now();
  }

  /** The session came nearer to a message taken. */
  progressed(): void {
    this.#command = this.#progress = this.#block = this.#body = this.#clock.now();
  }

  /** The policy was asked and has to think. */
  asked(): void {
    this.#question = this.#clock.now();
  }

  /** A piece of the body came. */
  blockCame(): void {
    this.#block = this.#clock.now();
  }

  /** How long to wait for a command. */
  get commandDeadline(): Instant {
    return earlier(later(this.#command, this.#limits.command), later(this.#progress, this.#limits.idle));
  }

  /** How long to wait for the policy, or for a sink with the piece of the body that came last: the end of it if it is `finishing`. */
  serviceDeadline(finishing: boolean): Instant {
    if (finishing) return later(this.#block, this.#limits.finish);
    return later(this.#question > this.#block ? this.#question : this.#block, this.#limits.service);
  }

  /** The octets of a chunk come; `first`: a body begins with it, or it is nothing. */
  chunkBegan(first: boolean): void {
    this.#block = this.#clock.now();
    if (first) this.#body = this.#block;
  }

  /** How long to wait for more of a body of which `received` octets came. */
  bodyDeadline(received: number): Instant {
    return earlier(later(this.#block, this.#limits.bodyBlock), this.#wholeBody(received));
  }

  /** How long to wait for the next chunk of a body of which `received` octets came. */
  chunkDeadline(received: number): Instant {
    return earlier(later(this.#command, this.#limits.command), this.#wholeBody(received));
  }

  #wholeBody(received: number): Instant {
    return later(this.#body, this.#limits.body + (received / this.#limits.bodyRate) * 1000);
  }
}

function earlier(a: Instant, b: Instant): Instant {
  return a < b ? a : b;
}
