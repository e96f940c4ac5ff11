import { concatBytes, encodeUtf8, type Instant } from "../base/index.ts";
import { formatMailbox, type Mailbox, needsSmtpUtf8 } from "../smtp/index.ts";
import { formatDate, formatField } from "./field.ts";
import { Base64 } from "./transfer-encoding.ts";

/** A report on TLS sessions that goes by mail (RFC 8460 §5.3). All texts are one line; names in A-labels. */
export interface TlsReportMail {
  /** The queue id: part of its Message-ID and boundary. */
  readonly id: string;
  /** Our own name. */
  readonly hostname: string;
  readonly from: Mailbox;
  readonly to: Mailbox;
  readonly at: Instant;
  /** The domain that is reported on. */
  readonly domain: string;
  /** The domain of the report's `contact-info`. */
  readonly submitter: string;
  /** As in the report: `left@right`. */
  readonly reportId: string;
  /** `2026-11-22`, UTC. */
  readonly day: string;
  readonly fileName: string;
  /** The report in JSON, by gzip. */
  readonly gzip: Uint8Array;
}

/**
 * Writes the mail that carries a report, header section and body. It carries `TLS-Required: No` (RFC 8689 §4.1), for it may have
 * to pass the very failures that it tells of (RFC 8460 §3). With a UTF-8 local part it needs SMTPUTF8. Cannot fail.
 *
 * Deviation: RFC 8460 §3 wants a DKIM signature. Mail is not signed here yet, so that some receivers will ignore it.
 */
export function formatTlsReport(mail: TlsReportMail): Uint8Array {
  const boundary = `=_${mail.id}.tlsrpt`;
  return concatBytes([
    ...headerFields(mail, boundary),
    encodeUtf8(`\r\n--${boundary}\r\n`),
    formatField("Content-Type", [["text/plain;", "charset=us-ascii"]]),
    formatField("Content-Transfer-Encoding", [["7bit"]]),
    encodeUtf8(`\r\n${text(mail)}\r\n--${boundary}\r\n`),
    formatField("Content-Type", [["application/tlsrpt+gzip"]]),
    formatField("Content-Transfer-Encoding", [["base64"]]),
    formatField("Content-Disposition", [["attachment;"], [`filename="${mail.fileName}"`]]),
    encodeUtf8("\r\n"),
    base64(mail.gzip),
    encodeUtf8(`\r\n--${boundary}--\r\n`),
  ]);
}

function headerFields(mail: TlsReportMail, boundary: string): Uint8Array[] {
  const { domain, submitter } = mail;
  const eightBit = needsSmtpUtf8(mail.to) || needsSmtpUtf8(mail.from);
  return [
    formatField("From", [[`<${formatMailbox(mail.from)}>`]]),
    formatField("To", [[`<${formatMailbox(mail.to)}>`]]),
    formatField("Subject", [
      ["Report", "Domain:", domain],
      ["Submitter:", submitter],
      ["Report-ID:", `<${mail.reportId}>`],
    ]),
    formatField("Date", [[formatDate(mail.at)]]),
    formatField("Message-ID", [[`<${mail.id}@${mail.hostname}>`]]),
    formatField("TLS-Report-Domain", [[domain]]),
    formatField("TLS-Report-Submitter", [[submitter]]),
    formatField("TLS-Required", [["No"]]),
    // RFC 3834 §5: no robot may answer a robot.
    formatField("Auto-Submitted", [["auto-generated"]]),
    formatField("MIME-Version", [["1.0"]]),
    formatField("Content-Type", [["multipart/report;", 'report-type="tlsrpt";'], [`boundary="${boundary}"`]]),
    formatField("Content-Transfer-Encoding", [[eightBit ? "8bit" : "7bit"]]),
  ];
}

function text({ domain, submitter, day }: TlsReportMail): string {
  return [
    "This is an aggregate report on TLS sessions (RFC 8460).",
    "",
    `About mail for: ${domain}`,
    `Sent by:        ${submitter}`,
    `On:             ${day} (UTC)`,
    "",
    "The report is attached for programs to read. It was asked for by the TXT record at",
    `_smtp._tls.${domain}`,
    "",
  ].join("\r\n");
}

function base64(octets: Uint8Array): Uint8Array {
  const encoder = new Base64();
  return concatBytes([encoder.push(octets), encoder.end(false)]);
}
