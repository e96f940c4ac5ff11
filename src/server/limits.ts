import { MINUTE, SECOND } from "../base/index.ts";
import { MAX_COMMAND_LINE, MAX_TEXT_LINE } from "../smtp/index.ts";

/** What the engine bears from one peer. Times in milliseconds, sizes in octets. Every field has a default. */
export interface ServerLimits {
  /** Connections in all; beyond it 421 4.7.0. */
  readonly connections: number;
  /** Connections of one address: an IPv4 address or an IPv6 /64. */
  readonly connectionsPerAddress: number;
  /** One command line with its CRLF; RFC 5321 §4.5.3.1.4 asks for 512 at least, and extensions add to it. */
  readonly commandLine: number;
  /** One text line of a body with its CRLF; RFC 5321 §4.5.3.1.6 asks for 1,000 at least. Longer ones refuse the message. */
  readonly textLine: number;
  /** Octets of a refused body that are read past the announced size in the hope of its end, before the connection is closed. */
  readonly discard: number;
  /** Faults of the peer (5yz made by the engine, failed AUTH) since the last message taken; the last one is followed by 421. */
  readonly errors: number;
  /** From this fault on each is answered after `tarpit`. */
  readonly softErrors: number;
  /** How long a fault past `softErrors` waits for its reply; 0 never waits. */
  readonly tarpit: number;
  /** Refusals (5yz) by the policy since the last message taken, such as unknown recipients. */
  readonly refusals: number;
  /** Commands that lead nowhere (EHLO, NOOP, RSET, VRFY, HELP, …) since the last message taken. */
  readonly junk: number;
  /** MAIL commands of one connection; beyond it 421 4.7.0. Announced as MAILMAX (RFC 9422), unless it is `Infinity`. */
  readonly transactions: number;
  /** Time for one whole command, from the reply before it (RFC 5321 §4.5.3.2.7). A trickle of octets does not extend it. */
  readonly command: number;
  /** Time without a step forward: to MAIL, from MAIL to DATA, from the end of one message to the next. */
  readonly idle: number;
  /** Time between two pieces of a body (RFC 5321 §4.5.3.2.5). */
  readonly bodyBlock: number;
  /** A body may take this long, and a second more for each `bodyRate` octets. */
  readonly body: number;
  /** Octets a second that a long body must reach on the whole. */
  readonly bodyRate: number;
  /** Time for a proxy to send its whole PROXY header; its specification asks for 3 seconds at least. */
  readonly proxyHeader: number;
  /** Time for a TLS handshake. */
  readonly handshake: number;
  /**
   * Time for the policy or a sink to answer; then the client is told 421 4.3.0, and an unfinished body is aborted. Less than the
   * 5 minutes that a client waits for most replies (RFC 5321 §4.5.3.2), so that it learns of it.
   */
  readonly service: number;
  /**
   * Time for a sink to finish, from the last octets of its message; then 421 4.3.0, though the message may be kept and will come again. A little
   * less than the 10 minutes that a client waits for this reply (RFC 5321 §4.5.3.2.6), so that it gets the true one while it can.
   */
  readonly finish: number;
  /** Time for a peer to read the replies that stopped us. */
  readonly write: number;
  /** Time for a peer to close after our last reply. */
  readonly linger: number;
  /** How long the greeting is held back to see who talks first; 0 sends it at once. */
  readonly greetingDelay: number;
}

export const defaultLimits: ServerLimits = {
  connections: 1000,
  connectionsPerAddress: 50,
  commandLine: MAX_COMMAND_LINE,
  textLine: MAX_TEXT_LINE,
  discard: 10 * 1024 * 1024,
  errors: 10,
  softErrors: 5,
  tarpit: 0,
  refusals: 100,
  junk: 100,
  transactions: 10_000,
  command: 5 * MINUTE,
  idle: 30 * MINUTE,
  bodyBlock: 3 * MINUTE,
  body: 10 * MINUTE,
  bodyRate: 1024,
  proxyHeader: 5 * SECOND,
  handshake: 30 * SECOND,
  service: 4 * MINUTE,
  finish: 9.5 * MINUTE,
  write: 2 * MINUTE,
  linger: 5 * SECOND,
  greetingDelay: 0,
};
