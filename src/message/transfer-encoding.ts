import { CR, EMPTY, LF, SPACE } from "../base/index.ts";

/** Encodes the octets of one part as they pass (RFC 2045 §6.7, §6.8). */
export interface TransferEncoder {
  push(bytes: Uint8Array): Uint8Array;
  /** What is left. `closed`: the message ends with this part, so that its last line has to end here. */
  end(closed: boolean): Uint8Array;
}

const TAB = 0x09;
const EQUALS = 0x3d;
const HYPHEN = 0x2d;
const HEX = Uint8Array.from("0123456789ABCDEF", (digit) => digit.charCodeAt(0));
const BASE64 = Uint8Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (digit) =>
  digit.charCodeAt(0),
);

/** Characters of an encoded line, the `=` of a soft line break not counted (RFC 2045 §6.7 rule 5). */
const MAX_COLUMN = 75;

/** An octet becomes three at most, and each line of 75 three more. */
const QP_GROWTH = 3 + 9 / 73;

/** Octets of a line of base64 before and after (RFC 2045 §6.8: at most 76 characters). */
const BASE64_GROUPS = 19;

/**
 * Quoted-printable for text: CRLF stays a line end, all else that is not printable ASCII is escaped, bare CR and LF too. A hyphen
 * behind a soft line break is escaped, lest the rest of a long line look like a boundary.
 */
export class QuotedPrintable implements TransferEncoder {
  #column = 0;
  #soft = false;
  /** A space, tab or CR whose meaning depends on what follows; 0 for none. */
  #held: readonly number[] = [];
  #out = EMPTY;
  #used = 0;

  push(bytes: Uint8Array): Uint8Array {
    this.#out = new Uint8Array(Math.ceil((bytes.length + 2) * QP_GROWTH) + 16);
    this.#used = 0;
    for (const octet of bytes) this.#take(octet);
    return this.#out.subarray(0, this.#used);
  }

  end(closed: boolean): Uint8Array {
    this.#out = new Uint8Array(16);
    this.#used = 0;
    for (const octet of this.#held) this.#escape(octet);
    this.#held = [];
    if (closed && this.#column > 0) this.#softBreak();
    return this.#out.subarray(0, this.#used);
  }

  #take(octet: number): void {
    if (octet === LF && this.#held.at(-1) === CR) {
      // RFC 2045 §6.7 rule 3: white space at the end of a line is escaped.
      for (const space of this.#held.slice(0, -1)) this.#escape(space);
      this.#held = [];
      this.#lineEnd();
      return;
    }
    if (octet === CR && this.#held.at(-1) !== CR) {
      this.#held = [...this.#held, CR];
      return;
    }
    const bare = this.#held.at(-1) === CR;
    for (const waiting of this.#held) {
      if (waiting === CR || bare) this.#escape(waiting);
      else this.#literal(waiting);
    }
    this.#held = [];
    if (octet === SPACE || octet === TAB || octet === CR) this.#held = [octet];
    else if (octet > SPACE && octet < 0x7f && octet !== EQUALS && !(octet === HYPHEN && this.#afterBreak())) {
      this.#literal(octet);
    } else this.#escape(octet);
  }

  #afterBreak(): boolean {
    return this.#column >= MAX_COLUMN || (this.#soft && this.#column === 0);
  }

  #literal(octet: number): void {
    if (this.#column + 1 > MAX_COLUMN) this.#softBreak();
    this.#out[this.#used++] = octet;
    this.#column++;
  }

  #escape(octet: number): void {
    if (this.#column + 3 > MAX_COLUMN) this.#softBreak();
    this.#out[this.#used++] = EQUALS;
    this.#out[this.#used++] = HEX[octet >> 4] ?? 0;
    this.#out[this.#used++] = HEX[octet & 15] ?? 0;
    this.#column += 3;
  }

  #softBreak(): void {
    this.#out[this.#used++] = EQUALS;
    this.#lineEnd();
    this.#soft = true;
  }

  #lineEnd(): void {
    this.#out[this.#used++] = CR;
    this.#out[this.#used++] = LF;
    this.#column = 0;
    this.#soft = false;
  }
}

/** Base64 for everything else. The CRLF behind the last line is left to what follows, unless nothing does. */
export class Base64 implements TransferEncoder {
  #held = EMPTY;
  /** Groups of four in the line so far. */
  #groups = 0;
  #out = EMPTY;
  #used = 0;

  push(bytes: Uint8Array): Uint8Array {
    const whole = new Uint8Array(this.#held.length + bytes.length);
    whole.set(this.#held);
    whole.set(bytes, this.#held.length);
    const groups = Math.floor(whole.length / 3);
    this.#room(groups);
    for (let at = 0; at < groups * 3; at += 3) this.#group(whole[at] ?? 0, whole[at + 1] ?? 0, whole[at + 2] ?? 0);
    this.#held = whole.slice(groups * 3);
    return this.#out.subarray(0, this.#used);
  }

  end(closed: boolean): Uint8Array {
    this.#room(2);
    const [first, second] = this.#held;
    if (first !== undefined) {
      this.#group(first, second ?? 0, 0);
      this.#out[this.#used - 1] = EQUALS;
      if (second === undefined) this.#out[this.#used - 2] = EQUALS;
    }
    this.#held = EMPTY;
    if (closed && this.#groups > 0) this.#lineEnd();
    return this.#out.subarray(0, this.#used);
  }

  #room(groups: number): void {
    this.#out = new Uint8Array(groups * 4 + 2 * (Math.ceil(groups / BASE64_GROUPS) + 2));
    this.#used = 0;
  }

  #group(a: number, b: number, c: number): void {
    if (this.#groups === BASE64_GROUPS) this.#lineEnd();
    this.#out[this.#used++] = BASE64[a >> 2] ?? 0;
    this.#out[this.#used++] = BASE64[((a & 3) << 4) | (b >> 4)] ?? 0;
    this.#out[this.#used++] = BASE64[((b & 15) << 2) | (c >> 6)] ?? 0;
    this.#out[this.#used++] = BASE64[c & 63] ?? 0;
    this.#groups++;
  }

  #lineEnd(): void {
    this.#out[this.#used++] = CR;
    this.#out[this.#used++] = LF;
    this.#groups = 0;
  }
}
