import { asError, type Log } from "../base/index.ts";
import { describeReply, type Reply } from "../smtp/index.ts";
import { events } from "./events.ts";
import type { Decision, Phase } from "./state.ts";

/** What the log is told of one exchange. */
export class Journal {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  said(reply: Reply): void {
    if (reply.code >= 400) this.#log.info(events.refused, { reply: describeReply(reply) });
  }

  /** `phase`: the one in which the policy was asked. */
  decided(decision: Decision, phase: Phase): void {
    if (decision.kind !== "sasl" || decision.verdict.kind !== "authenticated") return;
    const mechanism = phase.name === "asking" && phase.question.kind === "sasl" ? phase.question.mechanism : null;
    this.#log.info(events.authenticated, { identity: decision.verdict.identity, mechanism });
  }

  /** The policy or a sink did not answer in time. */
  stalled({ name }: Phase): void {
    this.#log.error(events.policyStalled, { phase: name });
  }

  /** The peer left so many octets unread. */
  slowReader(unsent: number): void {
    this.#log.info(events.slowReader, { unsent });
  }

  /** A bug of ours. */
  broken(error: unknown): void {
    this.#log.error(events.broken, { error: asError(error) });
  }
}
