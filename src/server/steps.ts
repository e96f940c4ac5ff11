import type { Reply } from "../smtp/index.ts";
import * as replies from "./replies.ts";
import type { Action, CommandPhase, Phase, Question, State, Step } from "./state.ts";

export function say(reply: Reply): Action {
  return { kind: "reply", reply };
}

/** Nothing went wrong: the replies, and the phase from here on. */
export function proceed(state: State, phase: Phase, ...actions: readonly Action[]): Step {
  return { state: phase === state.phase ? state : { ...state, phase }, actions };
}

/** The policy is asked; a refusal leads to `back`. */
export function ask(state: State, back: CommandPhase, question: Question): Step {
  return { state: { ...state, phase: { name: "asking", question, back } }, actions: [{ kind: "ask", question }] };
}

/** The last replies, and the end. */
export function shut(state: State, ...last: readonly Reply[]): Step {
  return { state: { ...state, phase: { name: "closed" } }, actions: [...last.map(say), { kind: "close" }] };
}

/** The peer did wrong: it is told, later and later, and in the end shown the door (RFC 5321 §4.3.2, §3.8). */
export function fault(state: State, phase: Phase, ...said: readonly Reply[]): Step {
  const { limits } = state.settings;
  const errors = state.tally.errors + 1;
  const next: State = { ...state, phase, tally: { ...state.tally, errors } };
  if (errors >= limits.errors) return shut(next, ...said, replies.tooManyErrors);
  const slow = limits.tarpit > 0 && errors >= limits.softErrors;
  return { state: next, actions: slow ? [{ kind: "delay" }, ...said.map(say)] : said.map(say) };
}

/** The policy said no, which closes where it says so. */
export function refuse(state: State, phase: Phase, verdict: { readonly reply: Reply; readonly close?: boolean }): Step {
  const said = [refusalOf(verdict.reply)];
  if (verdict.close === true) return shut(state, ...said);
  return refuseAll(state, phase, said);
}

/** A reply that is no refusal would leave the two sides in different states: it is a bug of the policy. */
export function refusalOf(reply: Reply): Reply {
  return reply.code >= 400 ? reply : replies.localError;
}

/** Several refusals that answer one command, in LMTP (RFC 2033 §4.2). */
export function refuseAll(state: State, phase: Phase, said: readonly Reply[]): Step {
  const refusals = state.tally.refusals + (said.some(({ code }) => code >= 500) ? 1 : 0);
  const next: State = { ...state, phase, tally: { ...state.tally, refusals } };
  // 421 is the one code that says the connection ends (RFC 5321 §3.8).
  if (said.some(({ code }) => code === 421)) return shut(next, ...said);
  if (refusals >= state.settings.limits.refusals) return shut(next, ...said, replies.tooManyErrors);
  return { state: next, actions: said.map(say) };
}
