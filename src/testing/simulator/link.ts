import type { Endpoint } from "../../net/index.ts";
import type { Chance } from "./chance.ts";
import { LinkEnd, type Piece } from "./link-end.ts";
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
  /** The part of writes that are lost on their way and come late, when they were sent again, 0 to 1. */
  readonly stalls: number;
  /** The part of writes that come in several pieces, 0 to 1. */
  readonly pieces: number;
  /** Octets a millisecond. */
  readonly rate: number;
  readonly cut: Cut | null;
}

/** Milliseconds. */
const LONGEST_STALL = 3000;

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
  readonly #broke: (heard: Cut["heard"]) => void;
  readonly #sent: (from: LinkEnd, arrival: number) => void;
  readonly openedAt: number;
  #broken = false;
  /** Since when the near end can send nothing more: it is gone, or the link is cut. Null while it can. */
  mutedAt: number | null = null;

  constructor(
    parts: {
      readonly loop: VirtualLoop;
      readonly chance: Chance;
      readonly conditions: LinkConditions;
      /** Told of a cut, and who hears of it. */
      readonly broke?: (heard: Cut["heard"]) => void;
      /** Told of octets that were sent, and when they arrive. */
      readonly sent?: (from: LinkEnd, arrival: number) => void;
      /** Called once, when both ends are gone. */
      readonly over: () => void;
    },
    near: { readonly end: Endpoint; readonly life: Life },
    far: { readonly end: Endpoint; readonly life: Life },
  ) {
    this.loop = parts.loop;
    this.openedAt = parts.loop.now;
    this.#chance = parts.chance;
    this.#conditions = parts.conditions;
    this.#over = parts.over;
    this.#broke = parts.broke ?? (() => {});
    this.#sent = parts.sent ?? (() => {});
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
    this.#broke(heard);
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
    const { delay, jitter, stalls, rate } = this.#conditions;
    const stalled = stalls > 0 && octets > 0 && this.#chance.is(stalls) ? LONGEST_STALL : 0;
    const most = jitter + stalled;
    const extra = most === 0 ? 0 : this.#chance.between(0, most);
    way.last = Math.max(way.last, this.loop.now + delay + extra) + octets / rate;
    if (octets > 0) this.#sent(from, way.last);
    const to = from === this.near ? this.far : this.near;
    this.loop.after(way.last - this.loop.now, () => to.arrive(piece));
  }
}
