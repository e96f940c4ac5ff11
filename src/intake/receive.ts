import { isAscii } from "node:buffer";
import { type Clock, type Duration, type Log, printable } from "../base/index.ts";
import { formatReceived, HeaderScanner } from "../message/index.ts";
import {
  type AcceptedMessage,
  type Draft,
  expiryTime,
  type MessageParameters,
  type NewMessage,
  type NewRecipient,
  type Origin,
  type QueueStore,
  StoreError,
} from "../queue/index.ts";
import type { BodyVerdict, Client, MessageSink, Transaction } from "../server/index.ts";
import {
  formatMailbox,
  formatPath,
  type Mailbox,
  type MailParameters,
  needsSmtpUtf8,
  type Reply,
} from "../smtp/index.ts";
import { grantedPriority } from "./delivery-terms.ts";
import { events } from "./events.ts";
import type { FreeSpace } from "./free-space.ts";
import { queuedAs, queuedAtPriority, REPLIES } from "./replies.ts";

/** What is taken at all. Sizes of whole messages are the engine's. */
export interface ReceiveLimits {
  /** Received fields a message may bring; more is a loop. RFC 5321 §6.3 asks for at least 100. */
  readonly hops: number;
  /** Octets of a header section. */
  readonly header: number;
  /** How long a message may wait in the queue (RFC 5321 §4.5.4.1). */
  readonly giveUpAfter: Duration;
  /** Octets that must stay free on the disk after a message of the declared size. */
  readonly freeSpaceFloor: number;
}

export interface ReceiverOptions {
  /** Our name in trace fields. */
  readonly hostname: string;
  readonly store: Pick<QueueStore, "createDraft" | "unclaim">;
  /** Hands a message that is on disk to the runner, with all its recipients claimed. */
  readonly offer: (accepted: AcceptedMessage) => void;
  readonly freeSpace: FreeSpace;
  /** The mailbox under which a recipient is queued; by default as it came. */
  readonly canonical?: (recipient: Mailbox) => Mailbox;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  readonly limits: ReceiveLimits;
}

export interface Trust {
  /** A priority above 0 is granted (RFC 6710 §4.1). */
  readonly mayRaise: boolean;
  /** The trace field tells nothing of where the client is; default false. */
  readonly hideClient?: boolean;
}

/** A sink whose message may also be refused for what stands in it, before its end. */
export interface ReceiverSink extends MessageSink {
  /** The message will not be taken; what is written from here on is passed over, and `finish` gives the refusal. */
  refuse(refusal: Reply): Promise<void>;
}

/** As a body verdict, with a sink that the policy may still say no to. */
export type ReceiverVerdict =
  | { readonly kind: "accept"; readonly sink: ReceiverSink }
  | Extract<BodyVerdict, { readonly kind: "refuse" }>;

/** Takes messages into the queue; the answer to `Conversation.body`. */
export type Receiver = (
  client: Client,
  transaction: Transaction,
  service: Origin["service"],
  trust: Trust,
) => ReceiverVerdict | Promise<ReceiverVerdict>;

/**
 * Takes messages into the queue: a Received field in front, the octets as they come, and 250 only when the store has synced
 * all of it.
 */
export function createReceiver(options: ReceiverOptions): Receiver {
  const { freeSpace, limits, log } = options;
  return (client, transaction, service, trust) => {
    // Before the body and not after: a sender that retries should not have sent it for nothing.
    const needed = limits.freeSpaceFloor + (transaction.parameters.size ?? 0);
    const free = freeSpace();
    if (free < needed) {
      log.warn(events.diskLow, { session: client.sessionId, free, needed });
      return { kind: "refuse", reply: REPLIES.diskLow };
    }
    const sink = new QueueSink(options, { client, transaction, service, trust });
    const wait = sink.begin();
    return wait === undefined ? { kind: "accept", sink } : wait.then(() => ({ kind: "accept", sink }));
  };
}

interface Offered {
  readonly client: Client;
  readonly transaction: Transaction;
  readonly service: Origin["service"];
  readonly trust: Trust;
}

const TLS_REQUIRED = "tls-required";

class QueueSink implements ReceiverSink {
  readonly #options: ReceiverOptions;
  readonly #client: Client;
  readonly #transaction: Transaction;
  readonly #service: Origin["service"];
  /** As granted; absent where none was asked for. */
  readonly #priority: number | undefined;
  readonly #draft: Draft;
  readonly #header: HeaderScanner;
  readonly #hideClient: boolean;
  readonly #receivedAt;
  #size = 0;
  #eightBit = false;
  /** Set when the message will not be taken; the rest of the body is let through unseen, for the reply can only follow it. */
  #refusal: Reply | null = null;

  constructor(options: ReceiverOptions, { client, transaction, service, trust }: Offered) {
    this.#options = options;
    this.#priority = grantedPriority(transaction.parameters, trust.mayRaise);
    this.#hideClient = trust.hideClient ?? false;
    this.#client = client;
    this.#transaction = transaction;
    this.#service = service;
    this.#header = new HeaderScanner(options.limits.header);
    this.#receivedAt = options.clock.now();
    this.#draft = options.store.createDraft();
  }

  /** Writes the trace field. */
  begin(): Promise<void> | undefined {
    const { hello, identity, parameters, recipients } = this.#transaction;
    const only = recipients.length === 1 ? recipients[0] : undefined;
    return this.#append(
      formatReceived({
        hello,
        client: this.#hideClient ? null : { address: this.#client.peer.address, name: this.#client.name ?? null },
        hostname: this.#options.hostname,
        tls: this.#client.tls,
        certificate: this.#client.certificate ?? null,
        authenticated: identity !== null,
        smtputf8: parameters.smtputf8 === true,
        id: this.#draft.id,
        // Our own field must not be what takes a message beyond the reach of servers without SMTPUTF8.
        recipient: only === undefined || needsSmtpUtf8(only.recipient) ? null : only.recipient,
        ...(this.#priority === undefined ? {} : { priority: this.#priority }),
        at: this.#receivedAt,
      }),
    );
  }

  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#refusal !== null) return;
    if (this.#header.progress === "open") {
      this.#header.push(chunk);
      const refusal = this.#judgeHeader();
      if (refusal !== null) return this.refuse(refusal);
    }
    if (!this.#eightBit && !isAscii(chunk)) this.#eightBit = true;
    return this.#append(chunk);
  }

  get copies(): boolean {
    return this.#header.progress !== "open" && this.#draft.copies === true;
  }

  refuse(refusal: Reply): Promise<void> {
    this.#refusal = refusal;
    this.#options.log.info(events.messageRefused, { ...this.#names(), code: refusal.code, reason: refusal.lines[0] });
    return this.#discard();
  }

  async finish(): Promise<Reply> {
    if (this.#refusal !== null) return this.#refusal;
    this.#header.end();
    const refusal = this.#judgeHeader();
    if (refusal !== null) {
      await this.refuse(refusal);
      return refusal;
    }
    let accepted: AcceptedMessage;
    try {
      accepted = await this.#draft.keep(this.#newMessage(), { claim: true });
    } catch (error) {
      return await this.#fail(error);
    }
    this.#logAccepted(accepted);
    const wait = this.#handOver(accepted);
    if (wait !== undefined) await wait;
    const { id } = accepted.message;
    const lowered = this.#priority !== undefined && this.#priority !== this.#transaction.parameters.priority;
    return lowered ? queuedAtPriority(this.#priority, id) : queuedAs(id);
  }

  async abort(): Promise<void> {
    if (this.#refusal !== null) return; // Thrown away already.
    this.#options.log.info(events.messageAborted, { ...this.#names(), size: this.#size });
    await this.#draft[Symbol.asyncDispose]();
  }

  #append(chunk: Uint8Array): Promise<void> | undefined {
    this.#size += chunk.length;
    try {
      const wait = this.#draft.append(chunk);
      return wait?.catch(async (error: unknown) => void (await this.#fail(error)));
    } catch (error) {
      return this.#fail(error).then(() => undefined);
    }
  }

  #judgeHeader(): Reply | null {
    if (this.#header.progress === "tooLarge") return REPLIES.headerTooLarge;
    if (this.#header.progress === "open") return null;
    return this.#header.count("received") > this.#options.limits.hops ? REPLIES.loop : null;
  }

  /** A store that fails is our trouble, never the sender's: 4yz, and the reason to the log alone. */
  async #fail(error: unknown): Promise<Reply> {
    if (this.#refusal !== null) return this.#refusal;
    const full = error instanceof StoreError && error.kind === "full";
    this.#refusal = full ? REPLIES.diskLow : REPLIES.systemTrouble;
    this.#options.log.error(events.messageFailed, {
      ...this.#names(),
      code: this.#refusal.code,
      error: asError(error),
    });
    await this.#discard();
    return this.#refusal;
  }

  /** Throws the draft away; the reply stands whether that works or not. */
  async #discard(): Promise<void> {
    try {
      await this.#draft[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.log.error(events.messageFailed, { ...this.#names(), error: asError(error) });
    }
  }

  #newMessage(): NewMessage {
    const { reversePath } = this.#transaction;
    const parameters = this.#parameters();
    const receivedAt = this.#receivedAt;
    return {
      id: this.#draft.id,
      receivedAt,
      expiresAt: expiryTime({ receivedAt, parameters }, this.#options.limits.giveUpAfter),
      reversePath,
      parameters,
      origin: this.#origin(),
      recipients: this.#recipients(),
      size: this.#size,
    };
  }

  /** AUTH= may name nobody but who logged in: any other claim counts as AUTH=<> (RFC 4954 §5). */
  #parameters(): MessageParameters {
    const { identity, parameters: asked } = this.#transaction;
    const priority = this.#priority;
    const parameters = priority === undefined || priority === asked.priority ? asked : { ...asked, priority };
    const { auth } = parameters;
    if (auth === undefined || auth === null || formatMailbox(auth) === identity) return this.#tagged(parameters);
    return this.#tagged({ ...parameters, auth: null });
  }

  /** REQUIRETLS outranks the header field, and more than one field asks for nothing (RFC 8689 §3, §4.1). */
  #tagged(parameters: MailParameters): MessageParameters {
    const declared = this.#declared(parameters);
    if (declared.requireTls === true || this.#header.first(TLS_REQUIRED)?.toLowerCase() !== "no") return declared;
    return this.#header.count(TLS_REQUIRED) === 1 ? { ...declared, tlsOptional: true } : declared;
  }

  /** Many programs send 8-bit text without a word; the next hop is to hear what it is (RFC 6152 §3). */
  #declared(parameters: MailParameters): MailParameters {
    const { body } = parameters;
    const undeclared = this.#eightBit && (body === undefined || body === "7BIT");
    return undeclared ? { ...parameters, body: "8BITMIME" } : parameters;
  }

  #origin(): Origin {
    const { sessionId, peer, tls, certificate = null } = this.#client;
    const { identity } = this.#transaction;
    return {
      service: this.#service,
      sessionId,
      address: peer.address,
      hello: this.#transaction.hello.name,
      // Who logged in is said by that: the certificate is then the program's and not the person's.
      identity: identity ?? (certificate === null ? null : `certificate:${certificate}`),
      tls: tls === null ? null : `${tls.version} ${tls.cipher}`,
    };
  }

  /** Each mailbox once: a recipient named twice gets one copy, by the parameters given first. */
  #recipients(): readonly NewRecipient[] {
    const canonical = this.#options.canonical ?? ((mailbox: Mailbox) => mailbox);
    const unique = new Map<string, NewRecipient>();
    for (const { recipient, parameters } of this.#transaction.recipients) {
      const mailbox = canonical(recipient);
      const key = formatMailbox(mailbox);
      if (!unique.has(key)) unique.set(key, { mailbox, parameters });
    }
    return [...unique.values()];
  }

  /**
   * The message is on disk, so that whatever happens here the answer is 250; a refusal now would deliver it twice. Without
   * its claims the runner finds it in the queue.
   */
  #handOver(accepted: AcceptedMessage): Promise<void> | undefined {
    try {
      this.#options.offer(accepted);
      return undefined;
    } catch (error) {
      this.#options.log.error(events.offerFailed, { ...this.#names(), error: asError(error) });
      const recipients = accepted.message.recipients.map((recipient) => recipient.index);
      return this.#options.store.unclaim(accepted.message.id, recipients).catch(() => undefined);
    }
  }

  #logAccepted({ message }: AcceptedMessage): void {
    const { reversePath, origin, size, recipients, parameters } = message;
    const messageId = this.#header.first("message-id");
    this.#options.log.info(events.messageAccepted, {
      ...this.#names(),
      service: origin.service,
      address: origin.address,
      hello: printable(origin.hello ?? ""),
      identity: origin.identity,
      tls: origin.tls,
      ...(this.#client.certificate == null ? {} : { certificate: this.#client.certificate }),
      from: formatPath(reversePath),
      to: recipients.slice(0, MAX_LOGGED_RECIPIENTS).map((recipient) => formatMailbox(recipient.mailbox)),
      recipients: recipients.length,
      size,
      ...(parameters.priority === undefined ? {} : { priority: parameters.priority }),
      messageId: messageId === null ? null : printable(messageId),
    });
  }

  #names(): { readonly session: string; readonly id: string } {
    return { session: this.#client.sessionId, id: this.#draft.id };
  }
}

/** A line of the log is one write; a thousand addresses would make it a page. */
const MAX_LOGGED_RECIPIENTS = 10;

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
