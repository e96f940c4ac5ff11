import type { Readable, Writable } from "node:stream";

const LF = 0x0a;

/**
 * Passes on what workers write, line by line: if they all wrote to the same pipe themselves, long lines would be cut by those of
 * others. Who writes faster than the reader reads has to wait.
 */
export class LineRelay {
  readonly #to: Writable;
  readonly #waiting = new Set<Readable>();

  constructor(to: Writable) {
    this.#to = to;
    for (const event of ["drain", "close", "error"]) to.on(event, () => this.#resume());
  }

  add(from: Readable): void {
    let rest: Uint8Array[] = [];
    from.on("data", (chunk: Uint8Array) => {
      const end = chunk.lastIndexOf(LF) + 1;
      if (end === 0) {
        rest.push(chunk);
        return;
      }
      const lines = rest.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...rest, chunk.subarray(0, end)]);
      rest = end < chunk.length ? [chunk.subarray(end)] : [];
      this.#write(lines, from);
    });
    from.on("end", () => {
      this.#waiting.delete(from);
      // It died within a line.
      if (rest.length > 0) this.#write(Buffer.concat([...rest, Uint8Array.of(LF)]), from);
    });
    from.on("error", () => this.#waiting.delete(from));
  }

  #write(lines: Uint8Array, from: Readable): void {
    // Where nobody reads any more the work goes on all the same.
    if (this.#to.destroyed || this.#to.write(lines) || from.readableEnded) return;
    this.#waiting.add(from);
    from.pause();
  }

  #resume(): void {
    for (const from of this.#waiting) from.resume();
    this.#waiting.clear();
  }
}
