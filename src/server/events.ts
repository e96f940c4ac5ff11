/** The names of all log events of this folder; they are an interface for whoever reads the log. */
export const events = {
  /** A connection was taken. */
  opened: "session.opened",
  /** The system could not give us a connection: no file descriptors are left. */
  notTaken: "session.not-taken",
  /** A connection beyond a limit was turned away. */
  turnedAway: "session.turned-away",
  /** No PROXY header, or a broken one, came from a peer that owes one. */
  proxyFailed: "session.proxy-failed",
  /** A TLS handshake was done. */
  secured: "session.secured",
  tlsFailed: "session.tls-failed",
  /** A peer said by XCLIENT for whom it speaks. */
  introduced: "session.introduced",
  authenticated: "session.authenticated",
  /** A command or a message got a 4yz or 5yz reply. */
  refused: "session.refused",
  /** The peer does not read its replies. */
  slowReader: "session.slow-reader",
  closed: "session.closed",
  /** The policy, or a sink of it, threw. */
  policyFailed: "policy.failed",
  /** The policy, or a sink of it, did not answer in time. */
  policyStalled: "policy.stalled",
  /** A bug in this folder; the session was closed. */
  broken: "session.broken",
} as const;
