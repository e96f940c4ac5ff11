import { assertNever, type Duration, type Instant, MINUTE, printable } from "../base/index.ts";
import type { Unmendable } from "../message/index.ts";
import { formatMailbox, type Reply, reply } from "../smtp/index.ts";
import type { Reached } from "./sending-tally.ts";

/** Every reply text of this folder, with its code (RFC 5321 §4.2.3) and enhanced status (RFC 3463, RFC 5248). */
export const REPLIES = {
  relayDenied: reply(550, "5.7.1", "Relaying denied: not a domain of this server"),
  unknownRecipient: reply(550, "5.1.1", "No such mailbox here"),
  /** RFC 5321 §3.8: the one code that says that the connection ends. */
  tooManyConnections: reply(421, "4.7.0", "Too many connections with this certificate"),
  accountGone: reply(550, "5.7.1", "This account may not send any more"),
  /** RFC 5321 §3.8: the one code that says that the connection ends. */
  tooManySessions: reply(421, "4.7.0", "You have too many sessions open; close one and try again"),
  messageTooLarge: reply(552, "5.3.4", "The message is larger than you may send"),
  senderDenied: reply(550, "5.7.1", "This sender address is not yours to use"),
  /** RFC 7505 §4.2 names code and status. */
  senderTakesNoMail: reply(550, "5.7.27", "The domain of this sender address takes no mail (null MX)"),
  /** RFC 7505 §4.1. */
  recipientTakesNoMail: reply(556, "5.1.10", "The domain of this recipient takes no mail (null MX)"),
  noSuchDomain: reply(550, "5.1.2", "The domain of this recipient does not exist"),
  noMailHost: reply(550, "5.1.2", "The domain of this recipient has no host that takes mail"),
  domainLoops: reply(550, "5.4.6", "The domain of this recipient leads back to this server, which does not take it"),
  /** RFC 6409 §4.2 names the code. */
  notQualified: reply(554, "5.1.0", "The domain of this address is not fully qualified"),
  /** Deviation: RFC 5321 §7.3 wants 252 where VRFY is off; an operator who sets it so wants no such command. */
  vrfyOff: reply(502, "5.5.1", "VRFY is not served here"),
  releaseOver: reply(501, "5.5.4", "HOLDUNTIL is a time that is over"),
  releaseTooFar: reply(501, "5.5.4", "Release is further away than FUTURERELEASE allows"),
  releaseTooLate: reply(501, "5.5.4", "Release is later than the time to deliver by"),
  loop: reply(554, "5.4.6", "Mail loop: too many Received fields"),
  /** RFC 6409 §6.3: 554 for what is wrong with the data. */
  notAField: reply(554, "5.6.0", "A line of the header section is no header field; put an empty line before the text"),
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

/** RFC 5321 §4.2.2: 450 is for what may be tried again, and 4.7.1 (RFC 3463) that it is a rule which keeps it. */
export function limitReached({ limit, most, until }: Reached, of: "user" | "address", now: Instant): Reply {
  const who = of === "user" ? "You" : "Users at your address";
  const [what = "", window = ""] = limit.replaceAll("_", " ").split(" per ");
  const send = what === "messages" ? "send" : "write to";
  const things = most === 1 ? what.slice(0, -1) : what;
  const each = window === "hour" ? "an hour" : `a ${window}`;
  return reply(450, "4.7.1", `${who} may ${send} ${most} ${things} ${each}; try again in ${wait(until - now)}`);
}

function wait(duration: Duration): string {
  const minutes = Math.max(1, Math.ceil(duration / MINUTE));
  if (minutes < 120) return minutes === 1 ? "1 minute" : `${minutes} minutes`;
  return `${Math.ceil(minutes / 60)} hours`;
}

/** The one 2yz that takes responsibility (RFC 5321 §6.1). */
export function queuedAs(id: string): Reply {
  return reply(250, "2.0.0", `Ok: queued as ${id}`);
}

/** Why a message cannot be sent as it is, so that its author can put it right: 550 where rights are missing, else 554 (RFC 6409 §6.3). */
export function unmendable(fault: Unmendable): Reply {
  const { field } = fault;
  const named = `The ${fieldName(field)} field`;
  switch (fault.kind) {
    case "notYours":
      return reply(550, "5.7.1", `${named} says ${shown(formatMailbox(fault.mailbox))}, which is not yours to use`);
    case "eightBit":
      return reply(554, "5.6.0", `${named} holds letters beyond ASCII that are not encoded (RFC 2047)`);
    case "notUtf8":
      return reply(554, "5.6.0", `${named} is not UTF-8`);
    case "longLine":
      return reply(554, "5.6.0", `${named} has a line of more than 998 octets; fold it`);
    case "control":
      return reply(554, "5.6.0", `${named} holds a NUL, or a line end that is no CRLF`);
    case "repeated":
      return reply(554, "5.6.0", `${named} stands in the message twice; put all into one`);
    case "badAddress":
      return reply(554, "5.6.0", `${named} cannot be read: it holds ${fault.problem.found}`);
    case "unqualified":
      return reply(554, "5.6.0", `${named} names ${shown(fault.localPart)} without a domain; write the whole address`);
    case "noAddress":
      return reply(554, "5.6.0", `${named} lacks the one address of who writes`);
    case "signed":
      return reply(
        554,
        "5.6.0",
        `${named} would have to be changed and is signed by DKIM; submit without that signature`,
      );
    default:
      return assertNever(fault);
  }
}

/** As people know it: `Reply-To`. */
function fieldName(name: string): string {
  return shown(
    name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
    40,
  );
}

/** A text of the message in a reply: one that ASCII can say, and short. */
function shown(text: string, limit = 200): string {
  return printable(text, limit).replace(/[^\x20-\x7e]/g, "?");
}
