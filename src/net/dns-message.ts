import { err, ok, type Result } from "../base/index.ts";
import { formatIp } from "./ip-address.ts";
import type { MxRecord, SrvRecord, TlsaRecord } from "./resolver.ts";

/**
 * The wire format of DNS (RFC 1035 §4) as far as a stub resolver needs it. The reader trusts nothing: each length is checked
 * against the message and each field against the length of its record, so that short data is an error and never a neighbour's.
 */
const typeCodes = { A: 1, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, TLSA: 52 } as const;

export type RecordType = Exclude<keyof typeof typeCodes, "OPT">;

export const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
} as const;

const CLASS_IN = 1;
const HEADER_OCTETS = 12;
const MAX_NAME_OCTETS = 255;
const MAX_LABEL_OCTETS = 63;
/** The payload that passes everywhere without fragments (DNS flag day 2020). */
const UDP_PAYLOAD = 1232;
const FLAGS = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100, authenticData: 0x0020 } as const;
const DNSSEC_OK = 0x8000;

export interface DnsQuery {
  readonly id: number;
  readonly name: string;
  readonly type: RecordType;
  /** False for a server that does not know EDNS (RFC 6891 §7). */
  readonly edns: boolean;
}

export interface DnsRecord {
  /** Lower case, no trailing dot. */
  readonly name: string;
  readonly type: number;
  /** Seconds. */
  readonly ttl: number;
  /** Where its data begins in the message, and the first octet after it. */
  readonly start: number;
  readonly end: number;
}

export interface DnsMessage {
  readonly bytes: Uint8Array;
  readonly id: number;
  readonly response: boolean;
  /** Then no records are given: they may be cut anywhere, and TCP has the whole (RFC 2181 §9). */
  readonly truncated: boolean;
  readonly authenticData: boolean;
  /** With the extension of EDNS, where there is one. */
  readonly rcode: number;
  /** Null unless there is exactly one. */
  readonly question: { readonly name: string; readonly type: number } | null;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
}

/** A query that asks for recursion and for the result of DNSSEC validation (AD, RFC 6840 §5.7). Null for a name that cannot be. */
export function formatQuery(query: DnsQuery): Uint8Array | null {
  const name = wireName(query.name);
  if (name === null) return null;
  const option = query.edns ? 11 : 0;
  const bytes = new Uint8Array(HEADER_OCTETS + name.length + 4 + option);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, query.id);
  view.setUint16(2, FLAGS.recursionDesired | FLAGS.authenticData);
  view.setUint16(4, 1);
  view.setUint16(10, query.edns ? 1 : 0);
  bytes.set(name, HEADER_OCTETS);
  const after = HEADER_OCTETS + name.length;
  view.setUint16(after, typeCodes[query.type]);
  view.setUint16(after + 2, CLASS_IN);
  if (query.edns) {
    // RFC 6891 §6.1.2: the root name, the type, our payload as the class, flags as the TTL, no options.
    view.setUint16(after + 5, typeCodes.OPT);
    view.setUint16(after + 7, UDP_PAYLOAD);
    view.setUint16(after + 11, DNSSEC_OK);
  }
  return bytes;
}

function wireName(name: string): Uint8Array | null {
  const octets: number[] = [];
  for (const label of name === "" ? [] : name.split(".")) {
    if (label.length === 0 || label.length > MAX_LABEL_OCTETS || !/^[\x21-\x7e]+$/.test(label)) return null;
    octets.push(label.length);
    for (let at = 0; at < label.length; at++) octets.push(label.charCodeAt(at));
  }
  octets.push(0);
  return octets.length > MAX_NAME_OCTETS ? null : Uint8Array.from(octets);
}

/** True for the response to `query`: the same id and the same question. Anything else is a stray or a forgery. */
export function answers(message: DnsMessage, query: DnsQuery): boolean {
  if (!message.response || message.id !== query.id) return false;
  // A server that did not understand the query may leave the question out.
  if (message.question === null) return message.rcode === rcodes.formatError;
  return message.question.name === query.name.toLowerCase() && message.question.type === typeCodes[query.type];
}

/** Reads a message; an error says what is wrong with it. */
export function parseMessage(bytes: Uint8Array): Result<DnsMessage, string> {
  if (bytes.length < HEADER_OCTETS) return err("shorter than a header");
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  const questionCount = view.getUint16(4);
  let at = HEADER_OCTETS;
  let question: DnsMessage["question"] = null;
  for (let left = questionCount; left > 0; left--) {
    const name = readName(bytes, at, bytes.length);
    if (name === null || name.next + 4 > bytes.length) return err("a question is cut short");
    if (questionCount === 1) question = { name: name.text, type: view.getUint16(name.next) };
    at = name.next + 4;
  }
  const truncated = (flags & FLAGS.truncated) !== 0;
  const sections: DnsRecord[][] = [];
  let extendedRcode = 0;
  for (const offset of truncated ? [] : [6, 8, 10]) {
    const records: DnsRecord[] = [];
    for (let left = view.getUint16(offset); left > 0; left--) {
      const record = readRecord(bytes, view, at);
      if (record === null) return err("a record is cut short");
      at = record.end;
      if (record.type === typeCodes.OPT) extendedRcode = record.extendedRcode;
      else if (record.classCode === CLASS_IN) records.push(record);
    }
    sections.push(records);
  }
  const [answerSection = [], authorities = []] = sections;
  return ok({
    bytes,
    id: view.getUint16(0),
    response: (flags & FLAGS.response) !== 0,
    truncated,
    authenticData: (flags & FLAGS.authenticData) !== 0,
    rcode: (extendedRcode << 4) | (flags & 0x0f),
    question,
    answers: answerSection,
    authorities,
  });
}

interface WireRecord extends DnsRecord {
  readonly classCode: number;
  readonly extendedRcode: number;
}

function readRecord(bytes: Uint8Array, view: DataView, at: number): WireRecord | null {
  const name = readName(bytes, at, bytes.length);
  if (name === null || name.next + 10 > bytes.length) return null;
  const ttl = view.getUint32(name.next + 4);
  const start = name.next + 10;
  const end = start + view.getUint16(name.next + 8);
  if (end > bytes.length) return null;
  return {
    name: name.text,
    type: view.getUint16(name.next),
    classCode: view.getUint16(name.next + 2),
    extendedRcode: ttl >>> 24,
    ttl: ttl > 0x7fff_ffff ? 0 : ttl, // RFC 2181 §8
    start,
    end,
  };
}

/**
 * A name at `at` whose own octets end by `end`. A pointer may lead anywhere before itself, so that no chain of them is endless
 * (RFC 1035 §4.1.4).
 */
function readName(bytes: Uint8Array, at: number, end: number): { text: string; next: number } | null {
  const labels: string[] = [];
  let next: number | null = null;
  let total = 1;
  let limit = end;
  for (let position = at; ; ) {
    const length = bytes[position];
    if (length === undefined || position >= limit) return null;
    if (length === 0) return { text: labels.join("."), next: next ?? position + 1 };
    if (length >= 0xc0) {
      const low = bytes[position + 1];
      if (low === undefined || position + 2 > limit) return null;
      const target = ((length & 0x3f) << 8) | low;
      if (target >= position) return null;
      next ??= position + 2;
      limit = position;
      position = target;
      continue;
    }
    if (length > MAX_LABEL_OCTETS || position + 1 + length > limit) return null;
    total += length + 1;
    if (total > MAX_NAME_OCTETS) return null;
    labels.push(labelText(bytes, position + 1, position + 1 + length));
    position += 1 + length;
  }
}

/** Lower case; a dot inside a label and what is not printable are escaped as in zone files (RFC 1035 §5.1), so that no name passes for another. */
function labelText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at++) {
    const octet = bytes[at] ?? 0;
    const char = String.fromCharCode(octet);
    if (octet <= 0x20 || octet >= 0x7f) text += `\\${octet.toString().padStart(3, "0")}`;
    else text += char === "." || char === "\\" ? `\\${char}` : char;
  }
  return text.toLowerCase();
}

/** Reads the data of a record of its type; null where the data is malformed. */
export type DataReader<T> = (message: DnsMessage, record: DnsRecord) => T | null;

export function isOfType(record: DnsRecord, type: RecordType): boolean {
  return record.type === typeCodes[type];
}

export const readAddress: DataReader<string> = ({ bytes }, { type, start, end }) =>
  end - start === (type === typeCodes.A ? 4 : 16) ? formatIp(bytes.subarray(start, end)) : null;

/** The name that is the whole data: of CNAME and PTR. */
export const readNameData: DataReader<string> = ({ bytes }, { start, end }) => nameUpTo(bytes, start, end);

export const readMx: DataReader<MxRecord> = ({ bytes }, { start, end }) => {
  if (end - start < 3) return null;
  const exchange = nameUpTo(bytes, start + 2, end);
  return exchange === null ? null : { preference: viewOf(bytes).getUint16(start), exchange };
};

/** RFC 2782. */
export const readSrv: DataReader<SrvRecord> = ({ bytes }, { start, end }) => {
  if (end - start < 7) return null;
  const view = viewOf(bytes);
  const target = nameUpTo(bytes, start + 6, end);
  if (target === null) return null;
  return {
    priority: view.getUint16(start),
    weight: view.getUint16(start + 2),
    port: view.getUint16(start + 4),
    target,
  };
};

/** RFC 6698 §2.1. */
export const readTlsa: DataReader<TlsaRecord> = ({ bytes }, { start, end }) => {
  const [usage, selector, matchingType] = bytes.subarray(start, end);
  if (usage === undefined || selector === undefined || matchingType === undefined || end - start === 3) return null;
  return { usage, selector, matchingType, data: new Uint8Array(bytes.subarray(start + 3, end)) };
};

/** All strings of the record in one (RFC 7208 §3.3), each octet one character up to U+007F and UTF-8 beyond. */
export const readTxt: DataReader<string> = ({ bytes }, { start, end }) => {
  if (start === end) return null;
  const decoder = new TextDecoder();
  let text = "";
  for (let at = start; at < end; ) {
    const length = bytes[at] ?? 0;
    if (at + 1 + length > end) return null;
    text += decoder.decode(bytes.subarray(at + 1, at + 1 + length), { stream: true });
    at += 1 + length;
  }
  return text + decoder.decode();
};

/** How long an absence may be remembered, in seconds: the lesser of the SOA's own TTL and its MINIMUM (RFC 2308 §5). */
export const readNegativeTtl: DataReader<number> = ({ bytes }, { ttl, start, end }) => {
  const primary = readName(bytes, start, end);
  const mailbox = primary === null ? null : readName(bytes, primary.next, end);
  if (mailbox === null || mailbox.next + 20 !== end) return null;
  return Math.min(ttl, viewOf(bytes).getUint32(mailbox.next + 16));
};

function nameUpTo(bytes: Uint8Array, start: number, end: number): string | null {
  const name = readName(bytes, start, end);
  return name !== null && name.next === end ? name.text : null;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
