/**
 * The header section of a message: reading the few fields that a mail server needs, and writing those that it adds. Bodies
 * are opaque octets but to `downgrade.ts`, which makes a message 7-bit for a server that takes no other. Pure: no I/O, no clock. Begin
 * with `header.ts` (reading), then `trace.ts` (writing) and `mending.ts` (what an MSA puts right).
 */
export { type Downgrade, Downgrader, MessageSurvey, type Survey } from "./downgrade.ts";
export { formatField } from "./field.ts";
export { HeaderScanner } from "./header.ts";
export { type Mending, mendHeader, type Unmendable } from "./mending.ts";
export { formatReport, type ReportedRecipient } from "./report.ts";
export { formatTlsReport, type TlsReportMail } from "./tls-report.ts";
export { formatReceived, formatReturnPath } from "./trace.ts";
