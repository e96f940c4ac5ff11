import { assert, assertNever } from "../base/index.ts";
import type { DataProblem, Reply } from "../smtp/index.ts";
import { afterFailure, answersTo, beginChunks, onChunkCame, refuseChunks } from "./chunks.ts";
import { barredReply, onCommand, onResponse } from "./commands.ts";
import { extensionsFor, sharedKeywords } from "./offer.ts";
import type { Offer, SaslVerdict, Verdict } from "./policy.ts";
import * as replies from "./replies.ts";
import type {
  CommandPhase,
  Decision,
  Event,
  LineProblem,
  Phase,
  Question,
  SessionSettings,
  State,
  Step,
  Tally,
} from "./state.ts";
import { fault, proceed, refuse, refuseAll, say, shut } from "./steps.ts";

/** What HELO offers (RFC 5321 §4.1.1.1). */
const NOTHING: ReadonlySet<string> = new Set();

const untouched: Tally = { errors: 0, refusals: 0, junk: 0 };

/** A session before its greeting: the decision "connect" is awaited. */
export function openSession(settings: SessionSettings): State {
  return { settings, phase: { name: "connecting" }, tally: untouched, mails: 0, stopping: false };
}

/** A session inside the TLS that STARTTLS began: nothing of the one before lives on, and no greeting is sent (RFC 3207 §4.2). */
export function rebornSession(settings: SessionSettings): State {
  const phase = { name: "greeted", requireTls: false } as const;
  return { settings, phase, tally: untouched, mails: 0, stopping: false };
}

/** The one transition of a server session. Throws only on an event that cannot occur in its phase: a bug of the driver. */
export function step(state: State, event: Event): Step {
  const next = transition(state, event);
  const { name } = next.state.phase;
  if (!next.state.stopping || (name !== "greeted" && name !== "idle" && name !== "spoiled")) return next;
  const last = shut(next.state, replies.shuttingDown);
  return { state: last.state, actions: [...next.actions, ...last.actions] };
}

function transition(state: State, event: Event): Step {
  const { phase } = state;
  switch (event.kind) {
    case "command":
      return onCommand(state, commandPhase(phase), event.command, event.followed);
    case "badLine":
      return onBadLine(state, event.problem);
    case "response":
      assert(phase.name === "authenticating", "a response only while authenticating");
      return onResponse(state, phase.talk, phase.mechanism, event.line);
    case "decision":
      return onDecision(state, event.decision, event.followed);
    case "bodyTaken":
      return onBodyTaken(state, event.reply);
    case "chunkCame":
      return onChunkCame(state);
    case "bodyRefused":
      return onBodyRefused(state, event.problem);
    case "bodyEndless":
      return shut(state, replies.tooBig);
    case "earlyTalk":
      return shut(state, replies.earlyTalker);
    case "timeout":
      return shut(state, replies.timeout);
    case "stalled":
      return shut(state, replies.localErrorClosing);
    case "stop":
      return onStop(state);
    default:
      return assertNever(event);
  }
}

function commandPhase(phase: Phase): CommandPhase {
  assert(phase.name === "greeted" || phase.name === "idle" || inMail(phase), "a command only where one is awaited");
  return phase;
}

function inMail(phase: Phase): phase is Extract<Phase, { readonly name: "transaction" | "chunking" | "spoiled" }> {
  return phase.name === "transaction" || phase.name === "chunking" || phase.name === "spoiled";
}

/** True where the sink of a message that comes in chunks must stay open; elsewhere what it has is to be thrown away. */
export function keepsBody({ phase }: State): boolean {
  if (phase.name === "asking") return phase.back.name === "chunking";
  return phase.name === "chunking" || (phase.name === "receiving" && phase.chunk !== null);
}

function onBadLine(state: State, problem: LineProblem): Step {
  const { phase } = state;
  if (phase.name === "authenticating") {
    const reply = problem.kind === "tooLong" ? replies.authLineTooLong : replies.authBadBase64;
    return fault(state, { name: "idle", talk: phase.talk }, reply);
  }
  const at = commandPhase(phase);
  switch (problem.kind) {
    case "tooLong":
      return fault(state, at, replies.lineTooLong);
    case "bareNewline":
      return fault(state, at, replies.bareNewline);
    case "http":
      // A browser was made to talk to us: answering more commands would be a cross-protocol attack.
      return shut(state, replies.notHttp);
    case "badArgument":
      // Behind BDAT the octets of a chunk follow, however it is answered (RFC 3030 §2), and here nobody knows how many: a body
      // read as commands is message smuggling.
      if (problem.verb === "BDAT") return shut(state, replies.badCommand(problem));
      return fault(state, at, barredReply(state, at, problem.verb) ?? replies.badCommand(problem));
    case "badOctets":
      return fault(state, at, replies.badCommand(problem));
    case "unknownVerb":
      return fault(state, at, barredReply(state, at, null) ?? replies.badCommand(problem));
    case "badAddress":
      return fault(state, at, barredReply(state, at, problem.verb) ?? replies.badCommand(problem));
    default:
      return assertNever(problem);
  }
}

function onStop(state: State): Step {
  const { name } = state.phase;
  // Before the greeting there is no session to end in order, so that 421 is the greeting; after 334 it ends the exchange.
  if (name === "connecting" || name === "authenticating") return shut(state, replies.shuttingDown);
  return { state: { ...state, stopping: true }, actions: [] };
}

function onBodyTaken(state: State, given: Reply | readonly Reply[]): Step {
  const { phase } = state;
  assert(phase.name === "receiving", "a body ends only where one began");
  const idle: CommandPhase = { name: "idle", talk: phase.talk };
  if ("code" in given && phase.answers === 1 && given.code >= 200 && given.code < 300) {
    return { state: { ...state, phase: idle, tally: untouched }, actions: [say(given)] };
  }
  const said = "code" in given ? Array<Reply>(phase.answers).fill(given) : given;
  const right = said.length === phase.answers && said.every(isFinal);
  if (!right) return proceed(state, idle, ...Array(phase.answers).fill(say(replies.localError)));
  if (!said.some(({ code }) => code < 300)) return refuseAll(state, idle, said);
  const taken: State = { ...state, tally: untouched };
  if (said.some(({ code }) => code === 421)) return shut(taken, ...said);
  return proceed(taken, idle, ...said.map(say));
}

function isFinal({ code }: Reply): boolean {
  return (code >= 200 && code < 300) || code >= 400;
}

function onBodyRefused(state: State, problem: DataProblem | "tooBig" | "failed"): Step {
  const { phase } = state;
  assert(phase.name === "receiving", "a body ends only where one began");
  const next = afterFailure(state, phase);
  const reply = problem === "failed" ? replies.localError : replies.badBody(problem);
  const said = Array<Reply>(phase.answers).fill(reply);
  return problem === "failed" ? proceed(state, next, ...said.map(say)) : fault(state, next, ...said);
}

function onDecision(state: State, decision: Decision, followed: boolean): Step {
  const { phase, settings } = state;
  if (phase.name === "connecting") {
    if (decision.kind !== "connect") return shut(state, replies.localErrorClosing);
    if (decision.verdict.kind === "refuse") return shut(state, refusalOf(decision.verdict.reply));
    const { requireTls } = decision;
    return proceed(state, { name: "greeted", requireTls }, say(replies.greeting(settings.hostname, settings.protocol)));
  }
  assert(phase.name === "asking", "a decision only where a question is open");
  if (decision.kind === "failed") {
    const { question, back } = phase;
    if (question.kind === "body" && question.chunk !== null) return refuseChunks(state, back, question.chunk, "failed");
    return proceed(state, back, say(replies.localError));
  }
  return answer(state, phase.question, decision, phase.back, followed);
}

/**
 * A refusal is the greeting: it must be one (RFC 5321 §3.1).
 *
 * Deviation: that section wants a server that greets with 554 to wait for QUIT. It closes at once, as with 421: whoever was told to
 * go away has no claim to a place that others need.
 */
function refusalOf(reply: Reply): Reply {
  return reply.code >= 400 ? reply : replies.localErrorClosing;
}

function answer(state: State, question: Question, decision: Decision, back: CommandPhase, followed: boolean): Step {
  switch (question.kind) {
    case "hello":
      assert(decision.kind === "hello", "a decision answers its question");
      return onHello(state, back, question, decision.verdict, decision.offer);
    case "sasl":
      assert(decision.kind === "sasl", "a decision answers its question");
      return onSasl(state, back, question.mechanism, decision.verdict);
    case "verify":
      assert(decision.kind === "verify", "a decision answers its question");
      if (decision.reply.code >= 400) return refuse(state, back, { reply: decision.reply });
      return proceed(state, back, say(decision.reply));
    case "mail":
    case "recipient":
    case "body":
      assert(decision.kind === question.kind, "a decision answers its question");
      if (decision.verdict.kind === "accept") return onAccepted(state, question, back, followed);
      if (question.kind !== "body" || question.chunk === null) return refuse(state, back, decision.verdict);
      return refuseChunks(state, back, question.chunk, decision.verdict);
    default:
      return assertNever(question);
  }
}

function onAccepted(
  state: State,
  question: Extract<Question, { readonly kind: "mail" | "recipient" | "body" }>,
  back: CommandPhase,
  followed: boolean,
): Step {
  assert(back.name !== "greeted", "a transaction only after EHLO or HELO");
  const { talk } = back;
  switch (question.kind) {
    case "mail": {
      const transaction = { ...question.request, recipients: [] };
      return proceed(state, { name: "transaction", talk, transaction }, say(replies.mailAccepted));
    }
    case "recipient": {
      const recipients = [...question.transaction.recipients, question.request];
      const transaction = { ...question.transaction, recipients };
      return proceed(state, { name: "transaction", talk, transaction }, say(replies.recipientAccepted));
    }
    case "body": {
      const { transaction, chunk } = question;
      if (chunk !== null) return beginChunks(state, talk, transaction, chunk);
      // Octets may also have come while the policy was thinking: still before the 354, still refused.
      if (followed) return shut(state, replies.pipelinedBody);
      const receiving = { name: "receiving", talk, answers: answersTo(state, transaction), chunk: null } as const;
      const maxSize = talk.offer.messageSize;
      return proceed(state, receiving, say(replies.startMail), { kind: "receiveBody", maxSize });
    }
    default:
      return assertNever(question);
  }
}

function onHello(
  state: State,
  back: CommandPhase,
  { hello, spoken }: Extract<Question, { readonly kind: "hello" }>,
  verdict: Verdict,
  offer: Offer,
): Step {
  if (verdict.kind === "refuse") return refuse(state, back, verdict);
  const identity = back.name === "greeted" ? (state.settings.xclient?.login ?? null) : back.talk.identity;
  if (spoken === "HELO") {
    const talk = { hello, offer, offered: NOTHING, identity };
    return proceed(state, { name: "idle", talk }, say(replies.helo(state.settings.hostname)));
  }
  const extensions = extensionsFor(state.settings, offer);
  const talk = { hello, offer, offered: sharedKeywords(extensions), identity };
  return proceed(state, { name: "idle", talk }, say(replies.ehlo(state.settings.hostname, extensions)));
}

function onSasl(state: State, back: CommandPhase, mechanism: string, verdict: SaslVerdict): Step {
  assert(back.name === "idle", "AUTH only between transactions");
  const { talk } = back;
  switch (verdict.kind) {
    case "challenge":
      return proceed(state, { name: "authenticating", talk, mechanism }, say(replies.challenge(verdict.data)));
    case "authenticated": {
      const known = { ...talk, identity: verdict.identity };
      return proceed(state, { name: "idle", talk: known }, say(replies.authenticated));
    }
    case "refuse":
      // Guessing passwords is a fault, not a refusal among many: the smaller limit counts.
      if (verdict.close === true || verdict.reply.code < 500) return refuse(state, back, verdict);
      return fault(state, back, verdict.reply);
    default:
      return assertNever(verdict);
  }
}
