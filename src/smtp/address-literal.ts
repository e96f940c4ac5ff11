import { type Brand, err, ok, type Result } from "../base/index.ts";
import type { AddressProblem } from "./address.ts";
import type { Domain } from "./domain.ts";
import { MAX_DOMAIN } from "./limits.ts";

/** An address literal with its brackets, in canonical form: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, or `[Tag:content]`. */
export type AddressLiteral = Brand<string, "AddressLiteral">;

const IPV6_TAG = "IPv6:";
const IPV4 = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/;
const HEX_GROUP = /^[0-9a-f]{1,4}$/i;
/** Standardized-tag ":" 1*dcontent, RFC 5321 §4.1.3. */
const GENERAL = /^(?:[a-z0-9-]*[a-z0-9]):[\u0021-\u005a\u005e-\u007e]+$/i;

/** Parses `[…]` (RFC 5321 §4.1.3). IPv6 addresses become what RFC 5952 writes, so that equal addresses are equal texts. */
export function parseAddressLiteral(text: string): Result<AddressLiteral, AddressProblem> {
  if (text.length > MAX_DOMAIN) return err({ kind: "tooLong", part: "domain", limit: MAX_DOMAIN });
  if (!text.startsWith("[") || !text.endsWith("]") || text.length < 2) return syntax(0, "an address in brackets");
  const inside = text.slice(1, -1);
  const canonical = canonicalContent(inside);
  if (canonical === null) return syntax(1, "an IPv4 address, IPv6: and an IPv6 address, or a tag and its content");
  return ok(`[${canonical}]` as AddressLiteral); // the one cast, next to the check that earns it
}

function canonicalContent(inside: string): string | null {
  if (inside.slice(0, IPV6_TAG.length).toLowerCase() === IPV6_TAG.toLowerCase()) {
    const groups = parseIpv6(inside.slice(IPV6_TAG.length));
    return groups === null ? null : IPV6_TAG + formatIpv6(groups);
  }
  const octets = parseIpv4(inside);
  if (octets !== null) return octets.join(".");
  return GENERAL.test(inside) ? inside : null;
}

/** The IP address inside `[…]` (v4 dotted or v6), or null for a general literal. */
export function literalAddress(literal: AddressLiteral): string | null {
  const inside = literal.slice(1, -1);
  if (inside.startsWith(IPV6_TAG)) return inside.slice(IPV6_TAG.length);
  return inside.includes(":") ? null : inside;
}

export function isAddressLiteral(domain: Domain | AddressLiteral): domain is AddressLiteral {
  return domain.startsWith("[");
}

/** Snum is "a decimal integer value": leading zeros are decimal here and gone in the canonical form, never octal. */
function parseIpv4(text: string): readonly number[] | null {
  const match = IPV4.exec(text);
  if (match === null) return null;
  const octets = match.slice(1).map(Number);
  return octets.every((octet) => octet <= 255) ? octets : null;
}

/**
 * Eight 16-bit groups.
 *
 * Deviation: RFC 5321 §4.1.3 lets `::` stand for no fewer than two groups; one is taken too, as RFC 4291 §2.2 has it.
 */
function parseIpv6(text: string): readonly number[] | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [before = "", after] = halves;
  const head = parseGroups(before, after === undefined);
  if (head === null) return null;
  if (after === undefined) return head.length === 8 ? head : null;
  const tail = parseGroups(after, true);
  if (tail === null || head.length + tail.length > 7) return null;
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Groups between colons; where `last`, the final one may be an IPv4 address that stands for two. */
function parseGroups(text: string, last: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const octets = last && index === parts.length - 1 ? parseIpv4(part) : null;
    if (octets === null) return null;
    const [a = 0, b = 0, c = 0, d = 0] = octets;
    groups.push(a * 256 + b, c * 256 + d);
  }
  return groups;
}

/** RFC 5952 §4 and §5: lower case, the longest run of two or more zero groups compressed, v4-mapped addresses dotted. */
function formatIpv6(groups: readonly number[]): string {
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  const run = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (run.length < 2) return hex.join(":");
  return `${hex.slice(0, run.from).join(":")}::${hex.slice(run.from + run.length).join(":")}`;
}

function longestZeroRun(groups: readonly number[]): { readonly from: number; readonly length: number } {
  let best = { from: 0, length: 0 };
  let from = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) from = index + 1;
    else if (index + 1 - from > best.length) best = { from, length: index + 1 - from };
  }
  return best;
}

function syntax(at: number, expected: string): Result<never, AddressProblem> {
  return err({ kind: "syntax", at, expected });
}
