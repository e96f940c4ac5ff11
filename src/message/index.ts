/**
 * The header section of a message: reading the few fields that a mail server needs, and writing those that it adds. Bodies
 * are opaque octets but to `downgrade.ts`, which makes a message 7-bit for a server that takes no other. Pure: no I/O, no clock. Begin
 * with `header.ts` (reading), then `trace.ts` (writing).
 */
export { type Downgrade, Downgrader, MessageSurvey, type Survey } from "./downgrade.ts";
export { formatField } from "./field.ts";
export { HeaderScanner } from "./header.ts";
export { formatReport, type ReportedRecipient } from "./report.ts";
export { formatReceived, formatReturnPath } from "./trace.ts";
