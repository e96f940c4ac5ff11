import { type Clock, type Duration, type Log, printable } from "../base/index.ts";
import type { Client, Conversation, Offer, Policy, Verdict } from "../server/index.ts";
import { formatMailbox, formatPath, type Mailbox, type ReversePath, SASL_MECHANISMS } from "../smtp/index.ts";
import type { Authenticator } from "./authenticator.ts";
import { futureRelease, judgeRelease } from "./delivery-terms.ts";
import { events } from "./events.ts";
import type { Home } from "./home.ts";
import { offeredExtensions, verifier } from "./offered.ts";
import type { Receiver } from "./receive.ts";
import { REPLIES } from "./replies.ts";

export interface SubmissionPolicyOptions {
  readonly authenticator: Authenticator;
  readonly receive: Receiver;
  /** Whose mail ends here: the only domains of one label that an address may have. */
  readonly home: Home;
  /** Whether a user may send under this reverse-path; without it every user may under every one. */
  readonly maySend?: (identity: string, reversePath: ReversePath) => boolean | Promise<boolean>;
  /** Whether a mailbox of ours exists; without it every one does. */
  readonly knows?: (mailbox: Mailbox) => boolean;
  /** VRFY is answered 252, which tells nothing (the default); else 502. */
  readonly vrfy?: boolean;
  readonly limits: {
    readonly messageSize: number;
    readonly recipients: number;
    /** The longest time that mail is held back for its sender (RFC 4865), milliseconds. */
    readonly futureRelease: Duration;
  };
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

const ACCEPT: Verdict = { kind: "accept" };
const UNKNOWN: Verdict = { kind: "refuse", reply: REPLIES.unknownRecipient };
const NOT_QUALIFIED: Verdict = { kind: "refuse", reply: REPLIES.notQualified };

/**
 * The policy of the MSA (the `submission` service, RFC 6409): mail to anywhere, from users who proved who they are, over
 * TLS alone (RFC 8314 §3.3). The body goes into the queue as it came.
 */
export function createSubmissionPolicy(options: SubmissionPolicyOptions): Policy {
  const { clock } = options;
  const longest = options.limits.futureRelease;
  // Made at each EHLO, for the date in it.
  const offer = (): Offer => ({
    mechanisms: SASL_MECHANISMS,
    messageSize: options.limits.messageSize,
    recipients: options.limits.recipients,
    requireTls: true,
    requireAuth: true,
    extensions: [...offeredExtensions, futureRelease(clock.now(), longest)],
  });
  const verify = verifier(options.vrfy ?? true);
  return {
    connect: () => ACCEPT,
    begin(client): Conversation {
      const authentication = options.authenticator.begin(client);
      return {
        offer,
        ...verify,
        sasl: (mechanism, response, first) => authentication.step(mechanism, response, first),
        mail({ identity, reversePath, parameters }) {
          if (reversePath !== null && !isQualified(options.home, reversePath)) return NOT_QUALIFIED;
          const refusal = judgeRelease(parameters, clock.now(), longest);
          return refusal ?? judgeSender(options, client, identity, reversePath);
        },
        recipient({ recipient }) {
          if (!isQualified(options.home, recipient)) return NOT_QUALIFIED;
          // Said now, to the one who mistyped it, and not in a report that comes later.
          if (options.home.takes(recipient) && options.knows?.(recipient) === false) return UNKNOWN;
          options.log.debug(events.recipientAccepted, {
            session: client.sessionId,
            recipient: formatMailbox(recipient),
            relayed: true,
          });
          return ACCEPT;
        },
        body: (transaction) => options.receive(client, transaction, "submission", { mayRaise: true }),
      };
    },
  };
}

/** RFC 6409 §4.2: a lone label (`sales`) means nothing to the next server; it is refused rather than completed. */
function isQualified(home: Home, mailbox: Mailbox): boolean {
  return mailbox.domain.includes(".") || mailbox.domain.startsWith("[") || home.takes(mailbox);
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
