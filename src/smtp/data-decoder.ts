import { assert, CR, CRLF, DOT, LF } from "../base/index.ts";
import { Pieces } from "./pieces.ts";

/** How newlines other than CRLF in a body are treated: a problem, or each bare CR and bare LF becomes CRLF. */
export type BareNewlines = "refuse" | "repair";

export type DataProblem = "bareNewline" | "lineTooLong" | "nul";

export interface DataOptions {
  readonly bareNewlines: BareNewlines;
  /** Octets of one decoded line with its CRLF. */
  readonly maxLine: number;
  /** NUL octets; refused unless said otherwise, because receivers cut or drop lines at them (RFC 5322 §4). */
  readonly nul?: "refuse" | "accept";
}

export interface DecodedData {
  /** Decoded octets: views of what was pushed, where possible. */
  readonly body: readonly Uint8Array[];
  /** What followed the end mark, null while the end is not reached. */
  readonly rest: Uint8Array | null;
}

const LF_ONLY = CRLF.subarray(1);
const NO_BODY: readonly Uint8Array[] = [];

/**
 * Where the decoder stands, in octets of the line. A dot at line start is held back, and a CR behind it, as they may be the end
 * mark; nothing else is.
 */
const LINE_START = 0;
const TEXT = 1;
const AFTER_CR = 2;
const AFTER_DOT = 3;
const AFTER_DOT_CR = 4;
const ENDED = 5;

/** The highest of the octets that mean something within a line (NUL, LF, CR); a scan passes over all above it. */
const HIGHEST_SPECIAL = CR;

/**
 * Finds the end of a message body and removes stuffed dots. Starts at "line start": the CRLF of the DATA command is the first
 * half of the end marker. Only CR LF `.` CR LF ends data (RFC 5321 §4.1.1.4, §4.5.2), whatever `bareNewlines` says: behind a
 * repaired newline a dot is text, neither removed nor an end mark.
 *
 * After a problem the decoder goes on looking for the end but gives no more octets, those of the same push included.
 *
 * Deviation: RFC 5321 §2.3.8 says that a server MUST NOT alter bare CR and LF; they are refused or repaired, so that no two servers
 * can disagree where a message ends.
 */
export class DataDecoder {
  readonly #repair: boolean;
  readonly #refuseNul: boolean;
  readonly #maxLine: number;
  #state = LINE_START;
  /** Decoded octets of the line that is being read. */
  #lineLength = 0;
  #problem: DataProblem | null = null;
  #size = 0;

  constructor(options: DataOptions) {
    this.#repair = options.bareNewlines === "repair";
    this.#refuseNul = options.nul !== "accept";
    this.#maxLine = options.maxLine;
  }

  /** The first problem seen, or null. */
  get problem(): DataProblem | null {
    return this.#problem;
  }

  /** Decoded octets given out so far. */
  get size(): number {
    return this.#size;
  }

  /** Takes octets. Must not be called after the end was told: a bug. */
  push(bytes: Uint8Array): DecodedData {
    assert(this.#state !== ENDED, "no octets are pushed behind the end of data");
    const pieces = new Pieces(bytes);
    const end = this.#scan(bytes, pieces);
    const rest = end === null ? null : bytes.subarray(end);
    if (this.#problem !== null) return { body: NO_BODY, rest };
    this.#size += pieces.size;
    return { body: pieces.finish(), rest };
  }

  /**
   * Runs over `bytes` once; one long function, because its state lives in locals and each octet of all mail goes through it. Returns where the octets behind the end mark begin, or null. A bare newline is seen at the octet behind it,
   * which is then looked at again as the first of its line.
   */
  #scan(bytes: Uint8Array, pieces: Pieces): number | null {
    const length = bytes.length;
    let state = this.#state;
    /** The first octet not yet given out. */
    let from = 0;
    /** Where the line began, below 0 where in an earlier push. */
    let line = -this.#lineLength;
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
          this.#bareNewline(at - line);
          pieces.add(from, at);
          pieces.append(CRLF);
          from = at + 1;
          line = from;
        } else if (octet === 0) this.#nul(at - line);
        at++;
      } else if (state === LINE_START) {
        if (octet === DOT) {
          pieces.add(from, at);
          at++;
          from = at;
          line = at;
          state = AFTER_DOT;
        } else state = TEXT;
      } else if (state === AFTER_CR) {
        if (octet === LF) {
          at++;
          if (at - line > this.#maxLine) this.#report("lineTooLong");
          line = at;
          state = LINE_START;
        } else {
          this.#bareNewline(at - 1 - line);
          pieces.add(from, at);
          pieces.append(LF_ONLY);
          from = at;
          line = at;
          state = TEXT;
        }
      } else if (state === AFTER_DOT) {
        if (octet === CR) {
          at++;
          from = at;
          state = AFTER_DOT_CR;
        } else state = TEXT;
      } else {
        if (octet === LF) {
          this.#state = ENDED;
          return at + 1;
        }
        this.#bareNewline(0);
        pieces.append(CRLF);
        line = at;
        state = TEXT;
      }
    }
    pieces.add(from, length);
    this.#state = state;
    this.#lineLength = length - line;
    if (this.#lineLength > this.#maxLine) this.#report("lineTooLong");
    return null;
  }

  /** `before` octets stand in front of it in its line. What is told must not depend on how the octets are cut. */
  #bareNewline(before: number): void {
    if (!this.#repair) this.#report(before >= this.#maxLine ? "lineTooLong" : "bareNewline");
    else if (before + CRLF.length > this.#maxLine) this.#report("lineTooLong");
  }

  #nul(before: number): void {
    if (before >= this.#maxLine) this.#report("lineTooLong");
    else if (this.#refuseNul) this.#report("nul");
  }

  #report(problem: DataProblem): void {
    this.#problem ??= problem;
  }
}
