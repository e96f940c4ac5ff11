import { type Random, seededRandom } from "../../base/index.ts";

/** Draws from a seed: the same seed, asked the same questions, gives the same answers. */
export class Chance {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** True in `part` of all cases, 0 to 1. */
  is(part: number): boolean {
    return this.#random.next() < part;
  }

  /** A number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.#random.next() * (most - least);
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.#random.next() * (most - least + 1));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random.next() * items.length)];
    if (item === undefined) throw new Error("there is nothing to pick from");
    return item;
  }

  /** So many different items, or all, in an order drawn. */
  some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    const drawn: T[] = [];
    while (left.length > 0 && drawn.length < count) {
      const [item] = left.splice(Math.floor(this.#random.next() * left.length), 1);
      if (item !== undefined) drawn.push(item);
    }
    return drawn;
  }

  /** A source of its own, for code that draws as often as it likes. */
  fork(): Random {
    return seededRandom(Math.floor(this.#random.next() * 2 ** 32));
  }
}
