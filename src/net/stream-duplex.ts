import { Duplex } from "node:stream";
import type { Stream, StreamHandler } from "./stream.ts";

/**
 * A stream as Node's HTTP wants one. It takes the stream over: whoever made it uses the duplex alone from then on. A connection
 * that breaks is an error of the duplex.
 */
export function duplexOf(stream: Stream): Duplex {
  return new StreamDuplex(stream);
}

class StreamDuplex extends Duplex implements StreamHandler {
  readonly #stream: Stream;
  /** The callback of a write that waits for the kernel to take it. */
  #writing: (() => void) | null = null;
  #ended = false;

  constructor(stream: Stream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    stream.attach(this);
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.#stream.write(chunk)) done();
    else this.#writing = done;
  }

  override _final(done: () => void): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.destroy();
    done(error);
  }

  data(bytes: Uint8Array): void {
    if (!this.push(bytes)) this.#stream.pause();
  }

  drained(): void {
    const done = this.#writing;
    this.#writing = null;
    done?.();
  }

  ended(): void {
    this.#ended = true;
    this.push(null);
  }

  closed(problem: { readonly detail: string } | null): void {
    if (problem !== null) {
      this.destroy(new Error(problem.detail));
      return;
    }
    // What was read and not yet asked for is still to be had; it destroys itself behind that.
    if (!this.#ended) this.ended();
    if (!this.writableEnded) this.end();
  }
}
