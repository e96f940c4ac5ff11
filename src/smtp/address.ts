import type { Brand } from "../base/brand.ts";
import type { Result } from "../base/result.ts";

/**
 * A domain name as RFC 5321 §4.1.2 and RFC 6531 §3.3 write it, lower-cased, without a trailing dot. U-labels are kept as
 * received; `delivery` turns them into A-labels where DNS is asked.
 */
export type Domain = Brand<string, "Domain">;

/** An address literal with its brackets, in canonical form: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, or `[Tag:content]`. */
export type AddressLiteral = Brand<string, "AddressLiteral">;

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
  | { readonly kind: "syntax"; readonly at: number; readonly expected: string }
  | { readonly kind: "tooLong"; readonly part: "localPart" | "domain" | "path"; readonly limit: number };

/** Parses a domain name, no literal. `text` may hold U-labels. */
export declare function parseDomain(text: string): Result<Domain, AddressProblem>;
/** Parses `[…]`. */
export declare function parseAddressLiteral(text: string): Result<AddressLiteral, AddressProblem>;
/** Parses `local@domain` without angle brackets (configuration, command line, stored rows). */
export declare function parseMailbox(text: string): Result<Mailbox, AddressProblem>;
/** Formats for SMTP and the queue, quoting the local part only where needed. Never with angle brackets. */
export declare function formatMailbox(mailbox: Mailbox): string;
/** `<…>` as MAIL and RCPT write it; `<>` for null. */
export declare function formatPath(path: ReversePath): string;
/** True when the mailbox cannot be written without SMTPUTF8 (RFC 6531 §3.2). */
export declare function needsSmtpUtf8(mailbox: Mailbox): boolean;
/** Same mailbox: domains by value, local parts exactly, except that "postmaster" has no case. */
export declare function sameMailbox(a: Mailbox, b: Mailbox): boolean;
/** The IP address inside `[…]` (v4 dotted or v6), or null for a general literal. */
export declare function literalAddress(literal: AddressLiteral): string | null;
export declare function isAddressLiteral(domain: Domain | AddressLiteral): domain is AddressLiteral;
