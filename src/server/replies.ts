/**
 * Every reply that the engine makes, with its code (RFC 5321 §4.2) and enhanced status code (RFC 3463, RFC 5248). The texts are
 * an interface: plain, without a name, version or path of this machine beyond the hostname. The greeting, the replies to
 * EHLO and HELO and 3yz carry no enhanced status code (RFC 2034 §4).
 */
import { assertNever } from "../base/index.ts";
import {
  type CommandProblem,
  type DataProblem,
  encodeBase64,
  formatExtensions,
  type ParameterProblem,
  type Reply,
  reply,
} from "../smtp/index.ts";

/** 220, RFC 5321 §4.2: the word ESMTP tells the client to try EHLO, and LMTP not to. */
export function greeting(hostname: string, protocol: "smtp" | "lmtp"): Reply {
  return reply(220, null, `${hostname} ${protocol === "lmtp" ? "LMTP" : "ESMTP"} ready`);
}

/** The reply to EHLO (RFC 5321 §4.1.1.1). */
export function ehlo(hostname: string, extensions: ReadonlyMap<string, readonly string[]>): Reply {
  return reply(250, null, hostname, ...formatExtensions(extensions));
}

export function helo(hostname: string): Reply {
  return reply(250, null, hostname);
}

export const mailAccepted: Reply = reply(250, "2.1.0", "Sender ok");
export const recipientAccepted: Reply = reply(250, "2.1.5", "Recipient ok");
export const startMail: Reply = reply(354, null, "End data with <CR><LF>.<CR><LF>");
/** RFC 3030 §2, §4.2. */
export function chunkTaken(octets: number): Reply {
  return reply(250, "2.0.0", `${octets} octets received`);
}

export const resetDone: Reply = reply(250, "2.0.0", "Forgotten");
export const noop: Reply = reply(250, "2.0.0", "Ok");
export const goodbye: Reply = reply(221, "2.0.0", "Goodbye");
export const help: Reply = reply(214, "2.0.0", "See RFC 5321");
/** RFC 5321 §3.5.3: neither confirmed nor denied. */
export const cannotVerify: Reply = reply(252, "2.5.0", "Cannot verify, but will take mail for known users");

/** RFC 3207 §4. */
export const readyForTls: Reply = reply(220, "2.0.0", "Ready to start TLS");
export const tlsUnavailable: Reply = reply(454, "4.7.0", "TLS not available");
export const tlsAlready: Reply = reply(503, "5.5.1", "TLS is already in use");
export const tlsRequired: Reply = reply(530, "5.7.0", "Must issue a STARTTLS command first");
/** RFC 3207 §4.1 names the code, RFC 4954 §6 the status for credentials that do not suffice. */
export const certificateMissing: Reply = reply(554, "5.7.8", "A client certificate is required, and none was shown");
export const certificateUnknown: Reply = reply(554, "5.7.8", "The client certificate is not known here");
export const pipelinedStartTls: Reply = reply(554, "5.5.0", "Nothing may follow STARTTLS");

/** RFC 4954 §4, §6. */
export const authenticated: Reply = reply(235, "2.7.0", "Authentication succeeded");
export const authRequired: Reply = reply(530, "5.7.0", "Authentication required");
export const authAlready: Reply = reply(503, "5.5.1", "Already authenticated");
export const authInTransaction: Reply = reply(503, "5.5.1", "No AUTH during a mail transaction");
export const authCancelled: Reply = reply(501, "5.7.0", "Authentication cancelled");
export const authBadBase64: Reply = reply(501, "5.5.2", "Not base64");
export const authLineTooLong: Reply = reply(500, "5.5.6", "Authentication exchange line is too long");
export const unknownMechanism: Reply = reply(504, "5.5.4", "Unrecognized authentication type");

/** 334 with the challenge in base64 (RFC 4954 §4). */
export function challenge(data: Uint8Array): Reply {
  return reply(334, null, encodeBase64(data));
}

/** XCLIENT. */
export const mayNotIntroduce: Reply = reply(550, "5.7.0", "Not allowed to speak for others");
export const introducedInTransaction: Reply = reply(503, "5.5.1", "No XCLIENT during a mail transaction");

export const helloFirst: Reply = reply(503, "5.5.1", "Send EHLO first");
export const mailFirst: Reply = reply(503, "5.5.1", "Send MAIL first");
export const nestedMail: Reply = reply(503, "5.5.1", "A mail transaction is already open");
export const inMessage: Reply = reply(503, "5.5.1", "A message is coming by BDAT");
export const binaryByData: Reply = reply(503, "5.5.1", "BODY=BINARYMIME needs BDAT");
export const chunkAfterFailure: Reply = reply(503, "5.5.1", "The message has failed already");
/** RFC 2033 §4.1 recommends the code, §4.2 wants the other one. */
export const notInLmtp: Reply = reply(500, "5.5.1", "This is LMTP: send LHLO");
export const noRecipientsOverLmtp: Reply = reply(503, "5.5.1", "No valid recipients");
export const noRecipients: Reply = reply(554, "5.5.1", "No valid recipients");
export const notImplemented: Reply = reply(502, "5.5.1", "Command not implemented");
export const pipelinedBody: Reply = reply(554, "5.5.0", "Nothing may follow DATA before its reply");
export const tooManyRecipients: Reply = reply(452, "4.5.3", "Too many recipients");
export const tooBig: Reply = reply(552, "5.3.4", "Message is larger than this server takes");
export const needsSmtpUtf8: Reply = reply(553, "5.6.7", "Address needs SMTPUTF8");

/** The policy threw, or a sink did; what it said is in the log only. */
export const localError: Reply = reply(451, "4.3.0", "Local error, try again later");
export const localErrorClosing: Reply = reply(421, "4.3.0", "Local error, closing connection");
export const timeout: Reply = reply(421, "4.4.2", "Timeout, closing connection");
export const shuttingDown: Reply = reply(421, "4.3.2", "Service is shutting down");
export const tooManyErrors: Reply = reply(421, "4.7.0", "Too many errors");
/** RFC 9422, MAILMAX. */
export const tooManyTransactions: Reply = reply(421, "4.7.0", "Too many messages in this connection");
export const tooManyConnections: Reply = reply(421, "4.7.0", "Too many connections");
export const earlyTalker: Reply = reply(554, "5.5.0", "Wait for the greeting");
export const notHttp: Reply = reply(554, "5.5.1", "This is not an HTTP server");

export const lineTooLong: Reply = reply(500, "5.5.2", "Line too long");
export const bareNewline: Reply = reply(500, "5.5.2", "Lines end with <CR><LF>");

/** The reply to a line that is no command of ours (RFC 5321 §4.2.4, §4.3.2). */
export function badCommand(problem: CommandProblem): Reply {
  switch (problem.kind) {
    case "unknownVerb":
      return reply(500, "5.5.1", "Command not recognized");
    case "badArgument":
      return reply(501, "5.5.4", `Expected: ${problem.expected}`);
    case "badAddress":
      return reply(501, problem.verb === "MAIL" ? "5.1.7" : "5.1.3", "Address is not valid");
    case "badOctets":
      return reply(500, "5.5.2", "Line holds octets that no command may hold");
    case "http":
      return notHttp;
    default:
      return assertNever(problem);
  }
}

/** RFC 5321 §4.1.1.11: 555 where a parameter is not known, 501 where its value is wrong. */
export function badParameter(problem: ParameterProblem): Reply {
  switch (problem.kind) {
    case "unknown":
      return reply(555, "5.5.4", `Parameter ${problem.keyword} not recognized`);
    case "badValue":
      return reply(501, "5.5.4", `Parameter ${problem.keyword} expects ${problem.expected}`);
    case "repeated":
      return reply(501, "5.5.4", `Parameter ${problem.keyword} given twice`);
    default:
      return assertNever(problem);
  }
}

const bareNewlineInBody: Reply = reply(554, "5.6.0", "Message holds a bare <CR> or <LF>");
const textLineTooLong: Reply = reply(554, "5.6.0", "Message holds a line that is too long");
const nulInBody: Reply = reply(554, "5.6.0", "Message holds a NUL");

/** The reply at the end of a body that the engine refused. */
export function badBody(problem: DataProblem | "tooBig"): Reply {
  switch (problem) {
    case "bareNewline":
      return bareNewlineInBody;
    case "lineTooLong":
      return textLineTooLong;
    case "nul":
      return nulInBody;
    case "tooBig":
      return tooBig;
    default:
      return assertNever(problem);
  }
}
