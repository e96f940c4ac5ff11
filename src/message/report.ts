import { concatBytes, encodeUtf8, type Instant, printable } from "../base/index.ts";
import { describeReply, encodeUnitext, formatMailbox, type Mailbox, needsSmtpUtf8, type Reply } from "../smtp/index.ts";
import { formatDate, formatField } from "./field.ts";

/** What a report tells of a recipient (RFC 3464 §2.3.3); each has its words below. */
export type Action = "failed" | "delayed" | "delivered" | "relayed";

/** One recipient's fate (RFC 3464 §2.3). Texts may hold a peer's words: they are made safe here. */
export interface ReportedRecipient {
  readonly action: Action;
  readonly mailbox: Mailbox;
  /** ORCPT as the sender gave it (RFC 3461 §4.2), null where there was none. */
  readonly original: { readonly type: string; readonly address: string } | null;
  /** Enhanced status: `5.1.1`. */
  readonly status: string;
  /** One plain line for people. */
  readonly text: string;
  /** The host that decided, null where none was asked. */
  readonly remoteHost: string | null;
  /** Its reply, null where there was none. */
  readonly reply: Reply | null;
  /** When it was last tried, null where that is not known. */
  readonly lastAttempt: Instant | null;
  /** When it will be given up; only with the action "delayed" (RFC 3464 §2.3.9). */
  readonly retryUntil: Instant | null;
}

export interface Report {
  /** Names the report: part of its Message-ID and boundary. The queue id. */
  readonly id: string;
  /** Our own name, in A-labels. */
  readonly hostname: string;
  /** The reverse-path of the message that is reported on. */
  readonly to: Mailbox;
  readonly at: Instant;
  /** When the message came here. */
  readonly arrived: Instant;
  /** The time by which it was to be delivered (RFC 2852 §5), null where none was asked for. */
  readonly deliverBy: Instant | null;
  /** What was asked for by HOLDFOR or HOLDUNTIL, `for;…` or `until;…` (RFC 4865 §5.1.2), null where nothing was. */
  readonly futureRelease: string | null;
  /** ENVID as the sender gave it (RFC 3461 §4.4). */
  readonly envelopeId: string | null;
  readonly recipients: readonly ReportedRecipient[];
  /** What is returned of the message: its octets as they stood, or its header section alone. */
  readonly returned: { readonly kind: "full" | "headers"; readonly octets: Uint8Array };
  /** The message was sent with SMTPUTF8: its sender reads the RFC 6533 forms. */
  readonly international: boolean;
}

/** A report as a message: header section and body. */
export interface FormattedReport {
  readonly octets: Uint8Array;
  /** Some octet has the high bit: it needs 8BITMIME. */
  readonly eightBit: boolean;
  /** A field of the header section holds UTF-8: it needs SMTPUTF8. */
  readonly smtputf8: boolean;
}

/** In the order in which they are told; the subject is that of the first. */
const WORDS: Record<Action, { readonly subject: string; readonly intro: string }> = {
  failed: {
    subject: "Your message could not be delivered",
    intro:
      "Your message could not be delivered to the addresses below, and it will not be tried again. " +
      "The reason stands under each address.",
  },
  delayed: {
    subject: "Your message is delayed",
    intro:
      "Your message could not be delivered to the addresses below yet. It will be tried again; you need not send it again. " +
      "The reason stands under each address.",
  },
  relayed: {
    subject: "Your message was sent on",
    intro:
      "Your message was handed on for the addresses below. The servers that took it may not tell you what becomes of it.",
  },
  delivered: {
    subject: "Your message was delivered",
    intro: "Your message was delivered to the addresses below.",
  },
};

const ACTIONS: readonly Action[] = ["failed", "delayed", "relayed", "delivered"];

/** Words of a field are broken beyond this many characters, so that no line grows past 998 octets (RFC 5322 §2.1.1). */
const MAX_WORD = 200;
const MAX_ADDRESS = 900;
const TEXT_COLUMN = 72;

/**
 * Writes a delivery status notification: multipart/report (RFC 6522) with a part for people, one for programs (RFC 3464, or
 * RFC 6533 for an internationalized message) and what is returned of the message. Cannot fail.
 */
export function formatReport(report: Report): FormattedReport {
  const parts = [textPart(report), statusPart(report), returnedPart(report)];
  const boundary = freeBoundary(report.id, parts);
  const eightBit = parts.some((part) => part.eightBit);
  const header = headerSection(report, boundary, eightBit);
  const octets: Uint8Array[] = [header];
  for (const part of parts) {
    octets.push(encodeUtf8(`\r\n--${boundary}\r\n`), part.header, part.octets);
  }
  octets.push(encodeUtf8(`\r\n--${boundary}--\r\n`));
  const smtputf8 = needsSmtpUtf8(report.to);
  return { octets: concatBytes(octets), eightBit: eightBit || smtputf8, smtputf8 };
}

interface Part {
  readonly header: Uint8Array;
  readonly octets: Uint8Array;
  readonly eightBit: boolean;
}

function headerSection(report: Report, boundary: string, eightBit: boolean): Uint8Array {
  return concatBytes([
    field("From", '"Mail Delivery System"', `<MAILER-DAEMON@${report.hostname}>`),
    formatField("To", [[`<${formatMailbox(report.to)}>`]]),
    field("Subject", subjectOf(report)),
    field("Date", formatDate(report.at)),
    field("Message-ID", `<${report.id}@${report.hostname}>`),
    // RFC 3834 §5: no robot may answer a robot.
    field("Auto-Submitted", "auto-replied"),
    field("MIME-Version", "1.0"),
    field("Content-Type", "multipart/report; report-type=delivery-status;", `boundary="${boundary}"`),
    field("Content-Transfer-Encoding", eightBit ? "8bit" : "7bit"),
  ]);
}

function part(type: string, description: string, octets: Uint8Array): Part {
  const eightBit = octets.some((octet) => octet >= 0x80);
  const header = concatBytes([
    field("Content-Type", type),
    field("Content-Description", description),
    field("Content-Transfer-Encoding", eightBit ? "8bit" : "7bit"),
    encodeUtf8("\r\n"),
  ]);
  return { header, octets, eightBit };
}

function textPart(report: Report): Part {
  const lines = wrapText(`This is the mail server ${report.hostname}.`, "");
  for (const action of ACTIONS) {
    const recipients = report.recipients.filter((recipient) => recipient.action === action);
    if (recipients.length > 0) lines.push("", ...wrapText(WORDS[action].intro, ""));
    for (const { mailbox, text } of recipients) {
      lines.push("", `<${printable(formatMailbox(mailbox))}>`, ...wrapText(printable(text), "    "));
    }
  }
  const returned = report.returned.kind === "full" ? "Your message" : "The header section of your message";
  lines.push("", ...wrapText(`${returned} is attached. So is a report for programs.`, ""), "");
  return part("text/plain; charset=utf-8", "Notification", encodeUtf8(lines.join("\r\n")));
}

function subjectOf(report: Report): string {
  const first = ACTIONS.find((action) => report.recipients.some((recipient) => recipient.action === action));
  return WORDS[first ?? "failed"].subject;
}

function statusPart(report: Report): Part {
  const fields = [
    field("Reporting-MTA", `dns; ${report.hostname}`),
    ...(report.envelopeId === null
      ? []
      : [formatField("Original-Envelope-Id", [[plain(report.envelopeId, report.international)]])]),
    field("Arrival-Date", formatDate(report.arrived)),
    ...(report.deliverBy === null ? [] : [field("Deliver-By-Date", formatDate(report.deliverBy))]),
    ...(report.futureRelease === null ? [] : [field("Future-Release-Request", plain(report.futureRelease, false))]),
  ];
  for (const recipient of report.recipients) {
    fields.push(encodeUtf8("\r\n"), ...recipientFields(recipient, report));
  }
  const type = report.international ? "message/global-delivery-status" : "message/delivery-status";
  return part(type, "Delivery report", concatBytes(fields));
}

function recipientFields(recipient: ReportedRecipient, report: Report): Uint8Array[] {
  const { mailbox, original, reply } = recipient;
  const fields: Uint8Array[] = [];
  if (original !== null) fields.push(...addressField("Original-Recipient", original.type, original.address, report));
  const type = needsSmtpUtf8(mailbox) ? "utf-8" : "rfc822";
  fields.push(...addressField("Final-Recipient", type, formatMailbox(mailbox), report));
  fields.push(field("Action", recipient.action), field("Status", recipient.status));
  if (recipient.remoteHost !== null) {
    fields.push(field("Remote-MTA", `dns; ${plain(recipient.remoteHost, false)}`));
  }
  const diagnostic = reply === null ? `x-postern; ${recipient.text}` : `smtp; ${describeReply(reply)}`;
  fields.push(field("Diagnostic-Code", plain(diagnostic, report.international)));
  if (recipient.lastAttempt !== null) fields.push(field("Last-Attempt-Date", formatDate(recipient.lastAttempt)));
  if (recipient.retryUntil !== null) fields.push(field("Will-Retry-Until", formatDate(recipient.retryUntil)));
  return fields;
}

/** An address stands whole on its line; one that is too long for a line (only an ORCPT can be) is left out. */
function addressField(name: string, type: string, address: string, report: Report): Uint8Array[] {
  // RFC 6533 §3: in ASCII `+`, `=` and `\` are escaped too, or `\x{41}` in an address would be read as an A.
  const escaped = type === "utf-8" && !report.international;
  const text = `${plain(type, false)};${escaped ? encodeUnitext(address) : plain(address, report.international)}`;
  return encodeUtf8(text).length > MAX_ADDRESS ? [] : [formatField(name, [[text]])];
}

function returnedPart(report: Report): Part {
  const { kind, octets } = report.returned;
  if (kind === "full") {
    return part(report.international ? "message/global" : "message/rfc822", "Your message", octets);
  }
  const type = report.international ? "message/global-headers" : "text/rfc822-headers";
  return part(type, "Header section of your message", octets);
}

/** A peer's text on one line; outside the RFC 6533 forms in ASCII, other characters as `\x{E9}` (RFC 6533 §3). */
function plain(text: string, utf8: boolean): string {
  const safe = printable(text, MAX_ADDRESS);
  if (utf8) return safe;
  return safe.replace(/[^\x20-\x7e]/gu, (char) => `\\x{${(char.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`);
}

function field(name: string, ...texts: readonly string[]): Uint8Array {
  return formatField(
    name,
    texts.map((text) => splitWords(text, MAX_WORD)),
  );
}

/** Words between spaces, those longer than `limit` cut. */
function splitWords(text: string, limit: number): string[] {
  const words: string[] = [];
  for (const word of text.split(" ")) {
    if (word === "") continue;
    for (let at = 0; at < word.length; at += limit) words.push(word.slice(at, at + limit));
  }
  return words;
}

function wrapText(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of splitWords(text, MAX_WORD)) {
    if (line !== "" && indent.length + line.length + 1 + word.length > TEXT_COLUMN) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  if (line !== "") lines.push(indent + line);
  return lines;
}

/** A boundary that stands nowhere in the parts, though their author may know how it is made (RFC 2046 §5.1.1). */
function freeBoundary(id: string, parts: readonly Part[]): string {
  for (let n = 0; ; n++) {
    const boundary = `=_${id}.${n}`;
    const needle = encodeUtf8(`--${boundary}`);
    if (!parts.some((part) => includesOctets(part.octets, needle))) return boundary;
  }
}

function includesOctets(octets: Uint8Array, needle: Uint8Array): boolean {
  const first = needle[0];
  if (first === undefined) return true;
  for (let at = octets.indexOf(first); at !== -1; at = octets.indexOf(first, at + 1)) {
    let same = 1;
    while (same < needle.length && octets[at + same] === needle[same]) same++;
    if (same === needle.length) return true;
  }
  return false;
}
