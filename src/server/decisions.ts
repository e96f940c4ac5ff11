import { asError, assert, type Log } from "../base/index.ts";
import { events } from "./events.ts";
import type { Client, Conversation, MessageSink, Policy } from "./policy.ts";
import { consult, decided, greet } from "./questions.ts";
import type { Decision, Question } from "./state.ts";

/**
 * The policy's part of one exchange: the conversation with it, and the sink it opened until the body has it. What the
 * policy throws ends here, in the log; what it decides after the end is undone.
 */
export class Decisions {
  readonly #policy: Policy;
  readonly #client: Client;
  readonly #log: Log;
  #conversation: Conversation | null = null;
  #sink: MessageSink | null = null;
  #ended = false;

  constructor(policy: Policy, client: Client, log: Log) {
    this.#policy = policy;
    this.#client = client;
    this.#log = log;
  }

  /** May this client talk? On a yes its conversation begins. */
  connect(): Decision | Promise<Decision> {
    return decided(() => greet(this.#policy, this.#client, () => this.begin()), this.failed);
  }

  /** A conversation without that question, as inside STARTTLS. Throws what the policy throws. */
  begin(): Conversation {
    const conversation = this.#policy.begin(this.#client);
    // The peer may have gone while the policy was thinking whether to let it in.
    if (this.#ended) this.#endConversation(conversation);
    else this.#conversation = conversation;
    return conversation;
  }

  ask(question: Question): Decision | Promise<Decision> {
    const conversation = this.#conversation;
    assert(conversation !== null, "a question only within a conversation");
    const decision = decided(() => consult(conversation, question), this.failed);
    return decision instanceof Promise ? decision.then((made) => this.#keep(made)) : this.#keep(decision);
  }

  /** The sink of the last decision "body"; from here on it is the caller's to finish or to abort. */
  takeSink(): MessageSink {
    const sink = this.#sink;
    assert(sink !== null, "a body only after its sink");
    this.#sink = null;
    return sink;
  }

  /** A sink that nobody took is aborted. */
  dropSink(): void {
    const sink = this.#sink;
    if (sink === null) return;
    this.#sink = null;
    try {
      sink.abort()?.catch(this.failed);
    } catch (error) {
      this.failed(error);
    }
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.dropSink();
    if (this.#conversation !== null) this.#endConversation(this.#conversation);
  }

  readonly failed = (error: unknown): void => {
    this.#log.error(events.policyFailed, { error: asError(error) });
  };

  #keep(decision: Decision): Decision {
    if (decision.kind === "body" && decision.verdict.kind === "accept") this.#sink = decision.verdict.sink;
    // The peer left while the policy was thinking; a sink that was opened for it must know.
    if (this.#ended) this.dropSink();
    return decision;
  }

  #endConversation(conversation: Conversation): void {
    try {
      conversation.end?.();
    } catch (error) {
      this.failed(error);
    }
  }
}
