import { type DnsMessage, type DnsRecord, isOfType } from "./dns-message.ts";
import { readName } from "./dns-name.ts";
import { formatIp } from "./ip-address.ts";
import type { MxRecord, SrvRecord, TlsaRecord } from "./resolver.ts";

/**
 * The data of records (RFC 1035 §3.3), each read within its own bounds: a record that is short must not take octets of the next.
 */

/** Reads the data of a record of its type; null where the data is malformed. */
export type DataReader<T> = (message: DnsMessage, record: DnsRecord) => T | null;

export const readAddress: DataReader<string> = ({ bytes }, record) => {
  const data = bytes.subarray(record.start, record.end);
  return data.length === (isOfType(record, "A") ? 4 : 16) ? formatIp(data) : null;
};

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
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
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
