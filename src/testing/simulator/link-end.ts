import { concatBytes } from "../../base/index.ts";
import type { Endpoint, NetProblem, StreamHandler } from "../../net/index.ts";
import type { Link } from "./link.ts";
import type { Life } from "./loop.ts";

/** A message of the simulated TLS handshake. */
export interface HandshakeRecord {
  readonly name: "clientHello" | "serverHello" | "finished" | "alert";
  readonly content: unknown;
}

/** What travels on a link. */
export type Piece =
  | { readonly kind: "octets"; readonly octets: Uint8Array }
  | { readonly kind: "record"; readonly record: HandshakeRecord }
  | { readonly kind: "end" }
  | { readonly kind: "reset" };

/** Octets in flight from which `write` returns false. */
const HIGH_WATER = 65_536;

/** One end of a link, under the streams that are made of it: the clear-text one, and the one inside TLS. */
export class LinkEnd {
  readonly link: Link;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly life: Life;
  /** Octets written here, and octets that the handler here was given, since the beginning. */
  written = 0;
  handed = 0;
  /** Sees what is written here; `from`: the octets written before. */
  watch: ((octets: Uint8Array, from: number) => void) | null = null;
  #handler: StreamHandler | null = null;
  #records: ((record: HandshakeRecord | "octets" | "closed") => void) | null = null;
  #paused = false;
  readonly #inbox: Piece[] = [];
  #corks = 0;
  #held: Uint8Array[] = [];
  #wantsDrain = false;
  #ended = false;
  #peerEnded = false;
  #gone = false;
  #problem: NetProblem | null = null;
  #toldClose = false;
  #pumping = false;

  constructor(link: Link, local: Endpoint, peer: Endpoint, life: Life) {
    this.link = link;
    this.local = local;
    this.peer = peer;
    this.life = life;
    life.onEnd(() => this.#die());
  }

  get gone(): boolean {
    return this.#gone;
  }

  get other(): LinkEnd {
    return this.link.near === this ? this.link.far : this.link.near;
  }

  get unsent(): number {
    return this.written - this.other.handed;
  }

  /** Octets, or a record, that came and nobody took. */
  get waiting(): boolean {
    return this.#inbox.length > 0;
  }

  attach(handler: StreamHandler): void {
    this.#handler = handler;
    this.#pumpSoon();
  }

  write(octets: Uint8Array): boolean {
    if (this.#ended || this.#gone) return false;
    this.watch?.(octets, this.written);
    this.written += octets.length;
    if (this.#corks > 0) {
      this.#held.push(octets);
    } else this.link.send(this, { kind: "octets", octets });
    if (this.unsent < HIGH_WATER) return true;
    this.#wantsDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#pumpSoon();
  }

  end(): void {
    if (this.#ended || this.#gone) return;
    this.#corks = 0;
    this.#flush();
    this.#ended = true;
    this.#paused = false;
    this.link.send(this, { kind: "end" });
    this.#pumpSoon();
  }

  destroy(): void {
    if (this.#gone) return;
    this.#leave(null);
    if (!this.#ended) this.link.send(this, { kind: "end" });
    this.#ended = true;
  }

  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    if (this.#corks > 0 && --this.#corks === 0) this.#flush();
  }

  /** Sends a record of a handshake, and takes those that come from now on. */
  handshake(records: (record: HandshakeRecord | "octets" | "closed") => void): void {
    this.#handler = null;
    this.#paused = false;
    this.#records = records;
    this.#pumpSoon();
  }

  sendRecord(record: HandshakeRecord): void {
    if (!this.#gone) this.link.send(this, { kind: "record", record });
  }

  /** The handshake is over; what comes next waits for `attach`. */
  handshakeOver(): void {
    this.#records = null;
    this.#corks = 0;
  }

  arrive(piece: Piece): void {
    if (!this.life.alive) {
      // The machine answers for a program that is no more.
      if (piece.kind === "octets") this.link.send(this, { kind: "reset" });
      return;
    }
    if (this.#gone) {
      if (piece.kind === "octets") this.link.send(this, { kind: "reset" });
      return;
    }
    if (piece.kind === "reset") {
      this.#leave({ kind: "reset", detail: "the connection was reset" });
      return;
    }
    this.#inbox.push(piece);
    if (!this.#pumping) this.#pumpNow();
  }

  /** The other handed over octets of ours. */
  taken(): void {
    if (this.#wantsDrain) this.#pumpSoon();
  }

  #flush(): void {
    if (this.#held.length === 0) return;
    const octets = concatBytes(this.#held);
    this.#held = [];
    this.link.send(this, { kind: "octets", octets });
  }

  #leave(problem: NetProblem | null): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#problem = problem;
    this.#inbox.length = 0;
    this.#pumpSoon();
    this.link.settle();
  }

  #die(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#handler = null;
    this.#records = null;
    this.#inbox.length = 0;
    this.link.settle();
  }

  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.link.loop.after(0, () => {
      this.#pumping = false;
      if (this.life.alive) this.#pumpNow();
    });
  }

  #pumpNow(): void {
    this.#pump();
    if (this.#hasMore()) this.#pumpSoon();
  }

  #hasMore(): boolean {
    if (this.#records !== null) return this.#gone || this.#inbox.length > 0;
    if (this.#handler === null || this.#toldClose) return false;
    if (this.#gone || (this.#wantsDrain && this.unsent === 0)) return true;
    return !this.#paused && (this.#inbox.length > 0 || (this.#peerEnded && this.#ended));
  }

  /** Tells one thing. */
  #pump(): void {
    if (this.#records !== null) {
      this.#pumpRecords(this.#records);
      return;
    }
    const handler = this.#handler;
    if (handler === null || this.#toldClose) return;
    if (this.#gone) {
      this.#toldClose = true;
      handler.closed(this.#problem);
    } else if (this.#wantsDrain && this.unsent === 0) {
      this.#wantsDrain = false;
      handler.drained();
    } else if (!this.#paused) this.#pumpInbox(handler);
  }

  #pumpInbox(handler: StreamHandler): void {
    const piece = this.#inbox.shift();
    if (piece === undefined) {
      this.#closeWhenOver(handler);
      return;
    }
    switch (piece.kind) {
      case "octets":
        this.handed += piece.octets.length;
        this.other.taken();
        handler.data(piece.octets);
        break;
      case "record":
        // What a handshake looks like to somebody who expects none.
        handler.data(Uint8Array.of(0x16, 0x03, 0x01, 0x00, 0x00));
        break;
      case "end":
        this.#peerEnded = true;
        handler.ended();
        break;
      case "reset":
        break;
    }
  }

  #closeWhenOver(handler: StreamHandler): void {
    if (!this.#peerEnded || !this.#ended || this.#gone) return;
    this.#gone = true;
    this.#toldClose = true;
    this.link.settle();
    handler.closed(null);
  }

  #pumpRecords(records: (record: HandshakeRecord | "octets" | "closed") => void): void {
    if (this.#gone) {
      this.#records = null;
      records("closed");
      return;
    }
    const piece = this.#inbox.shift();
    if (piece === undefined) return;
    records(piece.kind === "record" ? piece.record : piece.kind === "octets" ? "octets" : "closed");
  }
}
