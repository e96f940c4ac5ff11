/**
 * Looking at mail systems without sending anything: what a host shows (`probe`), what would become of mail to an address
 * (`explain`), what others must find in DNS of this node (`records`, `published`). The commands of the same names print it. What is
 * decided here is only how it looks; what a connection must prove is decided in `delivery`. Begin with `probe.ts`.
 */
export { type ExplainContext, explain } from "./explain.ts";
export type * from "./explain-report.ts";
export { type ProbeContext, probe } from "./probe.ts";
export type * from "./probe-report.ts";
export { checkRecord, type PublishedRecord } from "./published.ts";
export type { LookupReport } from "./recorded-lookups.ts";
export { type PublicNode, type RecordPurpose, type WantedRecord, wantedRecords } from "./records.ts";
