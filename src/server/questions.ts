import { assertNever } from "../base/index.ts";
import type { Client, Conversation, Policy, Verdict } from "./policy.ts";
import * as replies from "./replies.ts";
import type { Decision, Question } from "./state.ts";

const accept: Verdict = { kind: "accept" };
const acceptMail: Decision = { kind: "mail", verdict: accept };
const acceptRecipient: Decision = { kind: "recipient", verdict: accept };
const failed: Decision = { kind: "failed" };

/**
 * Calls `decide` and passes its outcome on: at once where it is a value, so that a policy that needs no wait costs no promise.
 * What it throws goes to `report` and becomes "failed".
 */
export function decided(
  decide: () => Decision | Promise<Decision>,
  report: (error: unknown) => void,
): Decision | Promise<Decision> {
  const fail = (error: unknown): Decision => {
    report(error);
    return failed;
  };
  try {
    const decision = decide();
    return "then" in decision ? decision.then(undefined, fail) : decision;
  } catch (error) {
    return fail(error);
  }
}

function after<T>(value: T | Promise<T>, wrap: (value: T) => Decision): Decision | Promise<Decision> {
  return value instanceof Promise ? value.then(wrap) : wrap(value);
}

/**
 * Only what says yes is a yes. A policy in plain JavaScript may give a misspelt kind, or a promise of another library that no
 * `instanceof` knows: either is a bug of the policy, and must not open a relay.
 */
function certain<T extends { readonly kind: "accept" | "refuse" }>(verdict: T): T {
  if (verdict.kind === "accept" || verdict.kind === "refuse") return verdict;
  throw new TypeError("the policy's verdict is neither accept nor refuse");
}

/** May this client talk? On a yes `begin` is called, and gives the conversation. */
export function greet(policy: Policy, client: Client, begin: () => Conversation): Decision | Promise<Decision> {
  return after(policy.connect(client), (given) => {
    const verdict = certain(given);
    if (verdict.kind === "refuse") return { kind: "connect", verdict, requireTls: false };
    return { kind: "connect", verdict, requireTls: begin().offer().requireTls };
  });
}

/** Puts a question of the session to the policy. Throws and rejects with what the policy throws. */
export function consult(conversation: Conversation, question: Question): Decision | Promise<Decision> {
  switch (question.kind) {
    case "hello":
      return after(conversation.hello?.(question.hello) ?? accept, (verdict) => {
        return { kind: "hello", verdict: certain(verdict), offer: conversation.offer() };
      });
    case "sasl": {
      const { mechanism, response, first } = question;
      if (conversation.sasl === undefined)
        throw new Error("mechanisms are offered, and there is no sasl to serve them");
      return after(conversation.sasl(mechanism, response, first), (verdict) => ({ kind: "sasl", verdict }));
    }
    case "mail":
      if (conversation.mail === undefined) return acceptMail;
      return after(conversation.mail(question.request), (verdict) => ({ kind: "mail", verdict: certain(verdict) }));
    case "recipient":
      if (conversation.recipient === undefined) return acceptRecipient;
      return after(conversation.recipient(question.request, question.transaction), (verdict) => {
        return { kind: "recipient", verdict: certain(verdict) };
      });
    case "body":
      return after(conversation.body(question.transaction), (verdict) => ({ kind: "body", verdict: certain(verdict) }));
    case "verify":
      return after(conversation.verify?.(question.argument) ?? replies.cannotVerify, (reply) => {
        return { kind: "verify", reply };
      });
    default:
      return assertNever(question);
  }
}
