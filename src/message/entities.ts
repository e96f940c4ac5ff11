import { CR, CRLF, concatBytes, EMPTY, LF, SPACE } from "../base/index.ts";
import { type ContentFields, readContentFields } from "./content-fields.ts";

/** A message or a part of one, as its header section describes it. */
export interface Entity {
  /** In the order in which they come, from 0. */
  readonly index: number;
  readonly fields: ContentFields;
  /** It is a whole message: the outermost, or in a message/rfc822. */
  readonly isMessage: boolean;
  /** What holds content of its own, rather than parts or a message. */
  readonly isLeaf: boolean;
  /** Inside of a multipart/signed, where nothing may be changed (RFC 1847 §2.1). */
  readonly signed: boolean;
}

/** Who is told what a message is made of, in order. All octets of the message are told, each once. */
export interface EntityVisitor {
  /** A header section with its empty line, or as far as it came. */
  header(entity: Entity, octets: Uint8Array): void;
  /** Content of a leaf; without the CRLF that belongs to the boundary behind it (RFC 2046 §5.1.1). */
  content(entity: Entity, octets: Uint8Array): void;
  /** The leaf is over; `closed`: and with it the message. */
  contentEnd(entity: Entity, closed: boolean): void;
  /** Boundaries, and what stands before the first and behind the last. */
  between(octets: Uint8Array): void;
}

/** The message cannot be taken apart: a header section that is none or too long, or too many or too deep parts. */
export class NotMime extends Error {
  override readonly name = "NotMime";
}

/** A boundary line is shorter, with the white space that may follow it; a line of this length may be told in pieces. */
const MAX_BOUNDARY_LINE = 1000;
const MAX_HEADER = 256 * 1024;
const MAX_ENTITIES = 10_000;
const MAX_DEPTH = 50;

const HYPHEN = 0x2d;
const TAB = 0x09;
const PLAIN = { type: "text", subtype: "plain" };
const MESSAGE = { type: "message", subtype: "rfc822" };

/** Encodings that change nothing (RFC 2045 §6.2). */
export function isIdentity(encoding: string): boolean {
  return encoding === "7bit" || encoding === "8bit" || encoding === "binary";
}

interface Multipart {
  /** `--boundary`. */
  readonly delimiter: Uint8Array;
  readonly digest: boolean;
  readonly signed: boolean;
}

/**
 * Takes a message apart into entities while it passes (RFC 2045, RFC 2046), however it is cut. Holds no more than a header section
 * and one short line. `push` and `end` throw `NotMime`.
 */
export class EntityReader {
  readonly #visitor: EntityVisitor;
  readonly #open: Multipart[] = [];
  #carry: Uint8Array = EMPTY;
  #lineStart = true;
  #entities = 0;
  #depth = 0;
  #header: Uint8Array[] | null = [];
  #headerOctets = 0;
  #next = { fallback: PLAIN, isMessage: true, signed: false };
  #leaf: Entity | null = null;
  #heldNewline = false;

  constructor(visitor: EntityVisitor) {
    this.#visitor = visitor;
  }

  push(chunk: Uint8Array): void {
    const octets = this.#carry.length === 0 ? chunk : concatBytes([this.#carry, chunk]);
    this.#carry = EMPTY;
    let at = 0;
    for (let newline = octets.indexOf(LF); newline !== -1; newline = octets.indexOf(LF, newline + 1)) {
      if (newline === at || octets[newline - 1] !== CR) continue;
      this.#line(octets.subarray(at, newline + 1), true);
      at = newline + 1;
    }
    const rest = octets.subarray(at);
    if (rest.length === 0) return;
    if (this.#lineStart && rest.length < MAX_BOUNDARY_LINE) {
      this.#carry = rest;
      return;
    }
    const cut = rest.at(-1) === CR ? rest.length - 1 : rest.length;
    if (cut > 0) this.#line(rest.subarray(0, cut), false);
    this.#carry = rest.subarray(cut);
  }

  end(): void {
    if (this.#carry.length > 0) this.#line(this.#carry, false);
    this.#carry = EMPTY;
    if (this.#header !== null) this.#headerEnd();
    // A message that ends where its header does.
    if (this.#header !== null) this.#headerEnd();
    this.#leafEnd(true);
  }

  /** A line with its CRLF, or (`whole` false) a piece of one. */
  #line(line: Uint8Array, whole: boolean): void {
    const atStart = this.#lineStart;
    this.#lineStart = whole;
    const level = atStart ? this.#levelOf(line) : -1;
    if (level !== -1) this.#delimiter(level, line);
    else if (this.#header !== null)
      this.#headerLine(this.#header, line, atStart && line.length === CRLF.length && whole);
    else if (this.#leaf !== null) this.#contentLine(this.#leaf, line, whole);
    else this.#visitor.between(line);
  }

  #headerLine(header: Uint8Array[], line: Uint8Array, empty: boolean): void {
    header.push(line);
    this.#headerOctets += line.length;
    if (this.#headerOctets > MAX_HEADER) throw new NotMime("a header section is too long");
    if (empty) this.#headerEnd();
  }

  #contentLine(leaf: Entity, line: Uint8Array, whole: boolean): void {
    if (this.#heldNewline) this.#visitor.content(leaf, CRLF);
    this.#heldNewline = whole;
    const content = whole ? line.subarray(0, -CRLF.length) : line;
    if (content.length > 0) this.#visitor.content(leaf, content);
  }

  #headerEnd(): void {
    const octets = concatBytes(this.#header ?? []);
    this.#header = null;
    this.#headerOctets = 0;
    const { fallback, isMessage, signed } = this.#next;
    const fields = readContentFields(octets, fallback);
    if (fields === null) throw new NotMime("a header section cannot be understood");
    if (this.#entities >= MAX_ENTITIES) throw new NotMime("there are too many parts");
    const { type, subtype, boundary, encoding } = fields;
    const identity = isIdentity(encoding);
    const multipart = type === "multipart" && boundary !== null && identity;
    const message = type === "message" && subtype === "rfc822" && identity;
    const entity = { index: this.#entities++, fields, isMessage, isLeaf: !multipart && !message, signed };
    this.#visitor.header(entity, octets);
    if (multipart) {
      if (this.#open.length >= MAX_DEPTH) throw new NotMime("parts lie too deep in each other");
      const inside = signed || subtype === "signed";
      const delimiter = Uint8Array.from(`--${boundary}`, (char) => char.charCodeAt(0));
      this.#open.push({ delimiter, digest: subtype === "digest", signed: inside });
    } else if (message) {
      if (++this.#depth > MAX_DEPTH) throw new NotMime("messages lie too deep in each other");
      this.#header = [];
      this.#next = { fallback: PLAIN, isMessage: true, signed };
    } else this.#leaf = entity;
  }

  /** The multipart whose delimiter the line is, the innermost first; a delimiter of an outer one ends those within. */
  #levelOf(line: Uint8Array): number {
    // Where the line came in pieces nobody saw its end: what it is must not depend on how it was cut.
    if (line[0] !== HYPHEN || line[1] !== HYPHEN || line.length >= MAX_BOUNDARY_LINE - 1) return -1;
    return this.#open.findLastIndex(({ delimiter }) => isDelimiter(line, delimiter));
  }

  #delimiter(level: number, line: Uint8Array): void {
    if (this.#header !== null) this.#headerEnd();
    if (this.#header !== null) this.#headerEnd();
    const newline = this.#heldNewline;
    this.#heldNewline = false;
    this.#leafEnd(false);
    if (newline) this.#visitor.between(CRLF);
    this.#visitor.between(line);
    const multipart = this.#open[level];
    if (multipart === undefined) return;
    const close = line[multipart.delimiter.length] === HYPHEN;
    this.#open.splice(close ? level : level + 1);
    if (close) return;
    this.#depth = 0;
    this.#header = [];
    this.#next = { fallback: multipart.digest ? MESSAGE : PLAIN, isMessage: false, signed: multipart.signed };
  }

  #leafEnd(closed: boolean): void {
    const leaf = this.#leaf;
    this.#leaf = null;
    if (leaf === null) return;
    if (this.#heldNewline) this.#visitor.content(leaf, CRLF);
    this.#heldNewline = false;
    this.#visitor.contentEnd(leaf, closed);
  }
}

function isDelimiter(line: Uint8Array, delimiter: Uint8Array): boolean {
  if (line.length < delimiter.length) return false;
  for (let at = 0; at < delimiter.length; at++) if (line[at] !== delimiter[at]) return false;
  let at = delimiter.length;
  if (line[at] === HYPHEN && line[at + 1] === HYPHEN) at += 2;
  for (; at < line.length; at++) {
    const octet = line[at];
    if (octet !== SPACE && octet !== TAB && octet !== CR && octet !== LF) return false;
  }
  return true;
}
