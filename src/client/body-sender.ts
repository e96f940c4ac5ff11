import type { Connection } from "./connection.ts";
import type { OutgoingBody } from "./types.ts";

/** Turns a body into what goes over the wire. */
export interface BodyEncoder {
  push(bytes: Uint8Array): readonly Uint8Array[];
  /** Octets pushed that have not been given out. */
  readonly held: number;
  /** The end mark, or the last chunk. */
  end(): readonly Uint8Array[];
}

export interface BodySenderOptions {
  readonly connection: Connection;
  readonly body: OutgoingBody;
  readonly encoder: BodyEncoder;
  /** True while the next octets must wait for a reply to those before (BDAT without PIPELINING). Default: never. */
  readonly held?: () => boolean;
  /** Called right before the end mark is written. */
  readonly onEnd: () => void;
  /** The source threw. */
  readonly onFailure: (reason: unknown) => void;
}

/** What is wrong with a body that is over after `octets`: one cut short must not pass for the message. Null for nothing. */
export function shortfall({ size }: OutgoingBody, octets: number): Error | null {
  if (size === null || octets >= size) return null;
  return new Error(`the body has ${octets} octets where ${size} were promised`);
}

type Step = IteratorResult<Uint8Array>;

/**
 * Sends one body with its end mark: takes a chunk from the source when the connection has room for it, so that what is held is
 * one chunk and the stream's own buffer. Where the source answers at once, no promise is made.
 */
export class BodySender {
  readonly #options: BodySenderOptions;
  readonly #source: Iterator<Uint8Array> | AsyncIterator<Uint8Array>;
  #octets = 0;
  /** Chunks that the stream may still hold, each with where it ends in the body. */
  readonly #lent: { readonly chunk: Uint8Array; readonly end: number }[] = [];
  #state: "sending" | "full" | "waiting" | "over" = "sending";

  constructor(options: BodySenderOptions) {
    this.#options = options;
    const chunks = options.body.chunks();
    this.#source = Symbol.iterator in chunks ? chunks[Symbol.iterator]() : chunks[Symbol.asyncIterator]();
  }

  start(): void {
    this.#options.connection.beginBody();
    this.#options.connection.cork();
    this.#run();
  }

  /** The connection has room again. */
  drained(): void {
    const { connection, held } = this.#options;
    this.#release();
    if (this.#state !== "full" || held?.() === true) return;
    connection.rearm();
    connection.cork();
    this.#state = "sending";
    this.#run();
  }

  /** Sends nothing more, not even the end mark, and lets the source go. */
  stop(): void {
    if (this.#state === "over") return;
    const { connection } = this.#options;
    if (this.#state === "sending" || this.#corked) connection.uncork();
    this.#state = "over";
    this.#letGo();
  }

  get #corked(): boolean {
    return this.#state === "waiting" && this.#expectsEnd;
  }

  /** All octets announced are through: the source's next answer should be that it is done. */
  get #expectsEnd(): boolean {
    return this.#octets === this.#options.body.size;
  }

  #run(): void {
    while (this.#state === "sending") {
      let step: Step | Promise<Step>;
      try {
        step = this.#source.next();
      } catch (reason) {
        this.#fail(reason);
        return;
      }
      if (!(step instanceof Promise)) {
        this.#take(step);
        continue;
      }
      // What was written leaves now, unless the end mark is all that is missing: then both leave in one packet.
      if (!this.#expectsEnd) this.#options.connection.uncork();
      this.#state = "waiting";
      step.then(
        (settled) => this.#resume(settled),
        (reason: unknown) => this.#fail(reason),
      );
    }
  }

  #resume(step: Step): void {
    if (this.#state !== "waiting") return;
    this.#release();
    if (!this.#corked) this.#options.connection.cork();
    this.#state = "sending";
    this.#take(step);
    this.#run();
  }

  #take(step: Step): void {
    const { body, connection, encoder, held, onEnd } = this.#options;
    if (step.done === true) {
      const short = shortfall(body, this.#octets);
      if (short !== null) {
        this.#fail(short);
        return;
      }
      this.#state = "over";
      onEnd();
      for (const piece of encoder.end()) connection.write(piece);
      connection.uncork();
      return;
    }
    this.#octets += step.value.length;
    if (body.release !== undefined) this.#lent.push({ chunk: step.value, end: this.#octets });
    let room = true;
    for (const piece of encoder.push(step.value)) room = connection.write(piece);
    if (room && held?.() !== true) return;
    this.#state = "full";
    connection.uncork();
    connection.arm("body");
  }

  /** Gives back what has gone to the kernel. */
  #release(): void {
    const { body, connection, encoder } = this.#options;
    if (this.#lent.length === 0 || connection.unsent > 0) return;
    const gone = this.#octets - encoder.held;
    for (let first = this.#lent[0]; first !== undefined && first.end <= gone; first = this.#lent[0]) {
      this.#lent.shift();
      body.release?.(first.chunk);
    }
  }

  #fail(reason: unknown): void {
    if (this.#state === "over") return;
    this.stop();
    this.#options.onFailure(reason);
  }

  /** A source that was not read to its end may hold a file or a lock. */
  #letGo(): void {
    try {
      const returned = this.#source.return?.();
      if (returned instanceof Promise) returned.catch(() => {});
    } catch {
      // The message is not sent whatever the source says now.
    }
  }
}
