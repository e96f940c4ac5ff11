/** Octets of one chunk row. */
export const BLOCK_OCTETS = 128 * 1024;

/** Blocks kept for later; as many as a few large messages have on their way to the disk at a time. */
const MOST_KEPT = 32;

/**
 * Memory for bodies on their way to the disk, used again and again: else a large message leaves its own size behind as garbage, which
 * the collector, that counts objects, is in no hurry to take away.
 */
export class BlockPool {
  readonly #kept: Uint8Array[] = [];

  /** A block of `BLOCK_OCTETS`, with whatever stood in it. */
  take(): Uint8Array {
    return this.#kept.pop() ?? new Uint8Array(BLOCK_OCTETS);
  }

  /** Nothing refers to the block any more. */
  give(block: Uint8Array): void {
    if (this.#kept.length < MOST_KEPT) this.#kept.push(block);
  }
}
