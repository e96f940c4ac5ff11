/** Names of the log events of this folder. They are an interface: a name is never reused for something else. */
export const events = {
  /** One host was tried and did not take all: with `host`, `rule`, `kind`, `problem`. */
  hostFailed: "delivery.host.failed",
  /** A host shows less than it proved before, and mail for it waits: with `host`, `domain`, `rule`, `until`. */
  downgradeHeld: "delivery.downgrade.held",
  /** A transaction ended at a host: with `host`, `address`, `tls`, `rule`, `proven`, `accepted`, `refused`. */
  transaction: "delivery.transaction",
  /** The stored body could not be read while it was sent: with `error`. */
  bodyBroke: "delivery.body.broke",
  /** A mailbox was written: with `recipient`, `file`. */
  stored: "delivery.maildir.stored",
  /** A mailbox could not be written: with `recipient`, `path`, `error`. */
  storeFailed: "delivery.maildir.failed",
  /** Mail was thrown away as configured: with `recipient`. */
  discarded: "delivery.discarded",
  /** A report was written: with `id`, `to`, `actions`, `recipients`. */
  reported: "delivery.report.written",
} as const;
