/** Names of the log events of this folder. They are an interface: a name is never reused for something else. */
export const events = {
  /** A request was answered: with `peer`, `host`, `path`, `status`. */
  answered: "web.answered",
  /** The system could not give us a connection: with `address`, `kind`, `detail`. */
  notTaken: "web.not-taken",
  /** A connection beyond a limit was closed: with `peer`. */
  turnedAway: "web.turned-away",
  /** A TLS handshake was not done: with `peer`, `kind`, `detail`. */
  tlsFailed: "web.tls-failed",
  /** A bug in a page; the client got 500: with `host`, `path`, `err`. */
  broken: "web.broken",
} as const;
