import type { ClearStream, Endpoint, StreamHandler } from "../net/index.ts";

export interface MemoryStreamOptions {
  /** Cuts what one side wrote into the pieces in which the other gets it; default: as written. */
  readonly chunk?: (bytes: Uint8Array) => readonly Uint8Array[];
  /** Octets in flight from which on `write` returns false; default 64 KiB. */
  readonly highWater?: number;
  /** The endpoints of the first stream's side and of the second's. */
  readonly ends?: readonly [Endpoint, Endpoint];
}

const DEFAULT_HIGH_WATER = 65_536;
const DEFAULT_ENDS: readonly [Endpoint, Endpoint] = [
  { address: "192.0.2.1", port: 40_000 },
  { address: "192.0.2.2", port: 25 },
];

/**
 * Two streams that are each other's peer, without a socket: each event comes in a microtask of its own, never inside the call
 * that caused it. Pausing, half-close and back-pressure are as on a socket. They cannot be upgraded to TLS.
 */
export function memoryStreamPair(options: MemoryStreamOptions = {}): readonly [ClearStream, ClearStream] {
  const [firstEnd, secondEnd] = options.ends ?? DEFAULT_ENDS;
  const chunk = options.chunk ?? ((bytes) => [bytes]);
  const highWater = options.highWater ?? DEFAULT_HIGH_WATER;
  const first = new MemoryStream(firstEnd, secondEnd, chunk, highWater);
  const second = new MemoryStream(secondEnd, firstEnd, chunk, highWater);
  first.join(second);
  second.join(first);
  return [first, second];
}

class MemoryStream implements ClearStream {
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly tls = null;
  readonly #chunk: (bytes: Uint8Array) => readonly Uint8Array[];
  readonly #highWater: number;
  #other: MemoryStream | null = null;
  #handler: StreamHandler | null = null;
  #paused = false;
  /** What the other side wrote and our handler has not had. */
  readonly #inbox: Uint8Array[] = [];
  #inboxOctets = 0;
  /** Written here while corked. */
  #corks = 0;
  readonly #held: Uint8Array[] = [];
  #heldOctets = 0;
  #wantsDrain = false;
  #ended = false;
  #otherEnded = false;
  #toldEnd = false;
  #destroyed = false;
  #reset = false;
  #toldClose = false;
  #scheduled = false;

  constructor(local: Endpoint, peer: Endpoint, chunk: (bytes: Uint8Array) => readonly Uint8Array[], highWater: number) {
    this.local = local;
    this.peer = peer;
    this.#chunk = chunk;
    this.#highWater = highWater;
  }

  join(other: MemoryStream): void {
    this.#other = other;
  }

  attach(handler: StreamHandler): void {
    this.#handler = handler;
    this.#schedule();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#ended || this.#destroyed) return false;
    if (this.#corks > 0) {
      this.#held.push(bytes);
      this.#heldOctets += bytes.length;
    } else this.#send(bytes);
    if (this.unsent < this.#highWater) return true;
    this.#wantsDrain = true;
    return false;
  }

  get unsent(): number {
    return this.#heldOctets + (this.#other?.waiting ?? 0);
  }

  /** Octets that came and were not yet handed over. */
  get waiting(): number {
    return this.#inboxOctets;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#ended || this.#destroyed) return;
    this.#corks = 0;
    this.#flush();
    this.#ended = true;
    this.#paused = false;
    this.#other?.peerEnded();
    this.#schedule();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#inbox.length = 0;
    this.#inboxOctets = 0;
    // As on a socket: the other side still reads what was sent, then the end; a reset comes to it when it writes.
    this.#other?.peerEnded();
    this.#schedule();
  }

  cork(): void {
    this.#corks += 1;
  }

  uncork(): void {
    if (this.#corks === 0) return;
    this.#corks -= 1;
    if (this.#corks === 0) this.#flush();
  }

  #flush(): void {
    const held = this.#held.splice(0);
    this.#heldOctets = 0;
    for (const bytes of held) this.#send(bytes);
  }

  #send(bytes: Uint8Array): void {
    const other = this.#other;
    if (other === null || bytes.length === 0) return;
    // A copy: as on a socket, what the writer does to the array afterwards must not matter to the reader.
    for (const piece of this.#chunk(new Uint8Array(bytes))) other.receive(piece);
  }

  receive(bytes: Uint8Array): void {
    if (this.#destroyed) {
      this.#other?.fail();
      return;
    }
    this.#inbox.push(bytes);
    this.#inboxOctets += bytes.length;
    this.#schedule();
  }

  /** The other side ended or destroyed its stream. */
  peerEnded(): void {
    this.#otherEnded = true;
    this.#schedule();
  }

  /** We wrote to a peer that is gone. */
  fail(): void {
    if (this.#destroyed) return;
    this.#reset = true;
    this.#destroyed = true;
    this.#schedule();
  }

  /** The other side took octets of ours. */
  taken(): void {
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#handler === null) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#handler !== null && this.#tellNext(this.#handler)) this.#schedule();
    });
  }

  /** Tells the handler one thing; true when there may be another. */
  #tellNext(handler: StreamHandler): boolean {
    if (this.#toldClose) return false;
    if (this.#destroyed) {
      this.#toldClose = true;
      handler.closed(this.#reset ? { kind: "reset", detail: "the peer is gone" } : null);
      return false;
    }
    if (this.#wantsDrain && this.unsent === 0) {
      this.#wantsDrain = false;
      handler.drained();
      return true;
    }
    if (this.#paused) return false;
    const bytes = this.#inbox.shift();
    if (bytes !== undefined) {
      this.#inboxOctets -= bytes.length;
      this.#other?.taken();
      handler.data(bytes);
      return true;
    }
    if (!this.#otherEnded) return false;
    if (!this.#toldEnd) {
      this.#toldEnd = true;
      handler.ended();
      return true;
    }
    if (this.#ended) this.#destroyed = true;
    return this.#ended;
  }
}
