/** So many views are given out for one push; what comes after them is copied together. */
const MAX_VIEWS = 16;

/**
 * Gathers the output of one push: views of the input as long as they are few. A body of nothing but dots or stray newlines would
 * otherwise make a view, some hundred octets large, of each two or three octets.
 */
export class Pieces {
  readonly views: Uint8Array[] = [];
  /** Octets gathered. */
  size = 0;
  readonly #input: Uint8Array;
  #spill: Uint8Array | null = null;
  #spilled = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  /** Adds the octets of the input from `from` up to `to`. */
  add(from: number, to: number): void {
    if (from >= to) return;
    const whole = from === 0 && to === this.#input.length;
    this.append(whole ? this.#input : this.#input.subarray(from, to));
  }

  /** Adds `octets` that are not to change. */
  append(octets: Uint8Array): void {
    this.size += octets.length;
    if (this.views.length < MAX_VIEWS) {
      this.views.push(octets);
      return;
    }
    // No input octet becomes more than two octets of output.
    this.#spill ??= new Uint8Array(2 * this.#input.length + 2);
    this.#spill.set(octets, this.#spilled);
    this.#spilled += octets.length;
  }

  /** All that was gathered, in order. */
  finish(): readonly Uint8Array[] {
    if (this.#spill !== null) this.views.push(this.#spill.subarray(0, this.#spilled));
    return this.views;
  }
}
