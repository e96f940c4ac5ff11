import { domainToASCII } from "node:url";
import { isAddressLiteral, type Mailbox, needsSmtpUtf8, parseDomain } from "../smtp/index.ts";
import type { OutgoingMessage } from "./types.ts";

/**
 * The message as a server without SMTPUTF8 may have its envelope: U-labels become A-labels, which are the same name
 * (RFC 6531 §3.2). A local part outside of ASCII has no other form; with one the message stays what it is, and is refused.
 */
export function withALabels(message: OutgoingMessage): OutgoingMessage {
  const { reversePath, recipients } = message;
  const sender = reversePath !== null && needsSmtpUtf8(reversePath);
  if (!sender && !recipients.some(({ mailbox }) => needsSmtpUtf8(mailbox))) return message;
  return {
    ...message,
    reversePath: reversePath === null ? null : asciiMailbox(reversePath),
    recipients: recipients.map((recipient) => ({ ...recipient, mailbox: asciiMailbox(recipient.mailbox) })),
  };
}

/** A name for EHLO, before which nothing is known of the server: ASCII alone (RFC 6531 §3.7.1). What is no domain stays what it is. */
export function asciiName(name: string): string {
  return /^[\u0000-\u007f]*$/.test(name) ? name : domainToASCII(name) || name;
}

function asciiMailbox(mailbox: Mailbox): Mailbox {
  if (!needsSmtpUtf8(mailbox) || isAddressLiteral(mailbox.domain)) return mailbox;
  const domain = parseDomain(domainToASCII(mailbox.domain));
  return domain.ok ? { ...mailbox, domain: domain.value } : mailbox;
}
