// A policy whose mail goes through the turnstile.
import type {
  BodyVerdict,
  Conversation,
  MailRequest,
  MessageSink,
  Offer,
  Policy,
  Transaction,
  Verdict,
} from "../server/index.ts";
import type { Reply } from "../smtp/index.ts";
import { REPLIES } from "./replies.ts";
import type { Turn, Turnstile } from "./turnstile.ts";

const ACCEPT: Verdict = { kind: "accept" };
/** For a connection that is over; nobody reads it. */
const TOO_LATE: Verdict = { kind: "refuse", reply: REPLIES.systemTrouble };

/** As `policy`, with each MAIL put off until there is a place for it. */
export function inTurn(policy: Policy, turnstile: Turnstile): Policy {
  return {
    connect: (client) => policy.connect(client),
    begin: (client) => new TurnedConversation(policy.begin(client), turnstile),
  };
}

/**
 * `inner` is made of functions that need no `this`, as all policies of this folder are. A class, because ten thousand connections may be
 * idle, and functions made for each would weigh more than all else that is held of a conversation.
 */
class TurnedConversation implements Conversation {
  readonly hello?: NonNullable<Conversation["hello"]>;
  readonly sasl?: NonNullable<Conversation["sasl"]>;
  readonly recipient?: NonNullable<Conversation["recipient"]>;
  readonly verify?: NonNullable<Conversation["verify"]>;
  readonly #inner: Conversation;
  readonly #turnstile: Turnstile;
  #turn: Turn | null = null;
  #ended = false;

  constructor(inner: Conversation, turnstile: Turnstile) {
    this.#inner = inner;
    this.#turnstile = turnstile;
    // What a policy leaves out the engine answers by itself.
    if (inner.hello !== undefined) this.hello = inner.hello;
    if (inner.sasl !== undefined) this.sasl = inner.sasl;
    if (inner.recipient !== undefined) this.recipient = inner.recipient;
    if (inner.verify !== undefined) this.verify = inner.verify;
  }

  offer(): Offer {
    return this.#inner.offer();
  }

  mail(request: MailRequest): Verdict | Promise<Verdict> {
    this.#turn ??= this.#turnstile.turn();
    const turn = this.#turn;
    return turn.enter()?.then(() => this.#judge(request, turn)) ?? this.#judge(request, turn);
  }

  #judge(request: MailRequest, turn: Turn): Verdict | Promise<Verdict> {
    // What a policy held for it after its end nobody would free.
    if (this.#ended) return TOO_LATE;
    return leftUnlessTaken(this.#inner.mail?.(request) ?? ACCEPT, turn);
  }

  body(transaction: Transaction): BodyVerdict | Promise<BodyVerdict> {
    const verdict = this.#inner.body(transaction);
    return this.#turn === null ? verdict : withTurn(verdict, this.#turn);
  }

  end(): void {
    this.#ended = true;
    this.#turn?.leave();
    this.#inner.end?.();
  }
}

function leftUnlessTaken(verdict: Verdict | Promise<Verdict>, turn: Turn): Verdict | Promise<Verdict> {
  if (verdict instanceof Promise) return verdict.then((judged) => leftUnlessTaken(judged, turn));
  if (verdict.kind === "refuse") turn.leave();
  return verdict;
}

function withTurn(verdict: BodyVerdict | Promise<BodyVerdict>, turn: Turn): BodyVerdict | Promise<BodyVerdict> {
  if (verdict instanceof Promise) return verdict.then((judged) => withTurn(judged, turn));
  if (verdict.kind === "accept") return { kind: "accept", sink: new TurnSink(verdict.sink, turn) };
  turn.leave();
  return verdict;
}

class TurnSink implements MessageSink {
  readonly #inner: MessageSink;
  readonly #turn: Turn;

  constructor(inner: MessageSink, turn: Turn) {
    this.#inner = inner;
    this.#turn = turn;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    return this.#inner.write(chunk);
  }

  get copies(): boolean {
    return this.#inner.copies === true;
  }

  async finish(): Promise<Reply | readonly Reply[]> {
    this.#turn.keep();
    try {
      return await this.#inner.finish();
    } finally {
      this.#turn.leave();
    }
  }

  abort(): void | Promise<void> {
    this.#turn.leave();
    return this.#inner.abort();
  }
}
