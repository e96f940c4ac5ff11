import { isAscii } from "node:buffer";
import { asError, type Clock, type Duration, type Log, printable } from "../base/index.ts";
import { formatReceived, HeaderScanner } from "../message/index.ts";
import {
  type AcceptedMessage,
  type Draft,
  type NewMessage,
  type Origin,
  type QueueStore,
  StoreError,
} from "../queue/index.ts";
import type { BodyVerdict, Client, MessageSink, Transaction } from "../server/index.ts";
import { formatMailbox, formatPath, type Mailbox, needsSmtpUtf8, type Reply } from "../smtp/index.ts";
import { grantedPriority } from "./delivery-terms.ts";
import { events } from "./events.ts";
import type { FreeSpace } from "./free-space.ts";
import { type Arrived, newMessage, type Offered } from "./new-message.ts";
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
    const sink = new QueueSink(options, { client, transaction, service }, trust);
    const wait = sink.begin();
    return wait === undefined ? { kind: "accept", sink } : wait.then(() => ({ kind: "accept", sink }));
  };
}

class QueueSink implements ReceiverSink {
  readonly #options: ReceiverOptions;
  readonly #offered: Offered;
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

  constructor(options: ReceiverOptions, offered: Offered, trust: Trust) {
    this.#options = options;
    this.#offered = offered;
    this.#priority = grantedPriority(offered.transaction.parameters, trust.mayRaise);
    this.#hideClient = trust.hideClient ?? false;
    this.#header = new HeaderScanner(options.limits.header);
    this.#receivedAt = options.clock.now();
    this.#draft = options.store.createDraft();
  }

  /** Writes the trace field. */
  begin(): Promise<void> | undefined {
    const { client } = this.#offered;
    const { hello, identity, parameters, recipients } = this.#offered.transaction;
    const only = recipients.length === 1 ? recipients[0] : undefined;
    return this.#append(
      formatReceived({
        hello,
        client: this.#hideClient ? null : { address: client.peer.address, name: client.name ?? null },
        hostname: this.#options.hostname,
        tls: client.tls,
        certificate: client.certificate ?? null,
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
    const asked = this.#offered.transaction.parameters.priority;
    const lowered = this.#priority !== undefined && this.#priority !== asked;
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
    const arrived: Arrived = {
      id: this.#draft.id,
      receivedAt: this.#receivedAt,
      size: this.#size,
      eightBit: this.#eightBit,
      header: this.#header,
      priority: this.#priority,
    };
    return newMessage(this.#offered, arrived, this.#options);
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
    const { certificate = null } = this.#offered.client;
    const messageId = this.#header.first("message-id");
    this.#options.log.info(events.messageAccepted, {
      ...this.#names(),
      service: origin.service,
      address: origin.address,
      hello: printable(origin.hello ?? ""),
      identity: origin.identity,
      tls: origin.tls,
      ...(certificate === null ? {} : { certificate }),
      from: formatPath(reversePath),
      to: recipients.slice(0, MAX_LOGGED_RECIPIENTS).map((recipient) => formatMailbox(recipient.mailbox)),
      recipients: recipients.length,
      size,
      ...(parameters.priority === undefined ? {} : { priority: parameters.priority }),
      messageId: messageId === null ? null : printable(messageId),
    });
  }

  #names(): { readonly session: string; readonly id: string } {
    return { session: this.#offered.client.sessionId, id: this.#draft.id };
  }
}

/** A line of the log is one write; a thousand addresses would make it a page. */
const MAX_LOGGED_RECIPIENTS = 10;
