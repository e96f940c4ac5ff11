import { encodeUtf8, type Instant } from "../base/index.ts";

/** Where a line is folded, its CRLF not counted (RFC 5322 §2.1.1: SHOULD be no more than 78). */
const FOLD_COLUMN = 78;

/** No line may be longer, its CRLF not counted (RFC 5322 §2.1.1: MUST be no more than 998). */
const MAX_LINE = 998;

const FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f]/;
const FIELD_NAME = /^[\u0021-\u0039\u003b-\u007e]+$/;

/**
 * One header field as octets, folded with CRLF TAB and ended by CRLF (RFC 5322 §2.2). `clauses` are groups of words: lines are
 * broken between groups where that is enough, else between words, never inside one.
 *
 * Throws when a word holds CR, LF, NUL or another control: what comes from a peer is made safe where it enters, so that
 * here it is a bug (header injection).
 */
export function formatField(name: string, clauses: readonly (readonly string[])[]): Uint8Array {
  if (!FIELD_NAME.test(name)) throw new Error("a field name must be printable ASCII without a colon");
  let text = `${name}:`;
  let column = text.length;
  let fresh = true;
  const add = (piece: string): void => {
    const fold = !fresh && column + 1 + piece.length > FOLD_COLUMN;
    text += fold ? `\r\n\t${piece}` : ` ${piece}`;
    column = fold ? 1 + piece.length : column + 1 + piece.length;
    fresh = false;
    if (column > MAX_LINE) throw new Error(`a word of the field ${name} is longer than a line may be`);
  };
  for (const words of clauses) {
    const clause = words.join(" ");
    if (FORBIDDEN.test(clause)) throw new Error(`a word of the field ${name} holds a control character`);
    if (1 + clause.length <= FOLD_COLUMN) add(clause);
    else for (const word of words) add(word);
  }
  return encodeUtf8(`${text}\r\n`);
}

/**
 * `Sun, 22 Nov 2026 01:57:48 +0000` (RFC 5322 §3.3). Always in Universal Time: a zone of the machine would be one more
 * thing that trace fields of two hosts disagree on. `toUTCString` gives these very words, with "GMT" for the zone
 * (ECMA-262, Date.prototype.toUTCString), which RFC 5322 §4.3 calls obsolete.
 */
export function formatDate(at: Instant): string {
  const second = Math.floor(at / 1000);
  if (second !== lastDate.second) {
    lastDate = { second, text: new Date(at).toUTCString().replace("GMT", "+0000") };
  }
  return lastDate.text;
}

/** Kept because every message that comes within a second wants the same words. */
let lastDate: { readonly second: number; readonly text: string } = { second: Number.NaN, text: "" };
