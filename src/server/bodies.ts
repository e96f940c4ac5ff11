import { type BareNewlines, ChunkDecoder, DataDecoder, type DataOptions } from "../smtp/index.ts";
import { type BodyEnd, BodyReceiver } from "./body-receiver.ts";
import type { ServerLimits } from "./limits.ts";
import type { MessageSink } from "./policy.ts";
import type { Chunk, Event } from "./state.ts";

export interface BodiesOptions {
  readonly bareNewlines: BareNewlines;
  readonly limits: Pick<ServerLimits, "textLine" | "discard">;
  /** The sink that the policy opened; called once for each message. */
  readonly takeSink: () => MessageSink;
  /** Told of what a sink threw. */
  readonly failed: (error: unknown) => void;
  /** A sink let go again after `waiting` was true. */
  readonly resumed: () => void;
  /** Called when `active` is over: what to tell the session, and the octets that stood behind. */
  readonly ended: (event: Event, rest: readonly Uint8Array[]) => void;
}

/** What is nothing to anybody: the octets of a refused chunk. */
const nowhere: MessageSink = {
  write() {},
  finish() {
    throw new Error("what is skipped is never finished");
  },
  abort() {},
};

/** The bodies of one exchange, one after the other; of a message that comes in chunks the receiver is kept between them. */
export class Bodies {
  readonly #options: BodiesOptions;
  readonly #text: DataOptions;
  #active: BodyReceiver | null = null;
  #parked: BodyReceiver | null = null;

  constructor(options: BodiesOptions) {
    this.#options = options;
    this.#text = { bareNewlines: options.bareNewlines, maxLine: options.limits.textLine };
  }

  /** What octets go to now; null while commands are awaited. */
  get active(): BodyReceiver | null {
    return this.#active;
  }

  /** Octets received of the message whose next chunk is awaited; null where there is none. */
  get parked(): number | null {
    return this.#parked?.received ?? null;
  }

  /** A body comes by DATA. */
  receive(maxSize: number): void {
    this.#active = this.#create(this.#options.takeSink(), new DataDecoder(this.#text), maxSize);
  }

  /** A chunk comes, beginning with `pieces`; the first one opens the sink. */
  receiveChunk(chunk: Chunk, binary: boolean, maxSize: number, pieces: readonly Uint8Array[]): void {
    const receiver =
      this.#parked ?? this.#create(this.#options.takeSink(), new ChunkDecoder(binary ? null : this.#text), maxSize);
    this.#parked = null;
    this.#active = receiver;
    receiver.pushChunk(chunk, pieces);
  }

  /** Octets come that mean nothing, beginning with `pieces`. */
  skip(octets: number, pieces: readonly Uint8Array[]): void {
    this.#active = this.#create(nowhere, new ChunkDecoder(null), octets);
    this.#active.pushChunk({ size: octets, last: false }, pieces);
  }

  /** The message that waits for its next chunk will get none. */
  drop(): void {
    this.#parked?.abort();
    this.#parked = null;
  }

  abort(): void {
    this.drop();
    this.#active?.abort();
    this.#active = null;
  }

  #create(sink: MessageSink, decoder: DataDecoder | ChunkDecoder, maxSize: number): BodyReceiver {
    const { failed, resumed, limits } = this.#options;
    const receiver: BodyReceiver = new BodyReceiver({
      sink,
      decoder,
      maxSize,
      discard: limits.discard,
      failed,
      resumed,
      ended: (end, rest) => {
        this.#active = null;
        if (end.kind === "chunk" && sink !== nowhere) this.#parked = receiver;
        this.#options.ended(bodyEvent(end), rest);
      },
    });
    return receiver;
  }
}

/** What the session is told of the end of a body. */
function bodyEvent(end: BodyEnd): Event {
  switch (end.kind) {
    case "taken":
      return { kind: "bodyTaken", reply: end.reply };
    case "chunk":
      return { kind: "chunkCame" };
    case "refused":
      return { kind: "bodyRefused", problem: end.problem };
    case "endless":
      return { kind: "bodyEndless" };
  }
}
