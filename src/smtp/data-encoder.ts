import { CR, CRLF, DOT, EMPTY, LF } from "../base/index.ts";
import { Pieces } from "./pieces.ts";

const LF_ONLY = CRLF.subarray(1);
const END_MARK = Uint8Array.of(DOT, CR, LF);
const CRLF_END_MARK = Uint8Array.of(CR, LF, DOT, CR, LF);
const LF_END_MARK = CRLF_END_MARK.subarray(1);

const LINE_START = 0;
const TEXT = 1;
const AFTER_CR = 2;

const HIGHEST_SPECIAL = CR;

/**
 * Stuffs dots and ends the body (RFC 5321 §4.5.2). Octets go through as they are; a bare CR or LF in a body that came by BDAT or from a
 * file is made CRLF, because no stray newline may leave (smuggling). A body that does not end in CRLF gets one before the end
 * mark. Views of what was pushed are given out where possible; nothing is held back.
 *
 * With `chunked` the same lines are written for BDAT, which has neither stuffed dots nor an end mark (RFC 3030 §2).
 */
export class DataEncoder {
  readonly #chunked: boolean;
  #state = LINE_START;

  constructor({ chunked = false }: { readonly chunked?: boolean } = {}) {
    this.#chunked = chunked;
  }

  push(bytes: Uint8Array): readonly Uint8Array[] {
    const pieces = new Pieces(bytes);
    const length = bytes.length;
    let state = this.#state;
    let from = 0;
    let at = 0;
    while (at < length) {
      const octet = bytes[at] ?? 0;
      if (state === TEXT) {
        if (octet > HIGHEST_SPECIAL) {
          do at++;
          while (at < length && (bytes[at] ?? 0) > HIGHEST_SPECIAL);
          continue;
        }
        if (octet === CR) state = AFTER_CR;
        else if (octet === LF) {
          pieces.add(from, at);
          pieces.append(CRLF);
          from = at + 1;
          state = LINE_START;
        }
        at++;
      } else if (state === LINE_START) {
        // The dot is given out twice: as the end of this piece and as the start of the next.
        if (octet === DOT && !this.#chunked) {
          pieces.add(from, at + 1);
          from = at;
          at++;
        }
        state = TEXT;
      } else if (octet === LF) {
        at++;
        state = LINE_START;
      } else {
        pieces.add(from, at);
        pieces.append(LF_ONLY);
        from = at;
        state = LINE_START;
      }
    }
    pieces.add(from, length);
    this.#state = state;
    return pieces.finish();
  }

  /** The end mark, with a CRLF before it where the body had none. An empty body has its line end: that of DATA. */
  end(): Uint8Array {
    if (this.#chunked) {
      if (this.#state === LINE_START) return EMPTY;
      return this.#state === AFTER_CR ? LF_ONLY : CRLF;
    }
    if (this.#state === LINE_START) return END_MARK;
    return this.#state === AFTER_CR ? LF_END_MARK : CRLF_END_MARK;
  }
}
