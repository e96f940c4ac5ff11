import { literalAddress, parseAddressLiteral } from "./address-literal.ts";
import { MAX_DOMAIN } from "./limits.ts";
import { hasControls } from "./text.ts";
import { parseXtext } from "./xtext.ts";

/**
 * What a trusted client says of the client that it speaks for, by XCLIENT, an extension of Postfix (its XCLIENT_README).
 * What is not said is absent; null is said to be unavailable.
 */
export interface XclientAttributes {
  /** NAME: the host name by a lookup. */
  readonly name?: string | null;
  /** ADDR: an IP address as others here write it, without `IPV6:`. */
  readonly address?: string | null;
  /** PORT */
  readonly port?: number | null;
  /** PROTO: whether it said HELO or EHLO. */
  readonly protocol?: "SMTP" | "ESMTP";
  /** HELO: the name that it gave itself. */
  readonly helo?: string | null;
  /** LOGIN: as whom it authenticated. */
  readonly login?: string | null;
  /** DESTADDR: the address that it called. */
  readonly destination?: string | null;
  /** DESTPORT */
  readonly destinationPort?: number | null;
}

/** As the attributes are named in EHLO, in order. */
export const XCLIENT_ATTRIBUTES: readonly string[] = [
  "NAME",
  "ADDR",
  "PORT",
  "PROTO",
  "HELO",
  "LOGIN",
  "DESTADDR",
  "DESTPORT",
];

/** Reads the value of one attribute, decoded; undefined where it is none. `[UNAVAILABLE]` has been looked for before. */
type Reader = (value: string) => XclientAttributes | undefined;

const readers: ReadonlyMap<string, { readonly read: Reader; readonly unavailable: XclientAttributes | null }> = new Map(
  [
    ["NAME", { read: (value) => (isName(value) ? { name: value } : undefined), unavailable: { name: null } }],
    ["ADDR", { read: (value) => some(readAddress(value), (address) => ({ address })), unavailable: { address: null } }],
    ["PORT", { read: (value) => some(readPort(value), (port) => ({ port })), unavailable: { port: null } }],
    ["PROTO", { read: (value) => some(readProtocol(value), (protocol) => ({ protocol })), unavailable: null }],
    ["HELO", { read: (value) => (isName(value) ? { helo: value } : undefined), unavailable: { helo: null } }],
    ["LOGIN", { read: (value) => (isLogin(value) ? { login: value } : undefined), unavailable: { login: null } }],
    [
      "DESTADDR",
      {
        read: (value) => some(readAddress(value), (destination) => ({ destination })),
        unavailable: { destination: null },
      },
    ],
    [
      "DESTPORT",
      {
        read: (value) => some(readPort(value), (destinationPort) => ({ destinationPort })),
        unavailable: { destinationPort: null },
      },
    ],
  ],
);

/** The attributes behind XCLIENT: one at least, each once, names in any case, values in xtext. Null where any is wrong. */
export function readXclient(argument: string): XclientAttributes | null {
  let attributes: XclientAttributes = {};
  const seen = new Set<string>();
  for (const word of argument.split(" ")) {
    if (word === "") continue;
    const equals = word.indexOf("=");
    const name = word.slice(0, Math.max(0, equals)).toUpperCase();
    const found = equals === -1 ? undefined : readAttribute(name, word.slice(equals + 1));
    if (found === undefined || seen.has(name)) return null;
    seen.add(name);
    attributes = { ...attributes, ...found };
  }
  return seen.size === 0 ? null : attributes;
}

function readAttribute(name: string, value: string): XclientAttributes | undefined {
  const attribute = readers.get(name);
  const decoded = parseXtext(value);
  if (attribute === undefined || !decoded.ok) return undefined;
  // A lookup that failed for now left as little behind as one that failed for good.
  if (/^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i.test(decoded.value)) return attribute.unavailable ?? undefined;
  return attribute.read(decoded.value);
}

function some<T>(value: T | null, make: (value: T) => XclientAttributes): XclientAttributes | undefined {
  return value === null ? undefined : make(value);
}

/** As for the argument of EHLO: what is safe to write into a trace field. */
const NAME = /^[!#-'*+\--:=?A-Z[\]^-~]+$/;

function isName(value: string): boolean {
  return value.length <= MAX_DOMAIN && NAME.test(value);
}

const MAX_LOGIN = 255;

function isLogin(value: string): boolean {
  return value !== "" && value.length <= MAX_LOGIN && !hasControls(value);
}

/** An IPv4 address, or `IPV6:` and an IPv6 one: address literals but for the brackets. */
function readAddress(value: string): string | null {
  const literal = parseAddressLiteral(`[${value}]`);
  const address = literal.ok ? literalAddress(literal.value) : null;
  // An IPv4 client of a socket for both is what it is (RFC 4291 §2.5.5.2): rules are written for the plain address.
  return address?.replace(/^::ffff:(?=\d+\.)/, "") ?? null;
}

function readPort(value: string): number | null {
  return /^[0-9]{1,5}$/.test(value) && Number(value) <= 65_535 ? Number(value) : null;
}

function readProtocol(value: string): "SMTP" | "ESMTP" | null {
  const protocol = value.toUpperCase();
  return protocol === "SMTP" || protocol === "ESMTP" ? protocol : null;
}
