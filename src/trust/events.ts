/** Names of the log events of this folder. They are an interface: a name is never reused for something else. */
export const events = {
  /** A policy of MTA-STS was fetched, new or changed: with `domain`, `id`, `mode`, `mx`, `expires`. */
  stsFetched: "trust.sts.fetched",
  /** A policy that was announced could not be had: with `domain`, `type`, `detail`, and `keeps`, when the one that stands expires. */
  stsFailed: "trust.sts.failed",
  /** What is known of policies could not be read or written: with `err`. */
  stsStoreFailed: "trust.sts.store-failed",
  /** What hosts have proven could not be read or written: with `err`. */
  memoryFailed: "trust.memory.failed",
  /** Results for TLS reports could not be written; they are kept in memory, up to a bound: with `err`, `waiting`. */
  resultsFailed: "trust.results.failed",
  /** A TLS report went out, into the queue or over HTTPS: with `domain`, `day`, `to`, `report`. */
  reportSent: "trust.report.sent",
  /** A TLS report could not be sent: with `domain`, `day`, `to`, `detail`, and `final`, whether it is given up. */
  reportFailed: "trust.report.failed",
  /** A domain asks for TLS reports by a record that cannot be used, or in part not: with `domain`, `detail`. */
  reportRecord: "trust.report.record-refused",
  /** The reports of a day broke off and are tried again later: with `err`. */
  reportsBroke: "trust.report.broke",
} as const;
