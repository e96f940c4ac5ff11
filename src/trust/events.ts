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
} as const;
