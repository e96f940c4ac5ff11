import { assert, assertNever, encodeUtf8 } from "../base/index.ts";
import {
  type Command,
  decodeBase64,
  type Mailbox,
  needsSmtpUtf8,
  type Reply,
  readMailParameters,
  readRcptParameters,
  type Verb,
} from "../smtp/index.ts";
import { onChunk } from "./chunks.ts";
import { helloOf, introduce } from "./introduction.ts";
import type { Hello, MailRequest, RecipientRequest } from "./policy.ts";
import * as replies from "./replies.ts";
import type { CommandPhase, State, Step, Talk } from "./state.ts";
import { ask, fault, proceed, refuse, say, shut } from "./steps.ts";
import { verbs } from "./verbs.ts";

type Of<V extends Verb> = Command & { readonly verb: V };

/** A command in its turn: first the verb table, then the verb's own checks, then the policy where it has a say. */
export function onCommand(state: State, from: CommandPhase, command: Command, followed: boolean): Step {
  if (command.verb === "BDAT") return onChunk(state, from, command);
  const at: CommandPhase = from.name === "spoiled" ? { name: "idle", talk: from.talk } : from;
  const rule = verbs[command.verb];
  const barred = barredReply(state, at, command.verb) ?? foreignHello(state.settings.protocol, command.verb);
  if (barred !== null) return fault(state, at, barred);
  if (!rule.implemented) return fault(state, at, replies.notImplemented);
  if (!rule.phases.has(at.name)) return fault(state, at, replies.helloFirst);
  if (!rule.junk) return proceedWith(state, at, command, followed);
  const counted: State = { ...state, tally: { ...state.tally, junk: state.tally.junk + 1 } };
  if (counted.tally.junk > state.settings.limits.junk) return shut(counted, replies.tooManyErrors);
  return proceedWith(counted, at, command, followed);
}

/**
 * What a command is answered that nobody may give here now, even where it could not be read: null where it has a turn. `verb` is null
 * for one that is not known.
 */
export function barredReply(state: State, at: CommandPhase, verb: Verb | null): Reply | null {
  return strangerReply(state.settings, verb) ?? clearTextReply(state, at, verb);
}

/** RFC 3207 §4: while a demanded TLS is missing. */
function clearTextReply({ settings }: State, at: CommandPhase, verb: Verb | null): Reply | null {
  const requireTls = at.name === "greeted" ? at.requireTls : at.talk.offer.requireTls;
  if (settings.secure || !(requireTls || settings.certificate === "awaited")) return null;
  const leadsOn = verb !== null && verbs[verb].preTls && foreignHello(settings.protocol, verb) === null;
  return leadsOn ? null : replies.tlsRequired;
}

/**
 * RFC 3207 §4.1: where the handshake proved too little, every command but QUIT is answered 554. A session that goes on and says why
 * is easier to mend for the other side than a handshake that fails with an alert.
 */
function strangerReply({ certificate }: State["settings"], verb: Verb | null): Reply | null {
  if (verb === "QUIT") return null;
  if (certificate === "missing") return replies.certificateMissing;
  return certificate === "unknown" ? replies.certificateUnknown : null;
}

/** Each protocol has its own hello, so that two that speak different ones notice (RFC 2033 §4.1). */
function foreignHello(protocol: "smtp" | "lmtp", verb: Verb): Reply | null {
  if (protocol === "smtp") return verb === "LHLO" ? replies.notImplemented : null;
  return verb === "EHLO" || verb === "HELO" ? replies.notInLmtp : null;
}

function proceedWith(state: State, at: CommandPhase, command: Exclude<Command, Of<"BDAT">>, followed: boolean): Step {
  switch (command.verb) {
    case "EHLO":
    case "HELO":
    case "LHLO":
      // EHLO ends an open transaction (RFC 5321 §4.1.4), whatever becomes of it.
      return hello(state, resetPhase(at), { verb: command.verb, name: command.client });
    case "STARTTLS":
      return startTls(state, at, followed);
    case "RSET":
      return proceed(state, resetPhase(at), say(replies.resetDone));
    case "NOOP":
      return proceed(state, at, say(replies.noop));
    case "HELP":
      return proceed(state, at, say(replies.help));
    case "QUIT":
      return shut(state, replies.goodbye);
    case "VRFY":
      return ask(state, at, { kind: "verify", argument: command.argument });
    case "AUTH":
      return auth(state, talking(at), command);
    case "MAIL":
      return mail(state, talking(at), command);
    case "RCPT":
      return recipient(state, talking(at), command);
    case "DATA":
      return data(state, talking(at), followed);
    case "XCLIENT":
      return introduce(state, at, command);
    case "EXPN":
    case "ETRN":
      return fault(state, at, replies.notImplemented);
    default:
      return assertNever(command);
  }
}

function hello(state: State, back: CommandPhase, spoken: Hello): Step {
  return ask(state, back, { kind: "hello", hello: helloOf(state.settings, spoken), spoken: spoken.verb });
}

type TalkPhase = Exclude<CommandPhase, { readonly name: "greeted" }>;

function talking(at: CommandPhase): TalkPhase {
  assert(at.name !== "greeted", "the verb table lets it through only after EHLO or HELO");
  return at;
}

/** The phase after the transaction, if there is one, is forgotten. */
function resetPhase(at: CommandPhase): CommandPhase {
  return at.name === "greeted" ? at : { name: "idle", talk: at.talk };
}

/**
 * RFC 3207 §4. Octets behind the command were written before the handshake, by the client or by somebody between: taking
 * them into TLS is command injection, so the connection ends without TLS.
 */
function startTls(state: State, at: CommandPhase, followed: boolean): Step {
  const { secure, startTls } = state.settings;
  if (secure) return fault(state, at, replies.tlsAlready);
  if (startTls === "never") return fault(state, at, replies.notImplemented);
  if (followed) return shut(state, replies.pipelinedStartTls);
  if (startTls === "unavailable") return proceed(state, at, say(replies.tlsUnavailable));
  return {
    state: { ...state, phase: { name: "securing" } },
    actions: [say(replies.readyForTls), { kind: "startTls" }],
  };
}

/** RFC 4954 §4. In clear text no mechanism is ever offered, so that AUTH does not exist there. */
function auth(state: State, at: TalkPhase, command: Of<"AUTH">): Step {
  const { talk } = at;
  if (!talk.offered.has("AUTH")) return fault(state, at, replies.notImplemented);
  if (talk.identity !== null) return fault(state, at, replies.authAlready);
  if (at.name !== "idle") return fault(state, at, replies.authInTransaction);
  const mechanism = command.mechanism.toUpperCase();
  if (!talk.offer.mechanisms.some((offered) => offered.toUpperCase() === mechanism)) {
    return fault(state, at, replies.unknownMechanism);
  }
  if (command.initial === null) return ask(state, at, { kind: "sasl", mechanism, response: null, first: true });
  // "=" stands for an initial response of no octets, which cannot be written otherwise.
  const response = command.initial === "=" ? new Uint8Array(0) : decodeBase64(encodeUtf8(command.initial));
  if (response === null) return fault(state, at, replies.authBadBase64);
  return ask(state, at, { kind: "sasl", mechanism, response, first: true });
}

/** A client's line within AUTH: base64, or `*` to give up (RFC 4954 §4). */
export function onResponse(state: State, talk: Talk, mechanism: string, line: Uint8Array): Step {
  const idle: CommandPhase = { name: "idle", talk };
  if (line.length === 1 && line[0] === 0x2a) return fault(state, idle, replies.authCancelled);
  const response = decodeBase64(line);
  if (response === null) return fault(state, idle, replies.authBadBase64);
  return ask(state, idle, { kind: "sasl", mechanism, response, first: false });
}

function mail(before: State, at: TalkPhase, command: Of<"MAIL">): Step {
  const { talk } = at;
  const state: State = { ...before, mails: before.mails + 1 };
  // RFC 9422: who was told the limit and goes on is told that the connection ends (RFC 5321 §3.8), and comes again.
  if (state.mails > (talk.offer.transactions ?? state.settings.limits.transactions))
    return shut(state, replies.tooManyTransactions);
  if (at.name !== "idle") return fault(state, at, replies.nestedMail);
  if (talk.offer.requireAuth && talk.identity === null) return fault(state, at, replies.authRequired);
  const parameters = readMailParameters(command.parameters, talk.offered);
  if (!parameters.ok) return fault(state, at, replies.badParameter(parameters.error));
  const { reversePath } = command;
  const unicode = parameters.value.smtputf8 === true;
  if (!unicode && reversePath !== null && needsSmtpUtf8(reversePath)) return fault(state, at, replies.needsSmtpUtf8);
  // RFC 1870 §6.1: no need to receive what is known to be too large. No fault, for the client asked before sending; but counted,
  // or a client could ask for ever.
  if ((parameters.value.size ?? 0) > talk.offer.messageSize) return refuse(state, at, { reply: replies.tooBig });
  const { hello, identity } = talk;
  const request: MailRequest = { hello, identity, reversePath, parameters: parameters.value };
  return ask(state, at, { kind: "mail", request });
}

function recipient(state: State, at: TalkPhase, command: Of<"RCPT">): Step {
  if (at.name === "chunking") return fault(state, at, replies.inMessage);
  if (at.name !== "transaction") return fault(state, at, replies.mailFirst);
  const { talk, transaction } = at;
  const parameters = readRcptParameters(command.parameters, talk.offered);
  if (!parameters.ok) return fault(state, at, replies.badParameter(parameters.error));
  const mailbox: Mailbox =
    command.forwardPath === "postmaster"
      ? { localPart: "postmaster", domain: state.settings.hostname } // RFC 5321 §4.5.1: this system's own postmaster
      : command.forwardPath;
  if (transaction.parameters.smtputf8 !== true && needsSmtpUtf8(mailbox))
    return fault(state, at, replies.needsSmtpUtf8);
  // Not a fault: RFC 5321 §4.5.3.1.10 tells the client to send what was taken and to come again with the rest.
  if (transaction.recipients.length >= talk.offer.recipients) return proceed(state, at, say(replies.tooManyRecipients));
  const request: RecipientRequest = { recipient: mailbox, parameters: parameters.value };
  return ask(state, at, { kind: "recipient", request, transaction });
}

/** Octets behind DATA and before 354 may be a body, or commands that somebody wants to be one: both are refused. */
function data(state: State, at: TalkPhase, followed: boolean): Step {
  if (followed) return shut(state, replies.pipelinedBody);
  // RFC 3030 §2: a message comes by DATA or by BDAT, never by both.
  if (at.name === "chunking") return fault(state, at, replies.inMessage);
  if (at.name !== "transaction") return fault(state, at, replies.mailFirst);
  const { transaction } = at;
  if (transaction.recipients.length === 0) {
    const lmtp = state.settings.protocol === "lmtp";
    return fault(state, at, lmtp ? replies.noRecipientsOverLmtp : replies.noRecipients);
  }
  if (transaction.parameters.body === "BINARYMIME") return fault(state, at, replies.binaryByData);
  return ask(state, at, { kind: "body", transaction, chunk: null });
}
