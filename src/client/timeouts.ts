import { MINUTE } from "../base/index.ts";
import type { ClientTimeouts, Stage } from "./types.ts";

/**
 * The least a client should wait, RFC 5321 §4.5.3.2.1 to §4.5.3.2.6. Each is a deadline for the whole reply (or, for
 * `dataBlock`, for the whole block): a peer that sends an octet a minute gains nothing.
 *
 * Deviation: RFC 5321 §4.5.3.2 has timeouts for each command alone. A server that takes a block every three minutes, or answers each of a
 * hundred recipients after five, would hold a message and a delivery for hours or days; so `body` and `bodyRate`, and `envelope`, bound such
 * waits together. A line of 300 octets a second still carries a message of 400 KiB.
 */
export const DEFAULT_TIMEOUTS: ClientTimeouts = {
  greeting: 5 * MINUTE,
  command: 5 * MINUTE,
  mail: 5 * MINUTE,
  rcpt: 5 * MINUTE,
  dataStart: 2 * MINUTE,
  dataBlock: 3 * MINUTE,
  dataEnd: 10 * MINUTE,
  envelope: 15 * MINUTE,
  body: 10 * MINUTE,
  bodyRate: 500,
};

/** Which of the timeouts counts at which stage. */
export const STAGE_TIMEOUT: Record<Stage, Exclude<keyof ClientTimeouts, "envelope" | "body" | "bodyRate">> = {
  connect: "greeting",
  greeting: "greeting",
  hello: "command",
  starttls: "command",
  handshake: "command",
  auth: "command",
  mail: "mail",
  rcpt: "rcpt",
  data: "dataStart",
  body: "dataBlock",
  end: "dataEnd",
  reset: "command",
  quit: "command",
};
