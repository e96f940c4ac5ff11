import { createHash } from "node:crypto";
import { printable } from "../base/index.ts";
import type { Client, MessageSink, Transaction } from "../server/index.ts";
import { formatMailbox, type Mailbox, type Reply } from "../smtp/index.ts";
import { networkOf } from "./client-network.ts";
import type { CredentialSource, SendingLimits } from "./credential-source.ts";
import { events } from "./events.ts";
import { LimitedMessage } from "./limited-message.ts";
import { limitReached, REPLIES } from "./replies.ts";
import { SendingLedger, type SendingLedgerOptions } from "./sending-ledger.ts";
import type { Counted, SendingTally } from "./sending-tally.ts";

export interface SendingLimiterOptions extends SendingLedgerOptions {
  readonly accounts: Pick<CredentialSource, "account">;
  /** For users who have none of their own, as they count now. */
  readonly users: () => SendingLimits;
  /** For each client address (an IPv6 /64), whoever logs in from there, as they count now. */
  readonly addresses: () => SendingLimits;
}

/** How much users may send, over all their sessions. */
export interface SendingLimiter {
  begin(client: Client): SendingSession;
  /** Writes down what was counted. */
  close(): void;
}

/** One connection. A reply is a refusal; a place that is held is free again with the next transaction, or the end. */
export interface SendingSession {
  /** Somebody logged in, or wants to send: may they still, and in one session more? */
  admit(identity: string): Promise<Reply | null>;
  /** A transaction begins, of who was admitted; `size` as announced. */
  mail(size: number | undefined): Reply | null;
  recipient(mailbox: Mailbox): Reply | null;
  /** What is taken by `sink` counts. */
  message(sink: MessageSink, transaction: Transaction): MessageSink;
  end(): void;
}

export function createSendingLimiter(options: SendingLimiterOptions): SendingLimiter {
  const ledger = new SendingLedger(options);
  return { begin: (client) => new LimitedSession(options, ledger, client), close: () => ledger.close() };
}

/** The places that one transaction holds, under the user and under the address. */
class Held {
  readonly #tallies: readonly SendingTally[];
  readonly #places = new Map<Counted, number>();

  constructor(tallies: readonly SendingTally[]) {
    this.#tallies = tallies;
  }

  one(what: Counted): void {
    this.#places.set(what, (this.#places.get(what) ?? 0) + 1);
    for (const tally of this.#tallies) tally.hold(what, 1);
  }

  release(): void {
    for (const [what, count] of this.#places) for (const tally of this.#tallies) tally.hold(what, -count);
    this.#places.clear();
  }
}

interface Sender {
  readonly identity: string;
  readonly key: string;
  readonly tally: SendingTally;
  readonly limits: SendingLimits;
}

class LimitedSession implements SendingSession {
  readonly #options: SendingLimiterOptions;
  readonly #ledger: SendingLedger;
  readonly #client: Client;
  /** Under which the client's address is counted. */
  readonly #address: string;
  #sender: Sender | null = null;
  /** The places of the open transaction. */
  #held: Held | null = null;
  /** Recipients of the open transaction that are new to the sender. */
  #fresh = new Set<string>();
  /** The client is gone; an answer that comes for it later must not take a place that nobody gives back. */
  #ended = false;

  constructor(options: SendingLimiterOptions, ledger: SendingLedger, client: Client) {
    this.#options = options;
    this.#ledger = ledger;
    this.#client = client;
    this.#address = `address ${networkOf(client.peer.address)}`;
  }

  async admit(identity: string): Promise<Reply | null> {
    const account = await this.#options.accounts.account(identity);
    if (account === null) {
      this.#options.log.info(events.accountGone, { ...this.#names(), identity: printable(identity) });
      return REPLIES.accountGone;
    }
    if (this.#ended) return null;
    const limits = { ...this.#options.users(), ...account.limits };
    if (this.#sender?.identity === identity) {
      this.#sender = { ...this.#sender, limits };
      return null;
    }
    const key = `user ${identity}`;
    const tally = this.#ledger.tally(key);
    const full = limits.sessions > 0 && tally.sessions >= limits.sessions;
    if (full) {
      this.#options.log.warn(events.limitReached, {
        ...this.#names(),
        identity: printable(identity),
        limit: "sessions",
        most: limits.sessions,
      });
      return REPLIES.tooManySessions;
    }
    this.#leave();
    tally.sessions++;
    this.#sender = { identity, key, tally, limits };
    return null;
  }

  mail(size: number | undefined): Reply | null {
    this.#release();
    const most = this.#sender?.limits.message_size ?? 0;
    if (most > 0 && size !== undefined && size > most) return REPLIES.messageTooLarge;
    return this.#take("messages");
  }

  recipient(mailbox: Mailbox): Reply | null {
    const refusal = this.#take("recipients");
    const sender = this.#sender;
    if (refusal !== null || sender === null || sender.limits.new_recipients_per_day === 0) return refusal;
    const hash = hashOf(sender.identity, mailbox);
    const hex = hash.toString("hex");
    if (this.#fresh.has(hex) || !this.#ledger.isNew(sender.identity, hash, this.#options.clock.now())) return null;
    const tooNew = this.#take("newRecipients");
    if (tooNew === null) this.#fresh.add(hex);
    return tooNew;
  }

  message(sink: MessageSink, transaction: Transaction): MessageSink {
    const [sender, held, fresh] = [this.#sender, this.#held, this.#fresh.size];
    // From here on its places are the message's: it may be taken after the client has hung up.
    this.#held = null;
    const largest = sender?.limits.message_size ?? 0;
    return new LimitedMessage({
      sink,
      largest: largest > 0 ? largest : null,
      taken: () => this.#count(sender, transaction, fresh),
      over: () => held?.release(),
    });
  }

  end(): void {
    this.#ended = true;
    this.#leave();
  }

  #leave(): void {
    this.#release();
    if (this.#sender !== null) this.#sender.tally.sessions--;
    this.#sender = null;
  }

  #release(): void {
    this.#held?.release();
    this.#held = null;
    this.#fresh = new Set();
  }

  /** Holds one place more for the transaction, under the user and under the address; or tells why there is none. */
  #take(what: Counted): Reply | null {
    const sender = this.#sender;
    if (sender === null) return null;
    const now = this.#options.clock.now();
    const byUser = this.#ledger.tally(sender.key);
    const byAddress = this.#ledger.tally(this.#address);
    const own = byUser.reached(what, sender.limits, now);
    const shared = own === null ? byAddress.reached(what, this.#options.addresses(), now) : null;
    const reached = own ?? shared;
    if (reached !== null) {
      this.#options.log.warn(events.limitReached, {
        ...this.#names(),
        identity: printable(sender.identity),
        limit: reached.limit,
        most: reached.most,
        of: own === null ? "address" : "user",
        until: new Date(reached.until).toISOString(),
      });
      return limitReached(reached, own === null ? "address" : "user", now);
    }
    this.#held ??= new Held([byUser, byAddress]);
    this.#held.one(what);
    return null;
  }

  #count(sender: Sender | null, { recipients }: Transaction, fresh: number): void {
    if (sender === null) return;
    const now = this.#options.clock.now();
    for (const key of [sender.key, this.#address]) {
      const tally = this.#ledger.tally(key);
      tally.add("messages", 1, now);
      tally.add("recipients", recipients.length, now);
      if (key === sender.key) tally.add("newRecipients", fresh, now);
      this.#ledger.changed(key);
    }
    if (sender.limits.new_recipients_per_day === 0) return;
    for (const { recipient } of recipients) {
      this.#ledger.wrote(sender.identity, hashOf(sender.identity, recipient));
    }
  }

  #names(): { readonly session: string; readonly address: string } {
    return { session: this.#client.sessionId, address: this.#client.peer.address };
  }
}

/** Enough of a hash that two recipients of one user are never taken for one, and no list of addresses for a thief. */
function hashOf(user: string, mailbox: Mailbox): Buffer {
  return createHash("sha256")
    .update(`${user}\0${formatMailbox(mailbox).toLowerCase()}`)
    .digest()
    .subarray(0, 12);
}
