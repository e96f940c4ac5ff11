import { CR, concatBytes, encodeUtf8, err, LF, ok, type Result } from "../base/index.ts";
import { type Entity, EntityReader, type EntityVisitor, isIdentity, NotMime } from "./entities.ts";
import { Base64, QuotedPrintable, type TransferEncoder } from "./transfer-encoding.ts";

/** What a server without 8BITMIME, BINARYMIME or SMTPUTF8 has to know of a message. */
export interface Survey {
  /** There are octets outside of ASCII in a header section, the message's or one within it at any level (RFC 6531 §3.2). */
  readonly eightBitHeader: boolean;
  /** What the whole message is (RFC 2045 §2.7 to §2.9). */
  readonly content: "7bit" | "8bit" | "binary";
  /** How it becomes a 7-bit message, or in plain words why it cannot. */
  readonly downgrade: Result<Downgrade, string>;
}

/** What is done with each entity, in their order. */
export type Downgrade = readonly Change[];

/** "relabel": only named 7bit, which it is. */
type Change = "keep" | "relabel" | "quoted-printable" | "base64";

/** Octets of a line of 7bit or 8bit content, its CRLF not counted (RFC 2045 §2.7). */
const MAX_LINE = 998;

const FIRST_8BIT = 0x80;

/** Looks at a message before it is sent on. Push all of it, then `finish`. */
export class MessageSurvey implements EntityVisitor {
  readonly #reader = new EntityReader(this);
  readonly #changes: Change[] = [];
  #all = new Contents();
  #part = new Contents();
  #eightBitHeader = false;
  #trouble: string | null = null;
  #broken = false;

  push(chunk: Uint8Array): void {
    this.#all.push(chunk);
    if (!this.#broken) this.#read(() => this.#reader.push(chunk));
  }

  finish(): Survey {
    if (!this.#broken) this.#read(() => this.#reader.end());
    const content = this.#all.verdict();
    const downgrade = this.#trouble === null ? ok(this.#changes) : err(this.#trouble);
    // Of a message that cannot be taken apart nobody knows what is a header section.
    return { eightBitHeader: this.#eightBitHeader || (this.#broken && content !== "7bit"), content, downgrade };
  }

  header(entity: Entity, octets: Uint8Array): void {
    const found = new Contents();
    found.push(octets);
    if (found.eightBit) this.#eightBitHeader = true;
    if (found.verdict() !== "7bit") this.#trouble ??= "a header field is not ASCII";
    this.#part = new Contents();
    const { encoding } = entity.fields;
    const relabel = !entity.signed && (encoding === "8bit" || encoding === "binary");
    this.#changes.push(relabel ? "relabel" : "keep");
  }

  content(_entity: Entity, octets: Uint8Array): void {
    this.#part.push(octets);
  }

  contentEnd(entity: Entity): void {
    if (this.#part.verdict() === "7bit") return;
    const { type, subtype, encoding } = entity.fields;
    const global = type === "message" && subtype.startsWith("global");
    // RFC 6532 §3.7: a header section of the new kind, as it is.
    if (global && this.#part.eightBit) this.#eightBitHeader = true;
    if (!isIdentity(encoding)) this.#trouble ??= "a part is not what its Content-Transfer-Encoding says";
    else if (entity.signed) this.#trouble ??= "a signed part may not be changed";
    // RFC 2046 §5.1, §5.2: no other encoding than 7bit, 8bit and binary for these.
    else if (type === "multipart" || (type === "message" && !global))
      this.#trouble ??= `${type}/${subtype} is not ASCII`;
    else this.#changes[entity.index] = type === "text" ? "quoted-printable" : "base64";
  }

  between(octets: Uint8Array): void {
    const found = new Contents();
    found.push(octets);
    if (found.verdict() !== "7bit") this.#trouble ??= "there is more than ASCII between the parts";
  }

  #read(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof NotMime)) throw error;
      this.#broken = true;
      this.#trouble = error.message;
    }
  }
}

/** What kinds of octets and lines there are. */
class Contents {
  eightBit = false;
  #binary = false;
  #column = 0;
  #afterCr = false;

  push(octets: Uint8Array): void {
    for (const octet of octets) {
      if (octet === LF) {
        if (!this.#afterCr) this.#binary = true;
        this.#column = 0;
        this.#afterCr = false;
        continue;
      }
      if (this.#afterCr) this.#binary = true;
      this.#afterCr = octet === CR;
      if (octet === CR) continue;
      if (octet === 0 || ++this.#column > MAX_LINE) this.#binary = true;
      else if (octet >= FIRST_8BIT) this.eightBit = true;
    }
  }

  verdict(): Survey["content"] {
    if (this.#binary || this.#afterCr) return "binary";
    return this.eightBit ? "8bit" : "7bit";
  }
}

/**
 * Makes a message 7-bit while it passes, as a survey of the same octets found that it can be: 8-bit and binary leaves become
 * quoted-printable (text) or base64, and each Content-Transfer-Encoding says so (RFC 6152 §3). Boundaries and all else stay.
 */
export class Downgrader implements EntityVisitor {
  readonly #downgrade: Downgrade;
  readonly #reader = new EntityReader(this);
  #encoder: TransferEncoder | null = null;
  #out: Uint8Array[] = [];

  constructor(downgrade: Downgrade) {
    this.#downgrade = downgrade;
  }

  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#reader.push(chunk);
    return this.#taken();
  }

  end(): readonly Uint8Array[] {
    this.#reader.end();
    return this.#taken();
  }

  header(entity: Entity, octets: Uint8Array): void {
    const change = this.#downgrade[entity.index] ?? "keep";
    if (change === "quoted-printable") this.#encoder = new QuotedPrintable();
    else this.#encoder = change === "base64" ? new Base64() : null;
    if (change === "keep") this.#out.push(octets);
    else this.#out.push(...relabelled(entity, octets, change === "relabel" ? "7bit" : change));
  }

  content(_entity: Entity, octets: Uint8Array): void {
    this.#out.push(this.#encoder === null ? octets : this.#encoder.push(octets));
  }

  contentEnd(_entity: Entity, closed: boolean): void {
    if (this.#encoder !== null) this.#out.push(this.#encoder.end(closed));
    this.#encoder = null;
  }

  between(octets: Uint8Array): void {
    this.#out.push(octets);
  }

  #taken(): readonly Uint8Array[] {
    // Content comes line by line; what leaves should not.
    const whole = this.#out.length === 0 ? [] : [concatBytes(this.#out)];
    this.#out = [];
    return whole;
  }
}

/** The header section with its Content-Transfer-Encoding replaced, and with what a MIME entity must have beside it. */
function relabelled(entity: Entity, octets: Uint8Array, encoding: string): readonly Uint8Array[] {
  const { fields, isMessage } = entity;
  const { start, end } = fields.encodingAt ?? { start: fields.fieldsEnd, end: fields.fieldsEnd };
  let added = `Content-Transfer-Encoding: ${encoding}\r\n`;
  // RFC 1428 §3: text of which nobody said what it is.
  if (!fields.hasType && encoding === "quoted-printable") {
    added = `Content-Type: text/plain; charset=unknown-8bit\r\n${added}`;
  }
  if (isMessage && !fields.hasMimeVersion) added = `MIME-Version: 1.0\r\n${added}`;
  return [octets.subarray(0, start), encodeUtf8(added), octets.subarray(end)];
}
