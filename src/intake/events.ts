/** Log events of this folder. The names are an interface: operators match on them. Each carries `session` and where known `id`. */
export const events = {
  /** The message is synced and our 250 goes out. */
  messageAccepted: "intake.message.accepted",
  /** The message was refused after its body (loop, header section too large). */
  messageRefused: "intake.message.refused",
  /** The body did not come whole, or the engine refused it. */
  messageAborted: "intake.message.aborted",
  /** The queue could not take it: 451 or 452. */
  messageFailed: "intake.message.failed",
  /** The free-disk floor is reached: 452 before the body. */
  diskLow: "intake.disk.low",
  /** The runner would not take a message over; it is in the queue and will be found there. */
  offerFailed: "intake.offer.failed",
  senderRefused: "intake.sender.refused",
  /** A user, or the users of an address, sent all they may for now. */
  limitReached: "intake.limit.reached",
  /** What users sent could not be written down; it is counted on in memory. */
  limitsFailed: "intake.limits.failed",
  /** Somebody in an open session was removed or disabled meanwhile. */
  accountGone: "intake.account.gone",
  recipientAccepted: "intake.recipient.accepted",
  recipientRefused: "intake.recipient.refused",
  authRefused: "intake.auth.refused",
  /** Nothing was checked: too many failures before, or too many checks at once. */
  authDeferred: "intake.auth.deferred",
  /** The client's TLS is not ours, or it was told that we bind nothing: somebody may stand between (RFC 5802 §6). */
  authUnbound: "intake.auth.unbound",
  /** The users file could not be read, or the server that knows the users not be asked. */
  authFailed: "intake.auth.failed",
} as const;
