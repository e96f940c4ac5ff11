/** Names of the log events of the queue; an interface, so a name once given stays. */
export const events = {
  delivered: "queue.delivered",
  deferred: "queue.deferred",
  failed: "queue.failed",
  /** A report to the sender went into the queue: with `report`, its id. */
  reported: "queue.reported",
  /** A failure that its sender may not be told of: with `recipient`, `reason`. */
  unreported: "queue.unreported",
  destinationSuspended: "queue.destination.suspended",
  deliveryBroke: "queue.delivery.broke",
  reportBroke: "queue.report.broke",
  settleFailed: "queue.settle.failed",
  pollFailed: "queue.poll.failed",
  storeReopened: "queue.store.reopened",
} as const;
