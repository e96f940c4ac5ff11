import { assert, CR, CRLF, EMPTY, LF } from "../base/index.ts";
import type { DataOptions, DataProblem, DecodedData } from "./data-decoder.ts";
import { Pieces } from "./pieces.ts";

const LF_ONLY = CRLF.subarray(1);
const NO_BODY: readonly Uint8Array[] = [];

/** The highest of the octets that mean something within a line (NUL, LF, CR); a scan passes over all above it. */
const HIGHEST_SPECIAL = CR;

/**
 * Counts the octets of the chunks of one message (RFC 3030 §2). Nothing in a chunk is a command, an end mark or a stuffed dot:
 * what was announced is taken to the octet, whatever it is, also after a problem.
 *
 * With `text` the lines are held to the rules of a body sent by DATA, over the ends of chunks; null is for BODY=BINARYMIME, whose
 * octets are passed on unseen.
 *
 * Deviation: RFC 3030 §2 only says that text MUST be sent with CRLF line ends. A body with other ones is refused or repaired as by
 * DATA, because the next hop may take it by DATA, where a bare newline beside a dot smuggles a second message past it.
 */
export class ChunkDecoder {
  readonly #text: DataOptions | null;
  /** Octets of the chunk that are still to come; null between two chunks. */
  #remaining: number | null = null;
  #size = 0;
  #problem: DataProblem | null = null;
  /** Octets of the line that is being read. */
  #lineLength = 0;
  /** The last octet was CR. */
  #afterCr = false;

  constructor(text: DataOptions | null) {
    this.#text = text;
  }

  /** The first problem seen, or null. */
  get problem(): DataProblem | null {
    return this.#problem;
  }

  /** Octets given out so far, of all chunks. */
  get size(): number {
    return this.#size;
  }

  /** The next chunk has so many octets. */
  begin(octets: number): void {
    assert(this.#remaining === null, "a chunk begins after the end of the one before");
    this.#remaining = octets;
  }

  /** Takes octets of the chunk; `rest` is what stands behind it, null while it is not whole. */
  push(bytes: Uint8Array): DecodedData {
    assert(this.#remaining !== null, "octets are pushed into a chunk");
    const own = bytes.length <= this.#remaining ? bytes : bytes.subarray(0, this.#remaining);
    this.#remaining -= own.length;
    const rest = this.#remaining > 0 ? null : bytes.subarray(own.length);
    if (rest !== null) this.#remaining = null;
    return { body: this.#give(own), rest };
  }

  /** The last chunk was whole: what is still to be given out. A CR as the very last octet is a bare one. */
  end(): readonly Uint8Array[] {
    assert(this.#remaining === null, "a message ends with a chunk");
    if (!this.#afterCr || this.#text === null) return NO_BODY;
    const pieces = new Pieces(EMPTY);
    this.#bareNewline(this.#text, this.#lineLength - 1);
    if (this.#problem !== null) return NO_BODY;
    this.#afterCr = false;
    pieces.append(LF_ONLY);
    this.#size += pieces.size;
    return pieces.finish();
  }

  #give(own: Uint8Array): readonly Uint8Array[] {
    if (own.length === 0 || this.#problem !== null) return NO_BODY;
    const pieces = new Pieces(own);
    if (this.#text === null) pieces.add(0, own.length);
    else this.#scan(own, pieces, this.#text);
    if (this.#problem !== null) return NO_BODY;
    this.#size += pieces.size;
    return pieces.finish();
  }

  /** Runs over `bytes` once. A bare CR is seen at the octet behind it. */
  #scan(bytes: Uint8Array, pieces: Pieces, text: DataOptions): void {
    const { maxLine } = text;
    let afterCr = this.#afterCr;
    /** The first octet not yet given out. */
    let from = 0;
    /** Where the line began, below 0 where in an earlier push. */
    let line = -this.#lineLength;
    for (let at = 0; at < bytes.length; at++) {
      const octet = bytes[at] ?? 0;
      if (afterCr) {
        afterCr = false;
        if (octet === LF) {
          if (at + 1 - line > maxLine) this.#report("lineTooLong");
          line = at + 1;
          continue;
        }
        this.#bareNewline(text, at - 1 - line);
        pieces.add(from, at);
        pieces.append(LF_ONLY);
        from = at;
        line = at;
      }
      if (octet > HIGHEST_SPECIAL) continue;
      if (octet === CR) afterCr = true;
      else if (octet === LF) {
        this.#bareNewline(text, at - line);
        pieces.add(from, at);
        pieces.append(CRLF);
        from = at + 1;
        line = at + 1;
      } else if (octet === 0 && text.nul !== "accept") {
        this.#report(at - line >= maxLine ? "lineTooLong" : "nul");
      }
    }
    pieces.add(from, bytes.length);
    this.#afterCr = afterCr;
    this.#lineLength = bytes.length - line;
    if (this.#lineLength > maxLine) this.#report("lineTooLong");
  }

  /** `before` octets stand in front of it in its line. What is told must not depend on how the octets are cut. */
  #bareNewline(text: DataOptions, before: number): void {
    if (text.bareNewlines === "refuse") this.#report(before >= text.maxLine ? "lineTooLong" : "bareNewline");
    else if (before + CRLF.length > text.maxLine) this.#report("lineTooLong");
  }

  #report(problem: DataProblem): void {
    this.#problem ??= problem;
  }
}
