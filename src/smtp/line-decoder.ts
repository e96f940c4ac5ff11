import { CR, EMPTY, LF } from "../base/index.ts";

/** What the decoder found, in order. */
export type LineEvent =
  /** A line without its CRLF; a view that is valid until the next `push`. */
  | { readonly kind: "line"; readonly line: Uint8Array }
  /** A line longer than the limit was skipped up to its CRLF; reported once, when its end is seen. */
  | { readonly kind: "tooLong" }
  /**
   * A bare CR or a bare LF (RFC 5321 §2.3.8), reported as soon as it is seen, so that a person who types LF gets an answer. The
   * line it stands in is skipped up to its CRLF and gives no further event.
   */
  | { readonly kind: "bareNewline" };

const TOO_LONG: LineEvent = { kind: "tooLong" };
const BARE_NEWLINE: LineEvent = { kind: "bareNewline" };

/** The least that a buffer for a line in pieces holds, so that octets that come one by one are not copied each time. */
const MIN_CAPACITY = 256;

/**
 * Cuts octets into CRLF-ended lines, one `next` at a time, so that a caller can stop between two lines (DATA, STARTTLS) and
 * take what is left by `takeRest`. Memory is bounded by `limit` octets a line (CRLF included) plus what was pushed unread.
 */
export class LineDecoder {
  /** Changes the limit from the next line on (AUTH allows 12,288: RFC 4954 §4). */
  limit: number;

  #octets: Uint8Array = EMPTY;
  /** The last buffer that `#append` made; `#octets` lie in it or are a caller's. */
  #own: ArrayBuffer | null = null;
  /** Where the line that is being read begins. */
  #start = 0;
  /** Up to here no CR and no LF was found since `#start`. */
  #scanned = 0;
  /** A line is being skipped: with or without an event at its end. */
  #skipping: "no" | "tooLong" | "reported" = "no";
  /** While skipping: the octet before `#start` was CR. */
  #skippedCr = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Octets held. */
  get buffered(): number {
    return this.#octets.length - this.#start;
  }

  push(bytes: Uint8Array): void {
    if (this.buffered > 0) {
      this.#append(bytes);
      return;
    }
    this.#reset();
    this.#octets = bytes;
  }

  /** The next event, or null when more octets are needed. */
  next(): LineEvent | null {
    if (this.#skipping !== "no") {
      const skipped = this.#skipping;
      if (!this.#skip()) return null;
      if (skipped === "tooLong") return TOO_LONG;
    }
    const octets = this.#octets;
    const lf = octets.indexOf(LF, this.#scanned);
    const cr = octets.indexOf(CR, this.#scanned);
    if (cr !== -1 && cr === lf - 1) return this.#finish(lf);
    if (cr !== -1 && cr + 1 < octets.length && (lf === -1 || cr < lf)) return this.#refuse(cr, cr + 1);
    if (lf !== -1) return this.#refuse(lf, lf);
    if (this.buffered >= this.limit) return this.#overflow();
    // A CR at the very end is looked at again when its successor has come.
    this.#scanned = cr === -1 ? octets.length : cr;
    if (this.buffered === 0) this.#reset();
    return null;
  }

  /** Hands over all octets not yet returned by `next` and leaves the decoder empty. */
  takeRest(): Uint8Array {
    const rest = this.#octets.subarray(this.#start);
    this.#reset();
    this.#skipping = "no";
    return rest;
  }

  #reset(): void {
    this.#octets = EMPTY;
    this.#start = 0;
    this.#scanned = 0;
  }

  /** Puts `bytes` behind the octets held, in a buffer of our own that doubles as it grows. */
  #append(bytes: Uint8Array): void {
    const held = this.buffered;
    const length = held + bytes.length;
    const room = this.#octets.buffer.byteLength - this.#octets.byteOffset - this.#octets.length;
    if (this.#own === this.#octets.buffer && room >= bytes.length) {
      const whole = new Uint8Array(this.#own, this.#octets.byteOffset, this.#octets.length + bytes.length);
      whole.set(bytes, this.#octets.length);
      this.#octets = whole;
      return;
    }
    this.#own = new ArrayBuffer(Math.max(MIN_CAPACITY, length * 2));
    const whole = new Uint8Array(this.#own, 0, length);
    whole.set(this.#octets.subarray(this.#start));
    whole.set(bytes, held);
    this.#octets = whole;
    this.#scanned -= this.#start;
    this.#start = 0;
  }

  /** A line ended in a good CRLF whose LF stands at `lf`. */
  #finish(lf: number): LineEvent {
    const start = this.#start;
    this.#start = lf + 1;
    this.#scanned = lf + 1;
    if (lf + 1 - start > this.limit) return TOO_LONG;
    return { kind: "line", line: this.#octets.subarray(start, lf - 1) };
  }

  /** A bare newline at `at`, known to be one since the octet at `seen`; beyond the limit the line is too long instead. */
  #refuse(at: number, seen: number): LineEvent | null {
    if (seen - this.#start >= this.limit) return this.#overflow();
    this.#startSkipping("reported", at + 1, false);
    return BARE_NEWLINE;
  }

  #overflow(): LineEvent | null {
    const end = this.#start + this.limit;
    this.#startSkipping("tooLong", end, this.#octets[end - 1] === CR);
    return this.next();
  }

  #startSkipping(why: "tooLong" | "reported", from: number, afterCr: boolean): void {
    this.#skipping = why;
    this.#start = from;
    this.#scanned = from;
    this.#skippedCr = afterCr;
  }

  /** Drops octets up to the CRLF of a line that is skipped; true when it was reached. */
  #skip(): boolean {
    const octets = this.#octets;
    let from = this.#start;
    for (let lf = octets.indexOf(LF, from); lf !== -1; lf = octets.indexOf(LF, from)) {
      const ended = lf > this.#start ? octets[lf - 1] === CR : this.#skippedCr;
      from = lf + 1;
      if (!ended) continue;
      this.#start = from;
      this.#scanned = from;
      this.#skipping = "no";
      return true;
    }
    if (octets.length > this.#start) this.#skippedCr = octets[octets.length - 1] === CR;
    this.#reset();
    return false;
  }
}
