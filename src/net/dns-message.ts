import { err, ok, type Result } from "../base/index.ts";
import { readName, wireName } from "./dns-name.ts";

/**
 * The wire format of DNS (RFC 1035 §4) as far as a stub resolver needs it. The reader trusts nothing: each length is checked
 * against the message and each field against the length of its record, so that short data is an error and never a neighbour's.
 */
const typeCodes = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  TLSA: 52,
} as const;

export type RecordType = Exclude<keyof typeof typeCodes, "OPT">;

export const rcodes = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
  badVersion: 16,
} as const;

const CLASS_IN = 1;
const HEADER_OCTETS = 12;
/** The payload that passes everywhere without fragments (DNS flag day 2020). */
const UDP_PAYLOAD = 1232;
/** QR and the opcode: a response to a standard query. */
const RESPONSE_MASK = 0xf800;
const FLAGS = { response: 0x8000, truncated: 0x0200, recursionDesired: 0x0100, authenticData: 0x0020 } as const;
const DNSSEC_OK = 0x8000;

export interface DnsQuery {
  readonly id: number;
  readonly name: string;
  readonly type: RecordType;
  /** False for a server that does not know EDNS (RFC 6891 §7). */
  readonly edns: boolean;
  /** Ask for the result of DNSSEC validation: AD (RFC 6840 §5.7), and DO (RFC 3225) for servers that tell it only then. */
  readonly dnssec: boolean;
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

/** A query that asks for recursion. Null for a name that cannot be. */
export function formatQuery(query: DnsQuery): Uint8Array | null {
  const name = wireName(query.name);
  if (name === null) return null;
  const option = query.edns ? 11 : 0;
  const bytes = new Uint8Array(HEADER_OCTETS + name.length + 4 + option);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, query.id);
  view.setUint16(2, FLAGS.recursionDesired | (query.dnssec ? FLAGS.authenticData : 0));
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
    view.setUint16(after + 11, query.dnssec ? DNSSEC_OK : 0);
  }
  return bytes;
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
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint16(2);
  const questionCount = view.getUint16(4);
  let at = HEADER_OCTETS;
  let question: DnsMessage["question"] = null;
  for (let left = questionCount; left > 0; left--) {
    const name = readName(bytes, at, bytes.length);
    if (name === null || name.next + 4 > bytes.length) return err("a question is cut short");
    if (questionCount === 1 && view.getUint16(name.next + 2) === CLASS_IN)
      question = { name: name.text, type: view.getUint16(name.next) };
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
    response: (flags & RESPONSE_MASK) === FLAGS.response,
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

export function isOfType(record: DnsRecord, type: RecordType): boolean {
  return record.type === typeCodes[type];
}

/** True for "ask those servers instead" (RFC 2308 §2.2): from a server that does no recursion. It denies nothing. */
export function isReferral({ rcode, answers: records, authorities }: DnsMessage): boolean {
  return (
    rcode === rcodes.noError &&
    records.length === 0 &&
    authorities.some((record) => isOfType(record, "NS")) &&
    !authorities.some((record) => isOfType(record, "SOA"))
  );
}
