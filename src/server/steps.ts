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
export function fault(state: State, phase: Phase, reply: Reply): Step {
  const { limits } = state.settings;
  const errors = state.tally.errors + 1;
  const next: State = { ...state, phase, tally: { ...state.tally, errors } };
  if (errors >= limits.errors) return shut(next, reply, replies.tooManyErrors);
  const slow = limits.tarpit > 0 && errors >= limits.softErrors;
  return { state: next, actions: slow ? [{ kind: "delay" }, say(reply)] : [say(reply)] };
}

/** The policy said no. A reply that is no refusal would leave the two sides in different states: it is a bug of the policy. */
export function refuse(state: State, phase: Phase, verdict: { readonly reply: Reply; readonly close?: boolean }): Step {
  const reply = verdict.reply.code >= 400 ? verdict.reply : replies.localError;
  const refusals = state.tally.refusals + (reply.code >= 500 ? 1 : 0);
  const next: State = { ...state, phase, tally: { ...state.tally, refusals } };
  // 421 is the one code that says the connection ends (RFC 5321 §3.8).
  if (verdict.close === true || reply.code === 421) return shut(next, reply);
  if (refusals >= state.settings.limits.refusals) return shut(next, reply, replies.tooManyErrors);
  return { state: next, actions: [say(reply)] };
}
