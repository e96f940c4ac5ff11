import { CR, decodeUtf8Lenient, LF, SPACE, trimBlanks } from "../base/index.ts";

/** Octets of a header section that are looked at; a longer one is `tooLarge`. */
const MAX_HEADER_OCTETS = 100 * 1024;

/** `open`: more octets are wanted. `ended`: what follows is body. `tooLarge`: no end within the limit. */
export type HeaderProgress = "open" | "ended" | "tooLarge";

/** One field of a header section. */
export interface HeaderField {
  /** In lower case. */
  readonly name: string;
  /** The whole field with its line ends, as it came; a view that the next push may overwrite. */
  readonly octets: Uint8Array;
  /** Where in `octets` the value begins, behind the colon. */
  readonly valueAt: number;
}

const TAB = 0x09;
const COLON = 0x3a;
const NOTHING = new Uint8Array(0);

/**
 * Reads the header section of a message while it passes (RFC 5322 §2.2), however the octets are cut. The octets are not
 * held up and bodies are never looked at: after `ended` or `tooLarge` a push does nothing.
 *
 * The section ends at an empty line, or before the first line that is neither a field nor the continuation of one: some
 * programs send a body without the empty line, and nothing behind such a line may count as a field. Lines end at LF, with
 * or without a CR, so that a hop hidden behind a bare LF still counts.
 */
export class HeaderScanner {
  readonly #limit: number;
  /** The section so far: a view of the first chunk while that is enough, else a growing copy of at most `#limit` octets. */
  #bytes: Uint8Array = NOTHING;
  #used = 0;
  #owned = false;
  /** Start of the first line not yet understood, and where to look on for its end. */
  #lineStart = 0;
  #searched = 0;
  /** Three numbers a field: start of the name, end of the name, end of the field. */
  readonly #fields: number[] = [];
  #progress: HeaderProgress = "open";
  #broken = false;

  constructor(limit: number = MAX_HEADER_OCTETS) {
    this.#limit = limit;
  }

  get progress(): HeaderProgress {
    return this.#progress;
  }

  /** Octets of the fields so far, without the empty line that ends them. */
  get size(): number {
    return this.#fields.at(-1) ?? 0;
  }

  /** The section ended at a line that is no field, not at an empty line or the end of the message. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The fields so far, in order; together they are the first `size` octets. */
  fields(): readonly HeaderField[] {
    const fields: HeaderField[] = [];
    for (let field = 0; field < this.#fields.length; field += 3) {
      const [start = 0, nameEnd = 0, end = 0] = this.#fields.slice(field, field + 3);
      const octets = this.#bytes.subarray(start, end);
      const name = decodeUtf8Lenient(octets.subarray(0, nameEnd - start)).toLowerCase();
      fields.push({ name, octets, valueAt: octets.indexOf(COLON) + 1 });
    }
    return fields;
  }

  /** Looks at the next octets of the message. They must not change until the section has ended. */
  push(chunk: Uint8Array): HeaderProgress {
    if (this.#progress !== "open" || chunk.length === 0) return this.#progress;
    this.#take(chunk);
    this.#readLines();
    if (this.#progress === "open" && this.#used >= this.#limit) this.#progress = "tooLarge";
    return this.#progress;
  }

  /** The message is over: a last line without its line end counts as one. */
  end(): HeaderProgress {
    if (this.#progress !== "open") return this.#progress;
    if (this.#lineStart < this.#used) this.#readLine(this.#used, this.#used);
    this.#progress = "ended";
    return this.#progress;
  }

  /** How many fields have this name; case does not matter (RFC 5322 §1.2.2). */
  count(name: string): number {
    let found = 0;
    for (let field = 0; field < this.#fields.length; field += 3) if (this.#isNamed(field, name)) found++;
    return found;
  }

  /** The value of the first field of this name, unfolded and without white space around it; null where there is none. */
  first(name: string): string | null {
    for (let field = 0; field < this.#fields.length; field += 3) {
      if (this.#isNamed(field, name)) return this.#value(field);
    }
    return null;
  }

  #take(chunk: Uint8Array): void {
    const room = this.#limit - this.#used;
    const wanted = chunk.length > room ? chunk.subarray(0, room) : chunk;
    if (this.#used === 0) {
      this.#bytes = wanted;
      this.#used = wanted.length;
      return;
    }
    const needed = this.#used + wanted.length;
    if (!this.#owned || this.#bytes.length < needed) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(needed, 2 * this.#used, 1024)));
      grown.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = grown;
      this.#owned = true;
    }
    this.#bytes.set(wanted, this.#used);
    this.#used = needed;
  }

  #readLines(): void {
    // Not the room behind it: octets that come one by one would have it searched each time.
    const used = this.#owned ? this.#bytes.subarray(0, this.#used) : this.#bytes;
    while (this.#progress === "open") {
      const newline = used.indexOf(LF, this.#searched);
      if (newline === -1) {
        this.#searched = this.#used;
        return;
      }
      const hasCr = newline > this.#lineStart && used[newline - 1] === CR;
      this.#readLine(hasCr ? newline - 1 : newline, newline + 1);
    }
  }

  /** Understands the line from `#lineStart` to `end`; the next one begins at `next`. */
  #readLine(end: number, next: number): void {
    const start = this.#lineStart;
    this.#lineStart = next;
    this.#searched = next;
    const first = this.#bytes[start];
    const folded = end > start && (first === SPACE || first === TAB);
    if (folded && this.#fields.length > 0) {
      this.#fields[this.#fields.length - 1] = next;
      return;
    }
    const nameEnd = folded ? -1 : this.#nameEnd(start, end);
    if (nameEnd === -1) {
      this.#progress = "ended";
      this.#broken = end > start;
    } else this.#fields.push(start, nameEnd, next);
  }

  /** Where the field name from `start` ends, or -1 where the line is no field (an empty line is none). */
  #nameEnd(start: number, end: number): number {
    let at = start;
    for (; at < end; at++) {
      const octet = this.#bytes[at] ?? 0;
      if (octet <= SPACE || octet === COLON || octet >= 0x7f) break;
    }
    const nameEnd = at;
    // RFC 5322 §4.5: old programs put white space before the colon; a Received field so written is a hop all the same.
    while (at < end && (this.#bytes[at] === SPACE || this.#bytes[at] === TAB)) at++;
    return nameEnd > start && at < end && this.#bytes[at] === COLON ? nameEnd : -1;
  }

  #isNamed(field: number, name: string): boolean {
    const start = this.#fields[field] ?? 0;
    const end = this.#fields[field + 1] ?? 0;
    if (end - start !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      if (lowerCase(this.#bytes[start + i] ?? 0) !== lowerCase(name.charCodeAt(i))) return false;
    }
    return true;
  }

  #value(field: number): string {
    const text = decodeUtf8Lenient(this.#bytes.subarray(this.#fields[field + 1], this.#fields[field + 2]));
    return trimBlanks(text.slice(text.indexOf(":") + 1).replace(/\r?\n/g, ""));
  }
}

function lowerCase(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
}
