import { type Log, printable } from "../base/index.ts";
import type { Client, Conversation, Offer, Verdict } from "../server/index.ts";
import { formatMailbox } from "../smtp/index.ts";
import { events } from "./events.ts";
import { REPLIES } from "./replies.ts";
import { covers, type SenderGrant } from "./senders.ts";

/** What a client may that is known by its certificate. */
export interface PeerRules {
  /** As in `Client.certificate`. */
  readonly name: string;
  /** It may send anywhere. */
  readonly relay: boolean;
  /** Reverse-paths that it may use; the null one always. */
  readonly senders: readonly SenderGrant[];
  readonly limits: PeerLimits;
}

/** Null where what everybody has counts. */
export interface PeerLimits {
  /** Octets. */
  readonly messageSize: number | null;
  readonly recipients: number | null;
  /** MAIL commands of one connection. */
  readonly transactions: number | null;
  /** At once, from all its addresses together. */
  readonly connections: number | null;
}

/** What a peer's rules add to a conversation with it. */
export interface PeerConversation {
  readonly relay: boolean;
  readonly offer: Offer;
  /** Judges the connection at the hello, and each reverse-path. */
  readonly parts: Pick<Conversation, "hello" | "mail" | "end">;
}

/** The peers that are known by their certificates, and how many connections each has now. */
export interface Peers {
  /** Null for a client that is nobody's. `offer` is what everybody is offered. */
  begin(client: Client, offer: Offer): PeerConversation | null;
}

const ACCEPT: Verdict = { kind: "accept" };
const TOO_MANY: Verdict = { kind: "refuse", reply: REPLIES.tooManyConnections, close: true };

export interface PeersOptions {
  readonly rules: readonly PeerRules[];
  /** How many connections each has now, by name; given on where rules change, for those that are open count on. */
  readonly connections?: Map<string, number>;
  readonly log: Log;
}

/** A name that has no rules is nobody's: it may what everybody may. */
export function createPeers({ rules, connections = new Map(), log }: PeersOptions): Peers {
  const byName = new Map(rules.map((rule) => [rule.name, rule]));
  const count = (name: string, by: number): number => {
    const now = (connections.get(name) ?? 0) + by;
    if (now > 0) connections.set(name, now);
    else connections.delete(name);
    return now;
  };
  return {
    begin(client, offer) {
      const rule = byName.get(client.certificate ?? "");
      if (rule === undefined) return null;
      const crowded = count(rule.name, 1) > (rule.limits.connections ?? Number.POSITIVE_INFINITY);
      return {
        relay: rule.relay,
        offer: offerTo(rule.limits, offer),
        parts: {
          // At the first word and not before: only now is there a command that can be refused.
          hello: () => (crowded ? TOO_MANY : ACCEPT),
          mail: ({ reversePath }) => {
            if (reversePath === null || covers(rule.senders, reversePath)) return ACCEPT;
            log.info(events.senderRefused, {
              session: client.sessionId,
              identity: `certificate:${rule.name}`,
              from: printable(formatMailbox(reversePath)),
              code: REPLIES.senderDenied.code,
            });
            return { kind: "refuse", reply: REPLIES.senderDenied };
          },
          end: () => void count(rule.name, -1),
        },
      };
    },
  };
}

function offerTo({ messageSize, recipients, transactions }: PeerLimits, offer: Offer): Offer {
  return {
    ...offer,
    messageSize: messageSize ?? offer.messageSize,
    recipients: recipients ?? offer.recipients,
    ...(transactions === null ? {} : { transactions }),
  };
}
