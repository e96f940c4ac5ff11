import type { Log } from "../base/index.ts";
import type { Client, Conversation, Offer, Policy, RecipientRequest, Verdict } from "../server/index.ts";
import { formatMailbox, type Mailbox } from "../smtp/index.ts";
import { events } from "./events.ts";
import { type Home, isPostmaster } from "./home.ts";
import { offeredExtensions, verifier } from "./offered.ts";
import type { Peers } from "./peers.ts";
import type { Receiver } from "./receive.ts";
import { REPLIES } from "./replies.ts";

export interface RelayPolicyOptions {
  /** Whose mail ends here. */
  readonly home: Home;
  /** True for a client, by its IP address, that may send anywhere (`relay.networks`). */
  readonly mayRelay: (address: string) => boolean;
  /** Clients that are known by their certificates; default: none. */
  readonly peers?: Peers;
  readonly receive: Receiver;
  /** Whether a mailbox of ours exists; without it every one does. */
  readonly knows?: (mailbox: Mailbox) => boolean | Promise<boolean>;
  /** VRFY is answered 252, which tells nothing (the default); else 502. */
  readonly vrfy?: boolean;
  readonly limits: { readonly messageSize: number; readonly recipients: number };
  readonly log: Log;
}

const ACCEPT: Verdict = { kind: "accept" };

/**
 * The policy of the MTA (the `mx` service): mail for our domains from anyone, mail for elsewhere only from the networks and
 * from the peers, known by their certificates, that may relay. The postmaster is always there (RFC 5321 §4.5.1). TLS is offered and not demanded (RFC 3207 §4: a public
 * server MUST NOT), AUTH is not offered. Any reverse-path is taken, the null one with any number of recipients.
 */
export function createRelayPolicy(options: RelayPolicyOptions): Policy {
  const offer: Offer = {
    mechanisms: [],
    messageSize: options.limits.messageSize,
    recipients: options.limits.recipients,
    requireTls: false,
    requireAuth: false,
    extensions: offeredExtensions,
  };
  const verify = verifier(options.vrfy ?? true);
  return {
    connect: () => ACCEPT,
    begin(client): Conversation {
      const peer = options.peers?.begin(client, offer) ?? null;
      const relays = options.mayRelay(client.peer.address) || peer?.relay === true;
      return {
        offer: () => peer?.offer ?? offer,
        ...verify,
        ...peer?.parts,
        recipient: (request) => judgeRecipient(options, client, relays, request),
        body: (transaction) => options.receive(client, transaction, "mx", { mayRaise: relays }),
      };
    },
  };
}

function judgeRecipient(
  options: RelayPolicyOptions,
  client: Client,
  relays: boolean,
  { recipient }: RecipientRequest,
): Verdict | Promise<Verdict> {
  const { home, knows, log } = options;
  const fields = { session: client.sessionId, recipient: formatMailbox(recipient) };
  const refuse = (reply: (typeof REPLIES)[keyof typeof REPLIES]): Verdict => {
    log.info(events.recipientRefused, {
      ...fields,
      code: reply.code,
      reason: reply.lines[0],
      address: client.peer.address,
    });
    return { kind: "refuse", reply };
  };
  const accept = (relayed: boolean): Verdict => {
    log.debug(events.recipientAccepted, { ...fields, relayed });
    return ACCEPT;
  };
  if (!home.takes(recipient)) return relays ? accept(true) : refuse(REPLIES.relayDenied);
  if (knows === undefined || isPostmaster(recipient)) return accept(false);
  const known = knows(recipient);
  if (typeof known === "boolean") return known ? accept(false) : refuse(REPLIES.unknownRecipient);
  return known.then((answer) => (answer ? accept(false) : refuse(REPLIES.unknownRecipient)));
}
