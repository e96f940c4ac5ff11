import type { Duration, Instant } from "../base/index.ts";
import type { HeaderScanner } from "../message/index.ts";
import {
  expiryTime,
  type MessageParameters,
  type NewMessage,
  type NewRecipient,
  type Origin,
  type QueueId,
} from "../queue/index.ts";
import type { Client, Transaction } from "../server/index.ts";
import { formatMailbox, type Mailbox, type MailParameters } from "../smtp/index.ts";

/** Who hands in a message, and what was said of it before its body. */
export interface Offered {
  readonly client: Client;
  readonly transaction: Transaction;
  readonly service: Origin["service"];
}

/** A message whose octets are all there. */
export interface Arrived {
  readonly id: QueueId;
  readonly receivedAt: Instant;
  /** Octets, the trace field among them. */
  readonly size: number;
  /** Not all of what came is ASCII. */
  readonly eightBit: boolean;
  /** Read to its end. */
  readonly header: Pick<HeaderScanner, "first" | "count">;
  /** As granted; undefined where none was asked for. */
  readonly priority: number | undefined;
}

export interface QueueTerms {
  /** `giveUpAfter`: how long a message may wait in the queue (RFC 5321 §4.5.4.1). */
  readonly limits: { readonly giveUpAfter: Duration };
  /** The mailbox under which a recipient is queued; by default as it came. */
  readonly canonical?: (recipient: Mailbox) => Mailbox;
}

const TLS_REQUIRED = "tls-required";

/** What the queue is told of a message: its envelope, where it came from, and what the next hop may be told. */
export function newMessage({ client, transaction, service }: Offered, arrived: Arrived, terms: QueueTerms): NewMessage {
  const { id, receivedAt, size } = arrived;
  const parameters = parametersOf(transaction, arrived);
  return {
    id,
    receivedAt,
    expiresAt: expiryTime({ receivedAt, parameters }, terms.limits.giveUpAfter),
    reversePath: transaction.reversePath,
    parameters,
    origin: originOf(client, transaction, service),
    recipients: recipientsOf(transaction, terms),
    size,
  };
}

/** AUTH= may name nobody but who logged in: any other claim counts as AUTH=<> (RFC 4954 §5). */
function parametersOf({ identity, parameters: asked }: Transaction, arrived: Arrived): MessageParameters {
  const { priority } = arrived;
  const parameters = priority === undefined || priority === asked.priority ? asked : { ...asked, priority };
  const { auth } = parameters;
  if (auth === undefined || auth === null || formatMailbox(auth) === identity) return tagged(parameters, arrived);
  return tagged({ ...parameters, auth: null }, arrived);
}

/** REQUIRETLS outranks the header field, and more than one field asks for nothing (RFC 8689 §3, §4.1). */
function tagged(parameters: MailParameters, { eightBit, header }: Arrived): MessageParameters {
  const declared = eightBit ? declaredEightBit(parameters) : parameters;
  if (declared.requireTls === true || header.first(TLS_REQUIRED)?.toLowerCase() !== "no") return declared;
  return header.count(TLS_REQUIRED) === 1 ? { ...declared, tlsOptional: true } : declared;
}

/** Many programs send 8-bit text without a word; the next hop is to hear what it is (RFC 6152 §3). */
function declaredEightBit(parameters: MailParameters): MailParameters {
  const { body } = parameters;
  return body === undefined || body === "7BIT" ? { ...parameters, body: "8BITMIME" } : parameters;
}

function originOf(client: Client, { hello, identity }: Transaction, service: Origin["service"]): Origin {
  const { sessionId, peer, tls, certificate = null } = client;
  return {
    service,
    sessionId,
    address: peer.address,
    hello: hello.name,
    // Who logged in is said by that: the certificate is then the program's and not the person's.
    identity: identity ?? (certificate === null ? null : `certificate:${certificate}`),
    tls: tls === null ? null : `${tls.version} ${tls.cipher}`,
  };
}

/** Each mailbox once: a recipient named twice gets one copy, by the parameters given first. */
function recipientsOf({ recipients }: Transaction, { canonical }: QueueTerms): readonly NewRecipient[] {
  const unique = new Map<string, NewRecipient>();
  for (const { recipient, parameters } of recipients) {
    const mailbox = canonical === undefined ? recipient : canonical(recipient);
    const key = formatMailbox(mailbox);
    if (!unique.has(key)) unique.set(key, { mailbox, parameters });
  }
  return [...unique.values()];
}
