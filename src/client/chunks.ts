import { concatBytes } from "../base/index.ts";
import { DataEncoder, formatCommand } from "../smtp/index.ts";
import { type BodyEncoder, shortfall } from "./body-sender.ts";
import type { OutgoingBody } from "./types.ts";

/** Octets up to which a body goes as one chunk in one group with its envelope: what is sent in vain when all are refused. */
export const WHOLE_CHUNK = 32 * 1024;

/** Octets of a chunk, where a body goes in several. */
const CHUNK = 64 * 1024;

/**
 * All octets of `body` for one BDAT, or null where it proves larger than it said. With `lines` they are made to be whole lines, as by
 * DATA: RFC 3030 §3 lets only BINARYMIME carry other things. No promise is made where the source answers at once.
 */
export function wholeChunk(body: OutgoingBody, lines: boolean): Uint8Array | null | Promise<Uint8Array | null> {
  const chunks = body.chunks();
  const gathered: Uint8Array[] = [];
  let octets = 0;
  const fits = (chunk: Uint8Array): boolean => {
    gathered.push(chunk);
    octets += chunk.length;
    return octets <= WHOLE_CHUNK;
  };
  const finish = (): Uint8Array => {
    const short = shortfall(body, octets);
    if (short !== null) throw short;
    if (!lines) return concatBytes(gathered);
    const encoder = new DataEncoder({ chunked: true });
    const pieces = gathered.flatMap((chunk) => encoder.push(chunk));
    return concatBytes([...pieces, encoder.end()]);
  };
  if (Symbol.iterator in chunks) {
    for (const chunk of chunks) if (!fits(chunk)) return null;
    return finish();
  }
  return (async () => {
    for await (const chunk of chunks) if (!fits(chunk)) return null;
    return finish();
  })();
}

/** Cuts a body into chunks of some size, each behind its BDAT line, the last one with LAST. Octets go as they are. */
export class ChunkEncoder implements BodyEncoder {
  readonly #onChunk: () => void;
  #held: Uint8Array[] = [];
  #octets = 0;

  /** `onChunk` is called for each chunk but the last, before it is written. */
  constructor(onChunk: () => void) {
    this.#onChunk = onChunk;
  }

  get held(): number {
    return this.#octets;
  }

  push(bytes: Uint8Array): readonly Uint8Array[] {
    const ready = this.#octets >= CHUNK ? this.#take("") : [];
    if (ready.length > 0) this.#onChunk();
    this.#held.push(bytes);
    this.#octets += bytes.length;
    return ready;
  }

  end(): readonly Uint8Array[] {
    return this.#take(" LAST");
  }

  #take(last: string): readonly Uint8Array[] {
    const pieces = [formatCommand(`BDAT ${this.#octets}${last}`), ...this.#held];
    this.#held = [];
    this.#octets = 0;
    return pieces;
  }
}

/** A body by DATA: stuffed dots and the end mark. */
export class StuffedEncoder implements BodyEncoder {
  readonly held = 0;
  readonly #encoder = new DataEncoder();

  push(bytes: Uint8Array): readonly Uint8Array[] {
    return this.#encoder.push(bytes);
  }

  end(): readonly Uint8Array[] {
    return [this.#encoder.end()];
  }
}
