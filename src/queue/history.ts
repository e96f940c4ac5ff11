import { DAY } from "../base/index.ts";
import type { Outcome } from "./model.ts";

/** How much of what is over is still told: as long as both allow. */
export interface HistoryBounds {
  /** Milliseconds. */
  readonly age: number;
  /** Recipients; 0 keeps nothing. */
  readonly recipients: number;
}

export const DEFAULT_HISTORY: HistoryBounds = { age: 7 * DAY, recipients: 100_000 };

const MAX_LINES = 8;
const MAX_TEXT = 600;

/** An outcome as it is kept when a recipient is finished: a reply of many or long lines, which a stranger chose, is cut. */
export function keptOutcome(outcome: Outcome): Outcome {
  if (outcome.kind === "delivered") return { ...outcome, reply: keptReply(outcome.reply) };
  const { problem } = outcome;
  return { ...outcome, problem: { ...problem, text: cut(problem.text), reply: keptReply(problem.reply) } };
}

function keptReply<R extends { readonly lines: readonly string[] } | null>(reply: R): R {
  return reply === null ? reply : { ...reply, lines: reply.lines.slice(0, MAX_LINES).map(cut) };
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
