import { assert, EMPTY } from "../base/index.ts";
import { ChunkDecoder, type DataDecoder, type DataProblem, type Reply } from "../smtp/index.ts";
import type { MessageSink } from "./policy.ts";
import type { Chunk } from "./state.ts";

/** How a body ended, or a piece of it. */
export type BodyEnd =
  | { readonly kind: "taken"; readonly reply: Reply | readonly Reply[] }
  /** A chunk is whole that is not the last. */
  | { readonly kind: "chunk" }
  | { readonly kind: "refused"; readonly problem: DataProblem | "tooBig" | "failed" }
  /** The end of a refused body did not come within `discard` octets. */
  | { readonly kind: "endless" };

export interface BodyOptions {
  readonly sink: MessageSink;
  /** Finds the end: of a body that comes by DATA, or of a chunk. */
  readonly decoder: DataDecoder | ChunkDecoder;
  /** Octets of the decoded body. */
  readonly maxSize: number;
  /** Octets read past `maxSize` in search of the end. */
  readonly discard: number;
  /** Told of what the sink threw. */
  readonly failed: (error: unknown) => void;
  /** The sink lets go again after `push` returned with `waiting` true. */
  readonly resumed: () => void;
  /** Called once for the body, unless aborted, and once for each chunk before its last. `rest` is what stood behind. */
  readonly ended: (end: BodyEnd, rest: readonly Uint8Array[]) => void;
}

/** Octets of one input below which its memory is left to the collector. */
const LEAST_RELEASED = 4096;

/**
 * Carries one body from the octets of the peer to the sink. A promise of the sink holds everything up: what was pushed waits
 * here, and `waiting` asks the caller to push no more. A body found bad is aborted at once and read to its end in
 * vain, so that the reply comes where the client looks for it (RFC 5321 §4.1.1.4) and no octet of it becomes a command.
 */
export class BodyReceiver {
  readonly #options: BodyOptions;
  readonly #decoder: DataDecoder | ChunkDecoder;
  /** The end that is looked for is that of the body. */
  #last = true;
  #input: Uint8Array[] = [];
  #chunks: readonly Uint8Array[] = [];
  #nextChunk = 0;
  /** The input that `#chunks` show, where the sink keeps nothing of it. */
  #lent: Uint8Array | null = null;
  #rest: Uint8Array | null = null;
  #problem: DataProblem | "tooBig" | "failed" | null = null;
  #received = 0;
  #waiting = false;
  #flushed = false;
  #over = false;

  constructor(options: BodyOptions) {
    this.#options = options;
    this.#decoder = options.decoder;
  }

  /** True while a promise of the sink is open. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** True while the sink is to say what became of the whole body. */
  get finishing(): boolean {
    return this.#waiting && this.#over;
  }

  /** Octets received so far, end mark and stuffing included. */
  get received(): number {
    return this.#received;
  }

  /** A chunk of the body comes, beginning with `pieces`. */
  pushChunk({ size, last }: Chunk, pieces: readonly Uint8Array[]): void {
    assert(this.#decoder instanceof ChunkDecoder, "chunks have a decoder of their own");
    this.#decoder.begin(size);
    this.#last = last;
    for (const piece of pieces) this.#received += piece.length;
    this.#input.push(...pieces);
    this.#run();
  }

  push(bytes: Uint8Array): void {
    this.#received += bytes.length;
    this.#input.push(bytes);
    this.#run();
  }

  /** The body will not be completed. Harmless when it already was. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#problem === null) this.#abortSink();
  }

  #run(): void {
    while (!this.#waiting && !this.#over) {
      const chunk = this.#chunks[this.#nextChunk];
      if (chunk !== undefined) {
        this.#nextChunk++;
        this.#give(chunk);
      } else if (this.#rest !== null) {
        if (!this.#flushed && this.#last && this.#decoder instanceof ChunkDecoder) this.#flush(this.#decoder);
        else {
          this.#finish(this.#rest);
          return;
        }
      } else {
        this.#release();
        const input = this.#input.shift();
        if (input === undefined) return;
        this.#decode(input);
      }
    }
  }

  #decode(input: Uint8Array): void {
    const { body, rest } = this.#decoder.push(input);
    this.#rest = rest;
    if (rest === null && this.#options.sink.copies === true) this.#lent = input;
    this.#take(body);
    const endless = this.#received > this.#options.maxSize + this.#options.discard;
    // A body of nothing but stuffed dots is twice its decoded size and still good: only a spoiled one can be endless.
    if (endless && rest === null && this.#problem !== null) this.#end({ kind: "endless" }, EMPTY);
  }

  /** Frees what the sink has copied, where the memory is of some size and holds nothing else. */
  #release(): void {
    const lent = this.#lent;
    this.#lent = null;
    if (lent === null || lent.length < LEAST_RELEASED || lent.length !== lent.buffer.byteLength) return;
    if (lent.buffer instanceof ArrayBuffer) lent.buffer.transfer(0);
  }

  /** What a decoder holds back until no chunk can follow any more. */
  #flush(decoder: ChunkDecoder): void {
    this.#flushed = true;
    this.#take(decoder.end());
  }

  #take(body: readonly Uint8Array[]): void {
    this.#chunks = body;
    this.#nextChunk = 0;
    const problem = this.#decoder.size > this.#options.maxSize ? "tooBig" : this.#decoder.problem;
    if (problem !== null) this.#spoil(problem);
  }

  #give(chunk: Uint8Array): void {
    if (this.#problem !== null) return;
    try {
      const pending = this.#options.sink.write(chunk);
      if (pending === undefined) return;
      this.#waiting = true;
      pending.then(
        () => this.#resume(),
        (error: unknown) => this.#resume({ error }),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #resume(failure?: { readonly error: unknown }): void {
    this.#waiting = false;
    if (failure !== undefined) this.#fail(failure.error);
    if (this.#over) return;
    this.#run();
    if (!this.#waiting && !this.#over) this.#options.resumed();
  }

  #finish(rest: Uint8Array): void {
    if (this.#problem !== null) {
      this.#end({ kind: "refused", problem: this.#problem }, rest);
      return;
    }
    if (!this.#last) {
      this.#rest = null;
      this.#options.ended({ kind: "chunk" }, this.#behind(rest));
      return;
    }
    // From here on the sink is finished: no abort may follow, whatever becomes of the peer.
    this.#over = true;
    const taken = (reply: Reply | readonly Reply[]) =>
      this.#options.ended({ kind: "taken", reply }, this.#behind(rest));
    const failed = (error: unknown) => {
      this.#options.failed(error);
      this.#options.ended({ kind: "refused", problem: "failed" }, this.#behind(rest));
    };
    let reply: ReturnType<MessageSink["finish"]>;
    try {
      reply = this.#options.sink.finish();
    } catch (error) {
      failed(error);
      return;
    }
    if (!("then" in reply)) {
      taken(reply);
      return;
    }
    this.#waiting = true;
    const settle = <T>(next: (value: T) => void) => {
      return (value: T) => {
        this.#waiting = false;
        next(value);
      };
    };
    reply.then(settle(taken), settle(failed));
  }

  #end(end: BodyEnd, rest: Uint8Array): void {
    this.#over = true;
    this.#options.ended(end, this.#behind(rest));
  }

  /** What stood behind the end, and what came since. */
  #behind(rest: Uint8Array): readonly Uint8Array[] {
    const input = this.#input;
    this.#input = [];
    return [rest, ...input];
  }

  #fail(error: unknown): void {
    this.#options.failed(error);
    this.#spoil("failed");
  }

  /** The first problem decides; nothing more goes to the sink. */
  #spoil(problem: DataProblem | "tooBig" | "failed"): void {
    if (this.#problem !== null) return;
    this.#problem = problem;
    if (!this.#over) this.#abortSink();
  }

  #abortSink(): void {
    const { sink, failed } = this.#options;
    try {
      sink.abort()?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
