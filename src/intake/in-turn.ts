// A policy whose mail goes through the turnstile.
import type { BodyVerdict, Conversation, MessageSink, Policy, Verdict } from "../server/index.ts";
import type { Reply } from "../smtp/index.ts";
import type { Turn, Turnstile } from "./turnstile.ts";

const ACCEPT: Verdict = { kind: "accept" };

/** As `policy`, with each MAIL put off until there is a place for it. */
export function inTurn(policy: Policy, turnstile: Turnstile): Policy {
  return {
    connect: (client) => policy.connect(client),
    begin: (client) => turned(policy.begin(client), turnstile.turn()),
  };
}

/** `inner` is made of functions that need no `this`, as all policies of this folder are. */
function turned(inner: Conversation, turn: Turn): Conversation {
  return {
    ...inner,
    mail(request) {
      const judge = (): Verdict | Promise<Verdict> => leftUnlessTaken(inner.mail?.(request) ?? ACCEPT, turn);
      return turn.enter()?.then(judge) ?? judge();
    },
    body: (transaction) => withTurn(inner.body(transaction), turn),
    end() {
      turn.leave();
      inner.end?.();
    },
  };
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
