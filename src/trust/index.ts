/**
 * What is known of other mail systems: what their domains publish (DANE, MTA-STS), what their hosts have proven before, and what
 * came of the connections to them (TLS reports). It finds out and remembers; it decides nothing: what a connection must prove is
 * said in `delivery/tls-policy.ts` alone. Nothing here may know of messages or of the queue. Begin with `model.ts`.
 */
export { type DaneHost, findDane } from "./dane.ts";
export { type ClassicalHost, createHostMemory, type HostMemoryOptions, type HostMemoryStore } from "./host-memory.ts";
export type * from "./model.ts";
export { createStsFetch, STS_PATH, type StsFetchOptions } from "./sts-fetch.ts";
export { createStsPolicies, type KeptStsPolicies, type StsFetch, type StsPoliciesOptions } from "./sts-policies.ts";
export {
  formatStsPolicy,
  formatStsRecord,
  matchesSts,
  parseStsPolicy,
  parseStsRecords,
  policyId,
} from "./sts-policy.ts";
export { createTlsReports, type MailedTlsReport, type TlsReports, type TlsReportsOptions } from "./tls-reports.ts";
export {
  createTlsResults,
  type Day,
  type TlsResultCount,
  type TlsResultsOptions,
  type TlsResultsStore,
} from "./tls-results.ts";
export { openTrustFile } from "./trust-file.ts";
