// The PROXY protocol, versions 1 and 2, of the receiving side: haproxy's doc/proxy-protocol.txt, whose sections are cited.
import { concatBytes, err, ok, type Result } from "../base/index.ts";
import { formatIp, ipOctets } from "./ip-address.ts";
import type { Endpoint } from "./stream.ts";

/** What a proxy says of the connection it passes on. */
export type ProxyHeader =
  /** It speaks for itself (a health check), or does not know: the connection's own ends count (§2.1 UNKNOWN, §2.2 LOCAL). */
  { readonly kind: "local" } | { readonly kind: "proxied"; readonly client: Endpoint; readonly destination: Endpoint };

export type ProxyHeaderProblem =
  /** The first octets are of neither version. */
  | "noHeader"
  /** A version 1 line without its CRLF in 107 octets, or a version 2 header beyond the limit. */
  | "tooLong"
  | "syntax"
  /** The CRC-32C that it carries is not its own (§2.2.3). */
  | "checksum";

/** A version 1 line with its CRLF, §2.1. */
const MAX_LINE = 107;
const FIXED = 16;
/** Octets behind the fixed part of version 2. The length field would allow 65,535; senders stay below one segment. */
const MAX_ADDRESSES_AND_TLVS = 4096;

const WORD = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59, 0x20); // "PROXY "
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const LOCAL: ProxyHeader = { kind: "local" };

const CR = 0x0d;
const LF = 0x0a;

/** Finds a header at the start of a stream, however it is cut. After a header or a problem it is used up. */
export class ProxyHeaderDecoder {
  #held: Uint8Array = new Uint8Array(0);

  /** The header and the octets behind it, which belong to the session; null as long as more octets are needed. */
  push(
    bytes: Uint8Array,
  ): Result<{ readonly header: ProxyHeader; readonly rest: Uint8Array } | null, ProxyHeaderProblem> {
    // Never more than one whole header, whatever length it claims.
    const taken = bytes.subarray(0, FIXED + MAX_ADDRESSES_AND_TLVS - this.#held.length);
    const before = this.#held.length;
    this.#held = before === 0 ? taken : concatBytes([this.#held, taken]);
    const found = find(this.#held);
    if (!found.ok || found.value === null) return found.ok ? ok(null) : found;
    const { header, length } = found.value;
    return ok({ header, rest: bytes.subarray(length - before) });
  }
}

type Found = Result<{ readonly header: ProxyHeader; readonly length: number } | null, ProxyHeaderProblem>;

function find(held: Uint8Array): Found {
  if (begins(held, WORD)) return held.length < WORD.length ? ok(null) : findLine(held);
  if (begins(held, SIGNATURE)) return findBinary(held);
  return err("noHeader");
}

/** All there is of `held`, up to the length of `start`, is `start`. */
function begins(held: Uint8Array, start: Uint8Array): boolean {
  return start.every((octet, at) => at >= held.length || held[at] === octet);
}

function findLine(held: Uint8Array): Found {
  const line = held.subarray(0, MAX_LINE);
  for (const [at, octet] of line.entries()) {
    if (octet === LF) return err("syntax");
    if (octet !== CR || at + 1 === line.length) continue;
    // §2.1: a single CR or LF does not end the line.
    if (line[at + 1] !== LF) return err("syntax");
    const header = readLine(line.subarray(WORD.length, at));
    return header === null ? err("syntax") : ok({ header, length: at + 2 });
  }
  return held.length >= MAX_LINE ? err("tooLong") : ok(null);
}

/** §2.1, what stands between `PROXY ` and the CRLF. */
function readLine(octets: Uint8Array): ProxyHeader | null {
  const words = String.fromCharCode(...octets).split(" ");
  const [family, source = "", destination = "", sourcePort = "", destinationPort = "", ...more] = words;
  if (family === "UNKNOWN") return LOCAL;
  const size = family === "TCP4" ? 4 : family === "TCP6" ? 16 : 0;
  if (size === 0 || more.length > 0) return null;
  const client = readEndpoint(source, sourcePort, size);
  const server = readEndpoint(destination, destinationPort, size);
  return client === null || server === null ? null : { kind: "proxied", client, destination: server };
}

const PORT = /^(?:0|[1-9][0-9]{0,4})$/;

function readEndpoint(address: string, port: string, size: number): Endpoint | null {
  const octets = ipOctets(address);
  if (octets?.length !== size || !PORT.test(port) || Number(port) > 65_535) return null;
  return { address: plainIp(octets), port: Number(port) };
}

/** An IPv4 address that came as a mapped one is written as what it is (RFC 4291 §2.5.5.2): rules name the plain one. */
function plainIp(octets: Uint8Array): string {
  const mapped = octets.length === 16 && MAPPED.every((octet, at) => octets[at] === octet);
  return formatIp(mapped ? octets.subarray(MAPPED.length) : octets);
}

const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** §2.2, the fixed part; each field is checked as soon as it is there, and before any octet behind it is waited for. */
function findBinary(held: Uint8Array): Found {
  const [versionAndCommand, familyAndTransport] = held.subarray(SIGNATURE.length);
  if (versionAndCommand === undefined) return ok(null);
  const command = versionAndCommand & 0x0f;
  if (versionAndCommand >> 4 !== 2 || command > 1) return err("syntax");
  if (familyAndTransport === undefined) return ok(null);
  if (command === 1 && (familyAndTransport >> 4 > 3 || (familyAndTransport & 0x0f) > 2)) return err("syntax");
  if (held.length < FIXED) return ok(null);
  const behind = number16(held, FIXED - 2);
  if (behind > MAX_ADDRESSES_AND_TLVS) return err("tooLong");
  const length = FIXED + behind;
  if (held.length < length) return ok(null);
  // Of LOCAL all that follows is skipped, its family included.
  if (command === 0) return ok({ header: LOCAL, length });
  return readBinary(held.subarray(0, length), familyAndTransport);
}

/** Octets of the addresses and ports of each family and transport that has any. */
const ADDRESS_BLOCKS: ReadonlyMap<number, number> = new Map([
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);

function readBinary(header: Uint8Array, familyAndTransport: number): Found {
  const block = ADDRESS_BLOCKS.get(familyAndTransport);
  const { length } = header;
  // §2.2: without a family or a transport there is nothing to be told, and what follows has no known form.
  if (block === undefined) return ok({ header: LOCAL, length });
  if (length < FIXED + block) return err("syntax");
  const problem = checkExtensions(header, FIXED + block);
  if (problem !== null) return err(problem);
  // SMTP comes by TCP only: of datagrams and UNIX sockets there is no address to take, as of an unspecified family.
  if (familyAndTransport !== 0x11 && familyAndTransport !== 0x21) return ok({ header: LOCAL, length });
  const size = familyAndTransport === 0x11 ? 4 : 16;
  const ports = FIXED + 2 * size;
  return ok({
    header: {
      kind: "proxied",
      client: { address: plainIp(header.subarray(FIXED, FIXED + size)), port: number16(header, ports) },
      destination: { address: plainIp(header.subarray(FIXED + size, ports)), port: number16(header, ports + 2) },
    },
    length,
  });
}

const CRC32C_TYPE = 0x03;

/** The type-length-value fields have to fill the header exactly; only the checksum among them is looked at. */
function checkExtensions(header: Uint8Array, from: number): "syntax" | "checksum" | null {
  for (let at = from; at < header.length; ) {
    if (at + 3 > header.length) return "syntax";
    const end = at + 3 + number16(header, at + 1);
    if (end > header.length) return "syntax";
    if (header[at] === CRC32C_TYPE) {
      if (end - at !== 7) return "syntax";
      if (!hasOwnChecksum(header, at + 3)) return "checksum";
    }
    at = end;
  }
  return null;
}

function hasOwnChecksum(header: Uint8Array, at: number): boolean {
  // Not by `slice`: a socket gives Buffers, whose slices share their memory.
  const blank = new Uint8Array(header);
  blank.fill(0, at, at + 4);
  return crc32c(blank) === ((number16(header, at) << 16) | number16(header, at + 2)) >>> 0;
}

/** RFC 9260 Appendix A: polynomial 0x1EDC6F41, here with its bits reversed. Once for a connection, so without a table. */
function crc32c(octets: Uint8Array): number {
  let crc = ~0;
  for (const octet of octets) {
    crc ^= octet;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function number16(octets: Uint8Array, at: number): number {
  return ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
}
