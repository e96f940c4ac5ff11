import type { Instant } from "../base/index.ts";
import { formatMailbox, formatPath, type Mailbox, needsSmtpUtf8, type ReversePath } from "../smtp/index.ts";
import { formatDate, formatField } from "./field.ts";

/** What a Received field tells about how a message came (RFC 5321 §4.4). */
export interface TraceFacts {
  readonly hello: { readonly verb: "EHLO" | "HELO" | "LHLO"; readonly name: string };
  /** Null where nothing is told of the client: neither its address nor how it calls itself. */
  readonly client: {
    /** The peer's IP address as the connection knows it. */
    readonly address: string;
    /** Its name by a confirmed reverse lookup, null where none was made. */
    readonly name: string | null;
  } | null;
  /** Our own name. */
  readonly hostname: string;
  readonly tls: { readonly version: string; readonly cipher: string } | null;
  /** The name under which the client's certificate is known, where it is: letters, digits, `.`, `_` and `-`. */
  readonly certificate?: string | null;
  readonly authenticated: boolean;
  /** The client asked for SMTPUTF8, so the field may hold UTF-8 (RFC 6532 §3). */
  readonly smtputf8: boolean;
  /** The queue id. */
  readonly id: string;
  /** Give it only where there is no other recipient: a second one would be disclosed (RFC 5321 §7.2, blind copies). */
  readonly recipient: Mailbox | null;
  /** The message's, where one was asked for (RFC 6710 §4.1). */
  readonly priority?: number;
  readonly at: Instant;
}

/** The most characters of a peer's name that go into a field; a domain has 255 octets at most (RFC 5321 §4.5.3.1.2). */
const MAX_NAME = 255;

/**
 * The Received field for a message that came in now, with its CRLF. The peer's own name is kept to the characters of
 * domains and address literals; all others become `?`, so that it can neither end the field nor open a comment.
 *
 * Deviation: RFC 5321 §4.4 wants a `from` clause. Where the client is hidden there is none: where a user sat, and how the machine is
 * called, is nobody's business behind the server that knows who logged in; a made-up client would be a lie.
 */
export function formatReceived(facts: TraceFacts): Uint8Array {
  const { tls, recipient, smtputf8 } = facts;
  const clauses = fromClause(facts);
  if (tls !== null) clauses.push(["(using", safeWord(tls.version), "with", "cipher", `${safeWord(tls.cipher)})`]);
  // A comment of its own and no semicolon in it: programs that look for the date behind the first one are many.
  const { certificate = null } = facts;
  if (certificate !== null) clauses.push(["(client", "certificate", `"${safeWord(certificate)}"`, "verified)"]);
  clauses.push(["by", facts.hostname]);
  if (recipient !== null && (smtputf8 || !needsSmtpUtf8(recipient))) {
    clauses.push(["with", withProtocol(facts), "id", facts.id], ["for", `<${formatMailbox(recipient)}>`]);
  } else {
    clauses.push(["with", withProtocol(facts), "id", facts.id]);
  }
  if (facts.priority !== undefined) clauses.push(["PRIORITY", String(facts.priority)]);
  const last = clauses.at(-1);
  last?.push(`${last.pop() ?? ""};`);
  clauses.push([formatDate(facts.at)]);
  return formatField("Received", clauses);
}

function fromClause({ client, hello, smtputf8 }: TraceFacts): string[][] {
  if (client === null) return [];
  const name = client.name === null ? "" : `${safeName(client.name, smtputf8)} `;
  return [["from", safeName(hello.name, smtputf8), `(${name}${addressLiteral(client.address)})`]];
}

/** The Return-Path field for final delivery, with its CRLF (RFC 5321 §4.4). */
export function formatReturnPath(path: ReversePath): Uint8Array {
  return formatField("Return-Path", [[formatPath(path)]]);
}

/**
 * The `with` keyword: RFC 3848 §1, RFC 6531 §4.3. HELO has no keyword that tells of TLS or AUTH; the comment with the cipher
 * does in its case.
 */
function withProtocol(facts: Pick<TraceFacts, "hello" | "tls" | "authenticated" | "smtputf8">): string {
  if (facts.hello.verb === "HELO") return "SMTP";
  const lmtp = facts.hello.verb === "LHLO";
  const base = facts.smtputf8 ? (lmtp ? "UTF8LMTP" : "UTF8SMTP") : lmtp ? "LMTP" : "ESMTP";
  return `${base}${facts.tls === null ? "" : "S"}${facts.authenticated ? "A" : ""}`;
}

function safeName(name: string, utf8: boolean): string {
  const safe = name
    .slice(0, MAX_NAME)
    .replace(utf8 ? /[^A-Za-z0-9._:[\]\p{L}\p{M}\p{N}-]/gu : /[^A-Za-z0-9._:[\]-]/g, "?");
  return safe === "" ? "unknown" : safe;
}

function safeWord(word: string): string {
  return word.replace(/[^A-Za-z0-9._-]/g, "?");
}

/**
 * RFC 5321 §4.1.3. An IPv4 client of a dual-stack socket shows up as `::ffff:192.0.2.1` and is written as what it is; a zone
 * (`%eth0`) means nothing to others.
 */
function addressLiteral(address: string): string {
  const plain = address.replace(/%.*$/s, "").replace(/^::ffff:(?=\d+\.)/i, "");
  if (/^[0-9.]+$/.test(plain)) return `[${plain}]`;
  return /^[0-9a-f:.]+$/i.test(plain) ? `[IPv6:${plain}]` : "[unknown]";
}
