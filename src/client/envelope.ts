import {
  announcedSize,
  type Extensions,
  formatMailParameters,
  formatPath,
  formatRcptParameters,
  type MailParameters,
  needsSmtpUtf8,
  type RcptParameters,
  type Reply,
  reply,
} from "../smtp/index.ts";
import type { OutgoingMessage } from "./types.ts";

/**
 * Why this message must not be sent to a server with these extensions: a reply in our own words, or null. A parameter that may
 * be dropped on the way is dropped by `mailCommand` instead; here are those that may not.
 */
export function unsupported(message: OutgoingMessage, extensions: Extensions): Reply | null {
  const { parameters } = message;
  // RFC 8689 §4.2.1: mail that asked for protected hops goes no further without them.
  if (parameters.requireTls === true && !extensions.has("REQUIRETLS")) {
    return reply(550, "5.7.30", "The next server does not support REQUIRETLS");
  }
  // RFC 6531 §3.5: never turned into something else on the way.
  if (asksForSmtpUtf8(message) && !extensions.has("SMTPUTF8")) {
    return reply(553, "5.6.7", "The next server does not support SMTPUTF8");
  }
  const limit = announcedSize(extensions);
  if (limit !== null && message.body.size !== null && message.body.size > limit) {
    return reply(552, "5.3.4", `The message is larger than the ${limit} octets that the next server takes`);
  }
  // RFC 3030 §3: BINARYMIME goes by BDAT only.
  if (parameters.body === "BINARYMIME" && !(extensions.has("BINARYMIME") && extensions.has("CHUNKING"))) {
    return reply(554, "5.6.3", "The next server does not take binary content");
  }
  // RFC 4865 §4.1: it would be sent at once.
  if (parameters.hold !== undefined && !extensions.has("FUTURERELEASE")) {
    return reply(554, "5.3.3", "The next server does not support FUTURERELEASE");
  }
  if (parameters.by?.mode === "R") {
    const refusal = tooLate(parameters.by.seconds, extensions);
    if (refusal !== null) return refusal;
  }
  if (parameters.body === "8BITMIME" && !extensions.has("8BITMIME")) {
    return reply(554, "5.6.3", "The next server does not support 8BITMIME");
  }
  return null;
}

/** RFC 2852 §4.1.4.1: what is to come back when it is late goes only where that is done, and done in time. */
function tooLate(seconds: number, extensions: Extensions): Reply | null {
  const announced = extensions.get("DELIVERBY");
  if (announced === undefined) return reply(554, "5.3.3", "The next server does not support DELIVERBY");
  const least = /^[0-9]{1,9}/.exec(announced[0] ?? "")?.[0];
  if (seconds > 0 && (least === undefined || seconds >= Number(least))) return null;
  return reply(554, "5.4.7", `The next server cannot deliver it within ${seconds} seconds`);
}

function asksForSmtpUtf8(message: OutgoingMessage): boolean {
  if (message.parameters.smtputf8 === true) return true;
  if (message.reversePath !== null && needsSmtpUtf8(message.reversePath)) return true;
  return message.recipients.some(({ mailbox }) => needsSmtpUtf8(mailbox));
}

/** The MAIL line, with the parameters whose extension the server offers (RFC 5321 §4.1.1.11). */
export function mailCommand(message: OutgoingMessage, extensions: Extensions): string {
  const {
    size: _declared,
    body,
    smtputf8: _asked,
    auth,
    ret,
    envid,
    requireTls,
    by,
    hold,
    priority,
  } = message.parameters;
  const dsn = extensions.has("DSN");
  const spoken: MailParameters = {
    // What the body is now, not what an earlier client declared.
    ...(message.body.size !== null && extensions.has("SIZE") && { size: message.body.size }),
    ...(body !== undefined && (body === "BINARYMIME" || extensions.has("8BITMIME")) && { body }),
    ...(asksForSmtpUtf8(message) && extensions.has("SMTPUTF8") && { smtputf8: true as const }),
    ...(auth !== undefined && extensions.has("AUTH") && { auth }),
    ...(ret !== undefined && dsn && { ret }),
    ...(envid !== undefined && dsn && { envid }),
    ...(requireTls === true && extensions.has("REQUIRETLS") && { requireTls }),
    ...(by !== undefined && extensions.has("DELIVERBY") && { by }),
    ...(hold !== undefined && extensions.has("FUTURERELEASE") && { hold }),
    ...(priority !== undefined && extensions.has("MT-PRIORITY") && { priority }),
  };
  return `MAIL FROM:${formatPath(message.reversePath)}${formatMailParameters(spoken)}`;
}

/** The RCPT line; NOTIFY and ORCPT only where DSN is offered (RFC 3461 §4). */
export function rcptCommand(recipient: OutgoingMessage["recipients"][number], extensions: Extensions): string {
  const spoken: RcptParameters = extensions.has("DSN") ? recipient.parameters : {};
  return `RCPT TO:${formatPath(recipient.mailbox)}${formatRcptParameters(spoken)}`;
}
