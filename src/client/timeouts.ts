import { MINUTE } from "../base/index.ts";
import type { ClientTimeouts, Stage } from "./types.ts";

/**
 * The least a client should wait, RFC 5321 §4.5.3.2.1 to §4.5.3.2.6. Each is a deadline for the whole reply (or, for
 * `dataBlock`, for the whole block): a peer that sends an octet a minute gains nothing.
 */
export const DEFAULT_TIMEOUTS: ClientTimeouts = {
  greeting: 5 * MINUTE,
  command: 5 * MINUTE,
  mail: 5 * MINUTE,
  rcpt: 5 * MINUTE,
  dataStart: 2 * MINUTE,
  dataBlock: 3 * MINUTE,
  dataEnd: 10 * MINUTE,
};

/** Which of the timeouts counts at which stage. */
export const STAGE_TIMEOUT: Record<Stage, keyof ClientTimeouts> = {
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
