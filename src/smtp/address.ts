import { err, ok, type Result } from "../base/index.ts";
import { type AddressLiteral, parseAddressLiteral } from "./address-literal.ts";
import { type Domain, parseMailDomain } from "./domain.ts";
import { MAX_LOCAL_PART, MAX_PATH } from "./limits.ts";
import { hasControls, isAscii, lowerAscii, utf8Length } from "./text.ts";

/** A mailbox. `localPart` is the value, without quotes or backslashes; case is kept (RFC 5321 §2.4). */
export interface Mailbox {
  readonly localPart: string;
  readonly domain: Domain | AddressLiteral;
}

/** Where reports go; null is the null reverse-path `<>` (RFC 5321 §4.5.5). */
export type ReversePath = Mailbox | null;

/** A recipient as RCPT names it; `"postmaster"` is the bare `<Postmaster>` of RFC 5321 §4.5.1. */
export type ForwardPath = Mailbox | "postmaster";

export type AddressProblem =
  /** `at` counts UTF-16 units from the start of the text that was to be parsed. */
  | { readonly kind: "syntax"; readonly at: number; readonly expected: string }
  | { readonly kind: "tooLong"; readonly part: "localPart" | "domain" | "path"; readonly limit: number };

/** Dot-string of RFC 5321 §4.1.2, with the non-ASCII characters of RFC 6531 §3.3; controls are refused apart. */
const DOT_STRING = /[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\uffff]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\uffff]+)*/y;
const WHOLE_DOT_STRING = new RegExp(`^${DOT_STRING.source}$`);
/** Quoted-string: qtextSMTP (with RFC 6531 §3.3) or quoted-pairSMTP. */
const QUOTED_STRING = /"(?:[\u0020\u0021\u0023-\u005b\u005d-\u007e\u0080-\uffff]|\\[\u0020-\u007e])*"/y;

/** A path without its angle brackets may take two octets less. */
const MAX_MAILBOX = MAX_PATH - 2;

/** Parses `local@domain` without angle brackets (configuration, command line, stored rows). */
export function parseMailbox(text: string): Result<Mailbox, AddressProblem> {
  if (text.length > MAX_MAILBOX || utf8Length(text) > MAX_MAILBOX) {
    return err({ kind: "tooLong", part: "path", limit: MAX_PATH });
  }
  if (hasControls(text) || !text.isWellFormed()) {
    return err({ kind: "syntax", at: 0, expected: "an address without control characters" });
  }
  const scanned = scanLocalPart(text, 0);
  if (!scanned.ok) return scanned;
  return finishMailbox(scanned.value, text, text.length);
}

/** A local part and where it ended. */
interface ScannedLocalPart {
  readonly localPart: string;
  readonly next: number;
}

/** Reads a Local-part at `at`; `text` is known to hold no controls. */
export function scanLocalPart(text: string, at: number): Result<ScannedLocalPart, AddressProblem> {
  const quoted = text.charAt(at) === '"';
  const pattern = quoted ? QUOTED_STRING : DOT_STRING;
  pattern.lastIndex = at;
  if (!pattern.test(text)) return err({ kind: "syntax", at, expected: quoted ? "a closing quote" : "a local part" });
  const next = pattern.lastIndex;
  const written = text.slice(at, next);
  if (written.length > MAX_LOCAL_PART || utf8Length(written) > MAX_LOCAL_PART) {
    return err({ kind: "tooLong", part: "localPart", limit: MAX_LOCAL_PART });
  }
  return ok({ localPart: quoted ? written.slice(1, -1).replace(/\\(.)/gs, "$1") : written, next });
}

/** Reads `@` and the domain or literal that fills `text` up to `end`, behind a local part. */
export function finishMailbox(
  { localPart, next }: ScannedLocalPart,
  text: string,
  end: number,
): Result<Mailbox, AddressProblem> {
  if (text.charAt(next) !== "@" || next >= end) return err({ kind: "syntax", at: next, expected: "@" });
  const domain = parseDomainOrLiteral(text.slice(next + 1, end));
  if (domain.ok) return ok({ localPart, domain: domain.value });
  return err(shift(domain.error, next + 1));
}

function parseDomainOrLiteral(text: string): Result<Domain | AddressLiteral, AddressProblem> {
  return text.startsWith("[") ? parseAddressLiteral(text) : parseMailDomain(text);
}

/** A problem found in a part of a text, told by its place in the whole. */
export function shift(problem: AddressProblem, by: number): AddressProblem {
  return problem.kind === "syntax" ? { ...problem, at: problem.at + by } : problem;
}

/** Formats for SMTP and the queue, quoting the local part only where needed. Never with angle brackets. */
export function formatMailbox(mailbox: Mailbox): string {
  const { localPart, domain } = mailbox;
  if (WHOLE_DOT_STRING.test(localPart)) return `${localPart}@${domain}`;
  return `"${localPart.replace(/["\\]/g, "\\$&")}"@${domain}`;
}

/** `<…>` as MAIL and RCPT write it; `<>` for null. */
export function formatPath(path: ReversePath): string {
  return path === null ? "<>" : `<${formatMailbox(path)}>`;
}

/** True when the mailbox cannot be written without SMTPUTF8 (RFC 6531 §3.2). */
export function needsSmtpUtf8(mailbox: Mailbox): boolean {
  return !isAscii(mailbox.localPart) || !isAscii(mailbox.domain);
}

/** Same mailbox: domains by value, local parts exactly, except that "postmaster" has no case. */
export function sameMailbox(a: Mailbox, b: Mailbox): boolean {
  if (a.domain !== b.domain) return false;
  return a.localPart === b.localPart || (isPostmaster(a.localPart) && isPostmaster(b.localPart));
}

/** RFC 5321 §4.5.1. */
export function isPostmaster(localPart: string): boolean {
  return localPart.length === "postmaster".length && lowerAscii(localPart) === "postmaster";
}
