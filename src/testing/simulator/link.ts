import { concatBytes } from "../../base/index.ts";
import type { ClearStream, Endpoint, NetProblem, Stream, StreamHandler, TlsInfo } from "../../net/index.ts";
import type { Chance } from "./chance.ts";
import type { Life, VirtualLoop } from "./loop.ts";

/** Where a connection breaks. */
export interface Cut {
  /** The way that is counted: from the one who connected ("out") or to it ("back"). */
  readonly way: "out" | "back";
  /** The octets of that way that come through. */
  readonly octets: number;
  /** Who hears of it at once; the others only wait. */
  readonly heard: "both" | "near" | "far" | "none";
}

/** What a connection is like, in both directions. */
export interface LinkConditions {
  /** Milliseconds one way. */
  readonly delay: number;
  /** Milliseconds that may come on top. Nothing is overtaken within a connection. */
  readonly jitter: number;
  /** The part of writes that come in several pieces, 0 to 1. */
  readonly pieces: number;
  /** Octets a millisecond. */
  readonly rate: number;
  readonly cut: Cut | null;
}

/** A message of the simulated TLS handshake. */
export interface HandshakeRecord {
  readonly name: "clientHello" | "serverHello" | "finished" | "alert";
  readonly content: unknown;
}

type Piece =
  | { readonly kind: "octets"; readonly octets: Uint8Array }
  | { readonly kind: "record"; readonly record: HandshakeRecord }
  | { readonly kind: "end" }
  | { readonly kind: "reset" };

/** Octets in flight from which `write` returns false. */
const HIGH_WATER = 65_536;

/** One direction. */
interface Way {
  /** When what was sent last arrives. */
  last: number;
  octets: number;
}

/** A TCP connection in memory, as good or bad as its conditions. */
export class Link {
  readonly near: LinkEnd;
  readonly far: LinkEnd;
  readonly loop: VirtualLoop;
  readonly #conditions: LinkConditions;
  readonly #chance: Chance;
  readonly #out: Way = { last: 0, octets: 0 };
  readonly #back: Way = { last: 0, octets: 0 };
  readonly #over: () => void;
  #broken = false;
  /** Since when the near end can send nothing more: it is gone, or the link is cut. Null while it can. */
  mutedAt: number | null = null;

  constructor(
    parts: {
      readonly loop: VirtualLoop;
      readonly chance: Chance;
      readonly conditions: LinkConditions;
      /** Called once, when both ends are gone. */
      readonly over: () => void;
    },
    near: { readonly end: Endpoint; readonly life: Life },
    far: { readonly end: Endpoint; readonly life: Life },
  ) {
    this.loop = parts.loop;
    this.#chance = parts.chance;
    this.#conditions = parts.conditions;
    this.#over = parts.over;
    this.near = new LinkEnd(this, near.end, far.end, near.life);
    this.far = new LinkEnd(this, far.end, near.end, far.life);
  }

  /** It was cut: nothing comes through any more. */
  get broken(): boolean {
    return this.#broken;
  }

  send(from: LinkEnd, piece: Piece): void {
    if (this.#broken) return;
    const way = from === this.near ? this.#out : this.#back;
    if (piece.kind !== "octets") {
      this.#carry(from, way, piece, 0);
      return;
    }
    const { cut } = this.#conditions;
    const counted = cut !== null && way === (cut.way === "out" ? this.#out : this.#back);
    const room = counted ? cut.octets - way.octets : Number.POSITIVE_INFINITY;
    const octets = piece.octets.length > room ? piece.octets.subarray(0, room) : piece.octets;
    way.octets += octets.length;
    for (const part of this.#split(octets)) this.#carry(from, way, { kind: "octets", octets: part }, part.length);
    if (counted && piece.octets.length >= room) this.cut(cut.heard);
  }

  /** Breaks it now. What was sent before may still come. */
  cut(heard: Cut["heard"]): void {
    if (this.#broken) return;
    this.#broken = true;
    this.mutedAt ??= this.loop.now;
    const { delay } = this.#conditions;
    const ends = heard === "both" ? [this.near, this.far] : heard === "none" ? [] : [this[heard]];
    for (const end of ends) this.loop.after(delay + 1, () => end.arrive({ kind: "reset" }));
  }

  settle(): void {
    if (this.near.gone) this.mutedAt ??= this.loop.now;
    if (this.near.gone && this.far.gone) this.#over();
  }

  #split(octets: Uint8Array): readonly Uint8Array[] {
    if (octets.length < 2 || !this.#chance.is(this.#conditions.pieces)) return octets.length === 0 ? [] : [octets];
    const at = this.#chance.whole(1, octets.length - 1);
    return [octets.subarray(0, at), octets.subarray(at)];
  }

  #carry(from: LinkEnd, way: Way, piece: Piece, octets: number): void {
    const { delay, jitter, rate } = this.#conditions;
    const extra = jitter === 0 ? 0 : this.#chance.between(0, jitter);
    way.last = Math.max(way.last, this.loop.now + delay + extra) + octets / rate;
    const to = from === this.near ? this.far : this.near;
    this.loop.after(way.last - this.loop.now, () => to.arrive(piece));
  }
}

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
    if (this.#pumping) return;
    this.#pump();
    if (this.#inbox.length > 0) this.#pumpSoon();
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
      if (!this.life.alive) return;
      if (this.#pump()) this.#pumpSoon();
    });
  }

  /** Tells one thing; true when there may be another. */
  #pump(): boolean {
    if (this.#records !== null) return this.#pumpRecords(this.#records);
    const handler = this.#handler;
    if (handler === null || this.#toldClose) return false;
    if (this.#gone) {
      this.#toldClose = true;
      handler.closed(this.#problem);
      return false;
    }
    if (this.#wantsDrain && this.unsent === 0) {
      this.#wantsDrain = false;
      handler.drained();
      return true;
    }
    return this.#paused ? false : this.#pumpInbox(handler);
  }

  #pumpInbox(handler: StreamHandler): boolean {
    const piece = this.#inbox.shift();
    if (piece === undefined) return this.#closeWhenOver(handler);
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
    return true;
  }

  #closeWhenOver(handler: StreamHandler): boolean {
    if (!this.#peerEnded || !this.#ended || this.#gone) return false;
    this.#gone = true;
    this.#toldClose = true;
    this.link.settle();
    handler.closed(null);
    return false;
  }

  #pumpRecords(records: (record: HandshakeRecord | "octets" | "closed") => void): boolean {
    if (this.#gone) {
      records("closed");
      return false;
    }
    const piece = this.#inbox.shift();
    if (piece === undefined) return false;
    records(piece.kind === "record" ? piece.record : piece.kind === "octets" ? "octets" : "closed");
    return true;
  }
}

/** A stream over one end. An upgrade makes a second one over the same end. */
export class LinkStream implements Stream {
  readonly linkEnd: LinkEnd;
  readonly tls: TlsInfo | null;

  constructor(end: LinkEnd, tls: TlsInfo | null) {
    this.linkEnd = end;
    this.tls = tls;
  }

  get peer(): Endpoint {
    return this.linkEnd.peer;
  }

  get local(): Endpoint {
    return this.linkEnd.local;
  }

  get unsent(): number {
    return this.linkEnd.unsent;
  }

  attach(handler: StreamHandler): void {
    this.linkEnd.attach(handler);
  }

  write(bytes: Uint8Array): boolean {
    return this.linkEnd.write(bytes);
  }

  pause(): void {
    this.linkEnd.pause();
  }

  resume(): void {
    this.linkEnd.resume();
  }

  end(): void {
    this.linkEnd.end();
  }

  destroy(): void {
    this.linkEnd.destroy();
  }

  cork(): void {
    this.linkEnd.cork();
  }

  uncork(): void {
    this.linkEnd.uncork();
  }
}

/** A stream before any TLS. */
export class ClearLinkStream extends LinkStream implements ClearStream {
  override readonly tls = null;

  constructor(end: LinkEnd) {
    super(end, null);
  }
}
