import { isIP, isIPv6 } from "node:net";
import { DAY, type Duration, encodeUtf8, err, HOUR, MINUTE, ok, type Result, SECOND } from "../base/index.ts";
import { type Domain, decodeBase64, parseDomain, parseMailbox } from "../smtp/index.ts";
import type { Endpoint, LocalDelivery, Via } from "./model.ts";

/** Why a value is not taken, as the end of the sentence "hostname: …". */
type Complaint = string;

const KIB = 1024;
const SIZE_UNITS: ReadonlyMap<string, number> = new Map([
  ["B", 1],
  ["KiB", KIB],
  ["MiB", KIB ** 2],
  ["GiB", KIB ** 3],
]);
const DURATION_UNITS: ReadonlyMap<string, Duration> = new Map([
  ["s", SECOND],
  ["m", MINUTE],
  ["h", HOUR],
  ["d", DAY],
]);

/** The longest duration taken: a mistyped unit must not become a wait of centuries. */
const MAX_DURATION = 366 * DAY;

/** `"50 MiB"`: a positive whole number and B, KiB, MiB or GiB. The value is in octets. */
export function parseByteSize(text: string): Result<number, Complaint> {
  const found = /^(\d{1,9}) ?(B|KiB|MiB|GiB)$/.exec(text);
  const octets = Number(found?.[1]) * (SIZE_UNITS.get(found?.[2] ?? "") ?? Number.NaN);
  if (!Number.isSafeInteger(octets) || octets === 0) return err(`${quote(text)} is not a size`);
  return ok(octets);
}

/** `"30s"`, `"5m"`, `"4h"`, `"5d"`: positive, at most 366 days. The value is in milliseconds. */
export function parseDuration(text: string): Result<Duration, Complaint> {
  const found = /^(\d{1,9}) ?([smhd])$/.exec(text);
  const length = Number(found?.[1]) * (DURATION_UNITS.get(found?.[2] ?? "") ?? Number.NaN);
  if (!Number.isSafeInteger(length) || length === 0) return err(`${quote(text)} is not a duration`);
  if (length > MAX_DURATION) return err(`${quote(text)} is longer than 366 days`);
  return ok(length);
}

/** As `parseDuration`, at most a day: `setTimeout` takes what is longer than 24 days for no time at all. */
export function parseTimeout(text: string): Result<Duration, Complaint> {
  const length = parseDuration(text);
  return length.ok && length.value > DAY ? err(`${quote(text)} is longer than a day`) : length;
}

/** A domain name as SMTP writes it, in lower case. */
export function parseName(text: string): Result<Domain, Complaint> {
  const domain = parseDomain(text);
  return domain.ok ? domain : err(`${quote(text)} is not a domain name`);
}

/** `127.0.0.1:25` or `[::1]:25`; without a port only where there is a `defaultPort`. Port 0 is for listeners: any free one. */
export function parseEndpoint(text: string, defaultPort: number | null = null): Result<Endpoint, Complaint> {
  const parts = splitHostPort(text, defaultPort);
  if (parts === null) return err(`${quote(text)} is not an address with a port`);
  if (isIP(parts.host) === 0) return err(`${quote(parts.host)} is not an IP address`);
  return ok({ address: parts.host, port: parts.port });
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address, which becomes a network of one. */
export function parseNetwork(text: string): Result<string, Complaint> {
  const [address = "", prefix, ...rest] = text.split("/");
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0;
  if (bits === 0 || rest.length > 0 || address.includes("%")) return err(`${quote(text)} is not a network`);
  if (prefix === undefined) return ok(`${address}/${bits}`);
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) {
    return err(`${quote(text)} has a prefix length that is not 0 to ${bits}`);
  }
  return ok(`${address}/${Number(prefix)}`);
}

/**
 * The SHA-256 of a SubjectPublicKeyInfo: 64 hex digits, with colons between them or not, or base64, behind `sha256//` or not (as curl
 * writes it). The value is hex in lower case.
 */
export function parseKeyPin(text: string): Result<string, Complaint> {
  const digits = text.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(digits)) return ok(digits);
  const [, encoded] = /^(?:sha256\/\/)?([A-Za-z0-9+/]{43})=?$/.exec(text) ?? [];
  const octets = encoded === undefined ? null : decodeBase64(encodeUtf8(`${encoded}=`));
  return octets === null ? err(`${quote(text)} is not the SHA-256 of a key`) : ok(Buffer.from(octets).toString("hex"));
}

/** What a route matches: a domain, `.domain` for everything below it, or `*`. */
export function parseMatch(text: string): Result<string, Complaint> {
  if (text === "*") return ok(text);
  const below = text.startsWith(".");
  const domain = parseName(below ? text.slice(1) : text);
  if (!domain.ok) return err(`${quote(text)} is not a domain, .domain or *`);
  return ok(below ? `.${domain.value}` : domain.value);
}

/** Ports of a next hop where none is written; LMTP has none (RFC 2033 §5). */
const VIA_PORTS: ReadonlyMap<string, number | null> = new Map([
  ["smtp", 25],
  ["smtps", 465],
  ["lmtp", null],
]);

/** `mx`, or a URL of the next hop. */
export function parseVia(text: string): Result<Via, Complaint> {
  if (text === "mx") return ok({ kind: "mx" });
  const found = /^(smtps?|lmtp):\/\/([^/]+)$/.exec(text);
  if (found === null) return err(`${quote(text)} is not a next hop`);
  const [, kind = "", authority = ""] = found;
  const hop = parseHop(authority, VIA_PORTS.get(kind) ?? null);
  if (!hop.ok) return hop;
  if (kind === "smtp" || kind === "smtps" || kind === "lmtp") return ok({ kind, ...hop.value });
  return err(`${quote(text)} is not a next hop`);
}

/** How mail of a local domain ends: `maildir:PATH`, `lmtp://HOST:PORT`, `discard:`. Paths are not resolved yet. */
export function parseLocalDelivery(text: string): Result<LocalDelivery, Complaint> {
  if (text === "discard:") return ok({ kind: "discard" });
  if (text.startsWith("maildir:")) return parseMaildir(text.slice("maildir:".length));
  if (!text.startsWith("lmtp://")) return err(`${quote(text)} is not a delivery`);
  const hop = parseHop(text.slice("lmtp://".length), null);
  return hop.ok ? ok({ kind: "lmtp", ...hop.value }) : hop;
}

/** An address in ASCII whose domain is a name, so that it can stand in any mail. */
export function parseAddress(text: string): Result<string, Complaint> {
  const mailbox = parseMailbox(text);
  const plain = mailbox.ok && /^[\x21-\x7e]+$/.test(text) && !text.endsWith("]");
  return plain ? ok(text) : err(`${quote(text)} is no address in ASCII, such as "postmaster@example.org"`);
}

/** A local part that has a mailbox, as written before the `@`, or `*` for every one. */
export function parseRecipient(text: string): Result<string, Complaint> {
  if (text === "*") return ok(text);
  if (text.includes("@")) return err(`${quote(text)} is a whole address; write what stands before the @`);
  const mailbox = parseMailbox(`${text}@x`);
  return mailbox.ok ? ok(mailbox.value.localPart) : err(`${quote(text)} is no local part of an address`);
}

function parseMaildir(path: string): Result<LocalDelivery, Complaint> {
  if (path === "" || path.includes("\0")) return err("there is no path behind maildir:");
  const unknown = path.match(/\{[^}]*\}?/g)?.find((name) => name !== "{user}" && name !== "{domain}");
  if (unknown !== undefined) return err(`${quote(unknown)} in the path is not known`);
  return ok({ kind: "maildir", path });
}

function parseHop(authority: string, defaultPort: number | null): Result<{ host: string; port: number }, Complaint> {
  const parts = splitHostPort(authority, defaultPort);
  if (parts === null || parts.port === 0) return err(`${quote(authority)} is not HOST:PORT`);
  if (isIP(parts.host) !== 0) return ok(parts);
  const name = parseName(parts.host);
  return name.ok ? ok({ host: name.value, port: parts.port }) : name;
}

/** Splits `host:port`; an IPv6 address has to be in brackets, which are not part of the result. */
export function splitHostPort(text: string, defaultPort: number | null): { host: string; port: number } | null {
  const found = /^(?:\[([^[\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const [, inBrackets, plain, digits] = found ?? [];
  const host = inBrackets ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || port === null || port > 65_535) return null;
  if (inBrackets !== undefined && !isIPv6(inBrackets)) return null;
  return { host, port };
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
