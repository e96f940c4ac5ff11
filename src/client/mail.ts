import { CR, encodeUtf8, err, LF, ok, type Result } from "../base/index.ts";
import {
  type AddressProblem,
  type Mailbox,
  type MailParameters,
  parseMailbox,
  type RcptParameters,
} from "../smtp/index.ts";
import type { OutgoingMessage } from "./types.ts";

/**
 * A message as a program has it: header section, empty line, body. Text is sent as UTF-8. Newlines of any kind leave as CRLF.
 * An iterable is read once, while it is sent.
 */
export type MailSource = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface Mail {
  /** The reverse-path; null or "" for the null reverse-path `<>`. Not the From field: that is in `message`. */
  readonly from: string | Mailbox | null;
  readonly to: MailRecipient | readonly MailRecipient[];
  readonly message: MailSource;
  /** Adds to, and goes before, what is seen in `message` itself (8BITMIME, SMTPUTF8). */
  readonly parameters?: MailParameters;
  readonly signal?: AbortSignal;
}

export type MailRecipient = string | Mailbox | { readonly mailbox: Mailbox; readonly parameters: RcptParameters };

export type MailProblem =
  | { readonly kind: "badAddress"; readonly address: string; readonly problem: AddressProblem }
  | { readonly kind: "noRecipients" };

const FIRST_8BIT = 0x80;

/** What a session sends for `mail`, or which address cannot be one. */
export function outgoingMessage(mail: Mail): Result<OutgoingMessage, MailProblem> {
  const reversePath = mail.from === null || mail.from === "" ? ok(null) : mailboxOf(mail.from);
  if (!reversePath.ok) return reversePath;
  const recipients: OutgoingMessage["recipients"][number][] = [];
  for (const recipient of Array.isArray(mail.to) ? mail.to : [mail.to]) {
    const known = typeof recipient === "object" && "mailbox" in recipient;
    const mailbox = mailboxOf(known ? recipient.mailbox : recipient);
    if (!mailbox.ok) return mailbox;
    recipients.push({ mailbox: mailbox.value, parameters: known ? recipient.parameters : {} });
  }
  if (recipients.length === 0) return err({ kind: "noRecipients" });
  const { body, parameters } = prepareSource(mail.message);
  return ok({ reversePath: reversePath.value, recipients, body, parameters: { ...parameters, ...mail.parameters } });
}

function mailboxOf(address: string | Mailbox): Result<Mailbox, MailProblem> {
  if (typeof address !== "string") return ok(address);
  const parsed = parseMailbox(address);
  return parsed.ok ? parsed : err({ kind: "badAddress", address, problem: parsed.error });
}

function prepareSource(source: MailSource): Pick<OutgoingMessage, "body" | "parameters"> {
  const octets = typeof source === "string" ? encodeUtf8(source) : source;
  if (!(octets instanceof Uint8Array)) return { body: { size: null, chunks: () => octets }, parameters: {} };
  return { body: { size: octets.length, chunks: () => [octets] }, parameters: describe(octets) };
}

/** 8-bit content needs 8BITMIME (RFC 6152); outside ASCII in the header section it needs SMTPUTF8 (RFC 6532 §3). */
function describe(octets: Uint8Array): MailParameters {
  const first = octets.findIndex((octet) => octet >= FIRST_8BIT);
  if (first === -1) return {};
  const inHeader = first < headerEnd(octets);
  return { body: "8BITMIME", ...(inHeader && { smtputf8: true as const }) };
}

/** Where the first empty line is, or the end. Lines may end in LF alone here. */
function headerEnd(octets: Uint8Array): number {
  for (let at = octets.indexOf(LF); at !== -1; at = octets.indexOf(LF, at + 1)) {
    const next = octets[at + 1] === CR ? octets[at + 2] : octets[at + 1];
    if (next === LF) return at;
  }
  return octets.length;
}
