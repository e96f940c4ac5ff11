import type { Brand } from "../base/brand.ts";
import type { Instant } from "../base/clock.ts";
import type { Mailbox, MailParameters, RcptParameters, Reply, ReversePath } from "../smtp/index.ts";

/** Names a message in the queue, in logs and in its trace field: 11 characters of Crockford base32, in order of making. */
export type QueueId = Brand<string, "QueueId">;

/** Where a message came from, for the log, for `queue show` and for limits. */
export interface Origin {
  readonly service: "mx" | "submission" | "bounce" | "local";
  readonly sessionId: string | null;
  readonly address: string | null;
  /** The EHLO name. */
  readonly hello: string | null;
  /** SASL or certificate identity. */
  readonly identity: string | null;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or null in clear text. */
  readonly tls: string | null;
}

/** What MAIL carried, to be spoken to the next hop, and what the message asks for in its own header section. */
export interface MessageParameters extends MailParameters {
  /** It carries `TLS-Required: No`, and MAIL did not carry REQUIRETLS (RFC 8689 §4.1). */
  readonly tlsOptional?: true;
}

/** A message as it is taken into the queue: all but the body. */
export interface NewMessage {
  readonly id: QueueId;
  readonly receivedAt: Instant;
  /** When waiting recipients are given up, in whatever state they are. */
  readonly expiresAt: Instant;
  readonly reversePath: ReversePath;
  readonly parameters: MessageParameters;
  readonly origin: Origin;
  readonly recipients: readonly NewRecipient[];
  /** Octets of the stored body, trace fields included. */
  readonly size: number;
}

export interface NewRecipient {
  readonly mailbox: Mailbox;
  readonly parameters: RcptParameters;
}

/** How the life of one recipient goes on: waiting → (delivered | failed | removed). */
export type RecipientState = "waiting" | "delivered" | "failed";

/** A next hop that an operator chose for a waiting recipient, in place of what the configuration says. */
export interface RouteOverride {
  readonly kind: "smtp" | "smtps" | "lmtp";
  /** A name, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** What the connection must prove at least. */
  readonly tls: "off" | "opportunistic" | "encrypted" | "verified" | "dane";
}

export interface Recipient extends NewRecipient {
  /** Its place in the message, from 0; names it for ever. */
  readonly index: number;
  readonly state: RecipientState;
  /** Finished attempts. */
  readonly attempts: number;
  /** When it is due again (state waiting). */
  readonly nextAttempt: Instant;
  /** What the last attempt ended in. */
  readonly lastOutcome: Outcome | null;
  /** Its sender was told that it is delayed (RFC 3461 §5.2.5); once is enough. */
  readonly warned: boolean;
  /** Absent where it goes by the configuration. */
  readonly override?: RouteOverride;
}

export interface QueuedMessage extends Omit<NewMessage, "recipients"> {
  readonly held: boolean;
  readonly recipients: readonly Recipient[];
}

/** How far the trouble reaches. What is wrong with a host says nothing of a message, and so on. */
export type Scope = "connection" | "host" | "message" | "recipient";

/** What a delivery proved and by which rule; kept with the delivery (promise 2). */
export interface Hop {
  /** The host's name as routed, or `maildir`, `discard`. */
  readonly host: string;
  readonly address: string | null;
  readonly port: number | null;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or null in clear text or where no connection was made. */
  readonly tls: string | null;
  /** What the connection had to prove and why: `opportunistic (no policy published)`. */
  readonly rule: string;
}

export interface DeliveryProblem {
  /** One plain line for the operator. */
  readonly text: string;
  /** The remote's reply where there was one. */
  readonly reply: Reply | null;
  /** Enhanced status for the report: the remote's or ours. */
  readonly status: string;
}

/** What the next hop promised that took a message on. */
export interface Onward {
  /** It reports by itself, as NOTIFY asked (RFC 3461 §5.2.1). */
  readonly dsn: boolean;
  /** It keeps to BY (RFC 2852 §4.1.4). */
  readonly deliverBy: boolean;
}

/** What one attempt means for one recipient. */
export type Outcome =
  | {
      readonly kind: "delivered";
      readonly reply: Reply | null;
      readonly hop: Hop;
      /** Absent where the way ends: in a mailbox, or at an LMTP server that answers for one. */
      readonly onward?: Onward;
    }
  | {
      readonly kind: "deferred" | "failed";
      readonly scope: Scope;
      readonly problem: DeliveryProblem;
      readonly hop: Hop | null;
      /**
       * Nothing was tried, for want of a turn at the host or because it is left alone for a while: the next turn is then. No attempt
       * is counted.
       * Only with "deferred".
       */
      readonly turnAt?: Instant;
    };

/** A recipient whose mail is over, as it is still told when the message has left the queue. */
export interface FinishedRecipient {
  readonly id: QueueId;
  readonly receivedAt: Instant;
  readonly finishedAt: Instant;
  readonly reversePath: ReversePath;
  readonly mailbox: Mailbox;
  readonly attempts: number;
  /** Delivered or failed; a long reply is cut. */
  readonly outcome: Outcome;
}

/** One line of a message's story, oldest first. */
export interface StoryEntry {
  readonly at: Instant;
  /** The recipient it is about, null for the whole message. */
  readonly recipient: number | null;
  readonly event:
    | "accepted"
    | "deferred"
    | "delivered"
    | "failed"
    | "held"
    | "released"
    | "retried"
    | "rerouted"
    | "removed"
    | "expired";
  readonly text: string;
}
