import { type Log, printable } from "../base/index.ts";
import type { Client, Conversation, Offer, Policy, Verdict } from "../server/index.ts";
import { formatMailbox, formatPath, type ReversePath, SASL_MECHANISMS } from "../smtp/index.ts";
import type { Authenticator } from "./authenticator.ts";
import { events } from "./events.ts";
import type { Receiver } from "./receive.ts";
import { REPLIES } from "./replies.ts";

export interface SubmissionPolicyOptions {
  readonly authenticator: Authenticator;
  readonly receive: Receiver;
  /** Whether a user may send under this reverse-path; without it every user may under every one. */
  readonly maySend?: (identity: string, reversePath: ReversePath) => boolean | Promise<boolean>;
  readonly limits: { readonly messageSize: number; readonly recipients: number };
  readonly log: Log;
}

const ACCEPT: Verdict = { kind: "accept" };

/**
 * The policy of the MSA (the `submission` service, RFC 6409): mail to anywhere, from users who proved who they are, over
 * TLS alone (RFC 8314 §3.3). The body goes into the queue as it came.
 */
export function createSubmissionPolicy(options: SubmissionPolicyOptions): Policy {
  const offer: Offer = {
    mechanisms: SASL_MECHANISMS,
    messageSize: options.limits.messageSize,
    recipients: options.limits.recipients,
    requireTls: true,
    requireAuth: true,
    extensions: [],
  };
  return {
    connect: () => ACCEPT,
    begin(client): Conversation {
      const authentication = options.authenticator.begin(client);
      return {
        offer: () => offer,
        sasl: (mechanism, response, first) => authentication.step(mechanism, response, first),
        mail: ({ identity, reversePath }) => judgeSender(options, client, identity, reversePath),
        recipient({ recipient }) {
          options.log.debug(events.recipientAccepted, {
            session: client.sessionId,
            recipient: formatMailbox(recipient),
            relayed: true,
          });
          return ACCEPT;
        },
        body: (transaction) => options.receive(client, transaction, "submission"),
      };
    },
  };
}

/** The engine asks nothing before AUTH; without an identity the answer is no all the same: this door must not depend on it. */
function judgeSender(
  { maySend, log }: SubmissionPolicyOptions,
  client: Client,
  identity: string | null,
  reversePath: ReversePath,
): Verdict | Promise<Verdict> {
  const verdict = (may: boolean): Verdict => {
    if (may) return ACCEPT;
    const fields = { session: client.sessionId, identity: identity === null ? null : printable(identity) };
    log.info(events.senderRefused, { ...fields, from: formatPath(reversePath), code: REPLIES.senderDenied.code });
    return { kind: "refuse", reply: REPLIES.senderDenied };
  };
  if (identity === null) return verdict(false);
  const may = maySend === undefined || maySend(identity, reversePath);
  return typeof may === "boolean" ? verdict(may) : may.then(verdict);
}
