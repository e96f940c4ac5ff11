import type { BodyVerdict, Client, Conversation, MessageSink, Offer, Policy, Transaction, Verdict } from "./policy.ts";

/** What a session is offered where a policy says nothing else: no AUTH, 50 MiB, 1,000 recipients, TLS as the client likes. */
export const defaultOffer: Offer = {
  mechanisms: [],
  messageSize: 50 * 1024 * 1024,
  recipients: 1000,
  requireTls: false,
  requireAuth: false,
  extensions: [],
};

/** A policy in parts: only `body` must be there. Each part is given the client, so that one object serves all connections. */
export interface PolicyParts {
  connect?(client: Client): Verdict | Promise<Verdict>;
  /** What differs from `defaultOffer`. */
  readonly offer?: Partial<Offer> | ((client: Client) => Partial<Offer>);
  readonly hello?: WithClient<"hello">;
  readonly sasl?: WithClient<"sasl">;
  readonly mail?: WithClient<"mail">;
  readonly recipient?: WithClient<"recipient">;
  readonly verify?: WithClient<"verify">;
  body(transaction: Transaction, client: Client): MessageSink | BodyVerdict | Promise<MessageSink | BodyVerdict>;
  end?(client: Client): void;
}

type Part = "hello" | "sasl" | "mail" | "recipient" | "verify";
type WithClient<Name extends Part> =
  NonNullable<Conversation[Name]> extends (...args: infer Arguments) => infer Answer
    ? (...args: [...Arguments, client: Client]) => Answer
    : never;

/**
 * A whole policy from the parts that matter to you. What you leave out accepts, and `body` may give just a sink.
 *
 * ```ts
 * const policy = definePolicy({
 *   recipient: ({ recipient }) =>
 *     recipient.domain === "example.org"
 *       ? { kind: "accept" }
 *       : { kind: "refuse", reply: reply(550, "5.7.1", "No relaying here") },
 *   body: (transaction) => {
 *     const chunks: Uint8Array[] = [];
 *     return {
 *       write: (chunk) => void chunks.push(chunk),
 *       finish: async () => {
 *         await keep(transaction, chunks); // 250 means that the message is safe with you
 *         return reply(250, "2.0.0", "Taken");
 *       },
 *       abort: () => {},
 *     };
 *   },
 * });
 * ```
 */
export function definePolicy(parts: PolicyParts): Policy {
  return {
    connect: (client) => parts.connect?.(client) ?? { kind: "accept" },
    begin: (client) => converse(parts, client),
  };
}

function converse(parts: PolicyParts, client: Client): Conversation {
  const { hello, sasl, mail, recipient, verify } = parts;
  return {
    offer: () => {
      const differs = typeof parts.offer === "function" ? parts.offer(client) : parts.offer;
      return { ...defaultOffer, ...differs };
    },
    ...(hello && { hello: (greeting) => hello(greeting, client) }),
    ...(sasl && { sasl: (mechanism, response, first) => sasl(mechanism, response, first, client) }),
    ...(mail && { mail: (request) => mail(request, client) }),
    ...(recipient && { recipient: (request, transaction) => recipient(request, transaction, client) }),
    ...(verify && { verify: (argument) => verify(argument, client) }),
    body: (transaction) => {
      const answer = parts.body(transaction, client);
      return answer instanceof Promise ? answer.then(verdictOf) : verdictOf(answer);
    },
    end: () => parts.end?.(client),
  };
}

function verdictOf(answer: MessageSink | BodyVerdict): BodyVerdict {
  return "kind" in answer ? answer : { kind: "accept", sink: answer };
}
