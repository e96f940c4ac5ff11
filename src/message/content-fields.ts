import { CR, decodeUtf8Lenient, LF, SPACE } from "../base/index.ts";

/** What the fields of one entity (a message, or a part of one) say of its content (RFC 2045). */
export interface ContentFields {
  /** `text`, `multipart`, …, in lower case; text/plain where there is no Content-Type, or as `fallback` said. */
  readonly type: string;
  readonly subtype: string;
  /** Of a multipart; null where it has none that could be one. */
  readonly boundary: string | null;
  /** In lower case; "7bit" where there is none. */
  readonly encoding: string;
  readonly hasType: boolean;
  readonly hasMimeVersion: boolean;
  /** Where the Content-Transfer-Encoding field lies in the header section, or null. */
  readonly encodingAt: { readonly start: number; readonly end: number } | null;
  /** Where fields may be added: before the empty line. */
  readonly fieldsEnd: number;
}

const TAB = 0x09;
const TOKEN = '[^\\u0000-\\u0020()<>@,;:\\\\"/\\[\\]?=\\u007f-\\uffff]+';
const TYPE = new RegExp(`^(${TOKEN})/(${TOKEN})$`);
const PARAMETER = new RegExp(`;\\s*(${TOKEN})\\s*=\\s*(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)")`, "gs");

/** RFC 2046 §5.1.1: 1 to 70 of bchars, not ending in a space. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

/**
 * Reads a header section with its empty line (or cut before it). Null where it is none: a line that is no field, or two fields of
 * which there may be one only. Two readers might disagree on such a thing.
 */
export function readContentFields(
  header: Uint8Array,
  fallback: { readonly type: string; readonly subtype: string },
): ContentFields | null {
  const fields = fieldsOf(header);
  if (fields === null) return null;
  const named = (name: string) => fields.filter((field) => field.name === name);
  const types = named("content-type");
  const encodings = named("content-transfer-encoding");
  if (types.length > 1 || encodings.length > 1) return null;
  const [encoding] = encodings;
  const written = types[0] === undefined ? null : withoutComments(types[0].value);
  const content = written === null ? fallback : readType(written);
  if (content === null) return null;
  return {
    type: content.type,
    subtype: content.subtype,
    boundary: written === null ? null : readBoundary(written),
    encoding: encoding === undefined ? "7bit" : withoutComments(encoding.value).trim().toLowerCase(),
    hasType: written !== null,
    hasMimeVersion: named("mime-version").length > 0,
    encodingAt: encoding === undefined ? null : { start: encoding.start, end: encoding.end },
    fieldsEnd: fields.at(-1)?.end ?? 0,
  };
}

interface Field {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

function fieldsOf(header: Uint8Array): readonly Field[] | null {
  const fields: Field[] = [];
  for (let start = 0; start < header.length; ) {
    if (header[start] === CR && header[start + 1] === LF) break;
    let end = lineEnd(header, start);
    while (header[end] === SPACE || header[end] === TAB) end = lineEnd(header, end);
    const text = decodeUtf8Lenient(header.subarray(start, end));
    const [, name, value] = /^([\u0021-\u0039\u003b-\u007e]+)[ \t]*:(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined) return null;
    fields.push({ name: name.toLowerCase(), value, start, end });
    start = end;
  }
  return fields;
}

function lineEnd(octets: Uint8Array, from: number): number {
  for (let at = octets.indexOf(LF, from); at !== -1; at = octets.indexOf(LF, at + 1)) {
    if (octets[at - 1] === CR) return at + 1;
  }
  return octets.length;
}

/** RFC 5322 §3.2.2: comments, which nest, stand outside of quoted strings. Folding becomes a space. */
function withoutComments(value: string): string {
  let text = "";
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < value.length; at++) {
    const char = value.charAt(at);
    if (char === "\\" && (quoted || depth > 0)) {
      if (depth === 0) text += value.slice(at, at + 2);
      at++;
    } else if (depth === 0 && char === '"') {
      quoted = !quoted;
      text += char;
    } else if (!quoted && char === "(") depth++;
    else if (depth > 0) depth -= char === ")" ? 1 : 0;
    else text += char;
  }
  return text.replace(/\r\n/g, "");
}

function readType(written: string): { readonly type: string; readonly subtype: string } | null {
  const [, type, subtype] = TYPE.exec((written.split(";", 1)[0] ?? "").replace(/\s+/g, "")) ?? [];
  if (type === undefined || subtype === undefined) return null;
  return { type: type.toLowerCase(), subtype: subtype.toLowerCase() };
}

function readBoundary(written: string): string | null {
  for (const [, name = "", token, quoted] of written.matchAll(PARAMETER)) {
    if (name.toLowerCase() !== "boundary") continue;
    const boundary = token ?? (quoted ?? "").replace(/\\(.)/gs, "$1");
    return BOUNDARY.test(boundary) ? boundary : null;
  }
  return null;
}
