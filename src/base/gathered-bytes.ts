import { EMPTY } from "./bytes.ts";

/** Pieces kept as they came. A piece of one octet weighs some 500, so a peer that sends octet by octet must not have many. */
const MOST_PIECES = 64;

/**
 * Octets that come in pieces and are kept until they are wanted. A few pieces are kept as they are, without a copy; where they
 * are many they are copied into one array that grows, so that memory is bounded by the octets, however they are cut.
 */
export class GatheredBytes {
  #pieces: Uint8Array[] = [];
  /** Holds all octets from where the pieces became too many. */
  #whole: Uint8Array = EMPTY;
  #length = 0;

  /** Octets. */
  get length(): number {
    return this.#length;
  }

  /** The array may be kept, so it must not change. */
  add(piece: Uint8Array): void {
    const at = this.#length;
    this.#length += piece.length;
    if (this.#whole.length === 0 && this.#pieces.length < MOST_PIECES) {
      this.#pieces.push(piece);
      return;
    }
    if (this.#whole.length < this.#length) this.#grow(at);
    this.#whole.set(piece, at);
  }

  /** In order; views that count until the next `add`. */
  pieces(): readonly Uint8Array[] {
    return this.#whole.length === 0 ? this.#pieces : [this.#whole.subarray(0, this.#length)];
  }

  #grow(used: number): void {
    const grown = new Uint8Array(2 * this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      grown.set(piece, at);
      at += piece.length;
    }
    grown.set(this.#whole.subarray(0, used - at), at);
    this.#whole = grown;
    this.#pieces = [];
  }
}
