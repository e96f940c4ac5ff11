import { Duplex } from "node:stream";
import type { NetProblem, Stream } from "./stream.ts";

/**
 * A stream as Node's HTTP wants one. It takes the stream over: whoever made it uses the duplex alone from then on. A connection
 * that breaks is an error of the duplex.
 */
export function duplexOf(stream: Stream): Duplex {
  /** The callback of a write that waits for the kernel to take it. */
  let writing: (() => void) | null = null;
  let ended = false;
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => stream.resume(),
    write(chunk: Uint8Array, _encoding, done) {
      if (stream.write(chunk)) done();
      else writing = done;
    },
    final(done) {
      stream.end();
      done();
    },
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  const end = (): void => {
    if (!ended) duplex.push(null);
    ended = true;
  };
  stream.attach({
    data(bytes) {
      if (!duplex.push(bytes)) stream.pause();
    },
    drained() {
      const done = writing;
      writing = null;
      done?.();
    },
    ended: end,
    closed(problem: NetProblem | null) {
      if (problem !== null) {
        duplex.destroy(new Error(problem.detail));
        return;
      }
      // What was read and not yet asked for is still to be had; the duplex destroys itself behind that.
      end();
      if (!duplex.writableEnded) duplex.end();
    },
  });
  return duplex;
}
