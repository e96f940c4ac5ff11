import { type Reply, reply } from "../smtp/index.ts";

/** Every reply text of this folder, with its code (RFC 5321 §4.2.3) and enhanced status (RFC 3463, RFC 5248). */
export const REPLIES = {
  relayDenied: reply(550, "5.7.1", "Relaying denied: not a domain of this server"),
  unknownRecipient: reply(550, "5.1.1", "No such mailbox here"),
  senderDenied: reply(550, "5.7.1", "This sender address is not yours to use"),
  /** RFC 6409 §4.2 names the code. */
  notQualified: reply(554, "5.1.0", "The domain of this address is not fully qualified"),
  /** Deviation: RFC 5321 §7.3 wants 252 where VRFY is off; an operator who sets it so wants no such command. */
  vrfyOff: reply(502, "5.5.1", "VRFY is not served here"),
  releaseOver: reply(501, "5.5.4", "HOLDUNTIL is a time that is over"),
  releaseTooFar: reply(501, "5.5.4", "Release is further away than FUTURERELEASE allows"),
  releaseTooLate: reply(501, "5.5.4", "Release is later than the time to deliver by"),
  loop: reply(554, "5.4.6", "Mail loop: too many Received fields"),
  headerTooLarge: reply(552, "5.3.4", "Header section too large"),
  diskLow: reply(452, "4.3.1", "Insufficient system storage, try again later"),
  systemTrouble: reply(451, "4.3.0", "Local trouble, try again later"),
  /** One text for every cause, so that a guesser learns nothing (RFC 4954 §6). */
  authFailed: reply(535, "5.7.8", "Authentication credentials invalid"),
  /** The exchange broke the mechanism's grammar; says nothing about a user (RFC 4954 §4). */
  authMalformed: reply(501, "5.5.2", "Response does not follow the mechanism's grammar"),
  authUnknown: reply(504, "5.5.4", "Unknown authentication mechanism"),
  authLater: reply(454, "4.7.0", "Temporary authentication failure, try again later"),
} as const satisfies Record<string, Reply>;

/** As `queuedAs`, with the priority in place of the one asked for (RFC 6710 §4.1: X.3.6, the number first). */
export function queuedAtPriority(priority: number, id: string): Reply {
  return reply(250, "2.3.6", `${priority} is the priority; queued as ${id}`);
}

/** The one 2yz that takes responsibility (RFC 5321 §6.1). */
export function queuedAs(id: string): Reply {
  return reply(250, "2.0.0", `Ok: queued as ${id}`);
}
