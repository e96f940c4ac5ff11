import { ok, type Result } from "../base/index.ts";
import type { TlsInfo } from "../net/index.ts";
import { type Extensions, formatMailbox, type Reply } from "../smtp/index.ts";
import { mayBegin, takeBatch } from "./batch.ts";
import { type ClientOptions, dial } from "./dial.ts";
import { type Mail, type MailProblem, outgoingMessage } from "./mail.ts";
import { createPool, type Lease, type Pool, wasDead } from "./pool.ts";
import type { ClientProblem, ClientSession, OutgoingMessage, RecipientResult } from "./types.ts";

/** What the connection turned out to be. */
export interface SessionFacts {
  readonly greeting: Reply;
  readonly extensions: Extensions;
  /** Null in clear text. */
  readonly tls: TlsInfo | null;
}

export interface SendReport extends SessionFacts {
  /** One each recipient, in the order given. */
  readonly recipients: readonly { readonly address: string; readonly result: RecipientResult }[];
  /** All were accepted. */
  readonly accepted: boolean;
}

export type SendProblem = ClientProblem | MailProblem;

/** One server to send by, over connections that are kept for the next message. */
export interface Client {
  /**
   * Sends one message. What the server or the network does is in the value; rejects only when the message's source throws. A
   * report says nothing about delivery further on: it is what this server answered.
   */
  send(mail: Mail): Promise<Result<SendReport, SendProblem>>;
  /** Connects, or takes an idle connection, and logs in, to see whether that works. */
  verify(): Promise<Result<SessionFacts, SendProblem>>;
  /** QUIT on all idle connections. Running sends end first where they can; new ones may still be made. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_MAX_CONNECTIONS = 5;

/**
 * A client of one server.
 *
 * ```ts
 * await using client = createClient({ host: "mail.example.org", auth: { user: "ann", password } });
 * const sent = await client.send({ from: "ann@example.org", to: ["bob@example.net"], message: text });
 * if (!sent.ok) console.error(sent.error.kind);
 * else for (const { address, result } of sent.value.recipients) console.log(address, result.kind);
 * ```
 */
export function createClient(options: ClientOptions): Client {
  return new PooledClient(options);
}

/**
 * As many transactions as the server's LIMITS ask for (RFC 9422). A source that can be read only once goes in one: what is too
 * much is then refused by the server.
 */
async function sendInBatches(
  session: ClientSession,
  message: OutgoingMessage,
  signal: AbortSignal | undefined,
): Promise<readonly RecipientResult[]> {
  const results = new Map<OutgoingMessage["recipients"][number], RecipientResult>();
  let rest = message.recipients;
  do {
    const { now, later } = message.body.size === null ? { now: rest, later: [] } : takeBatch(rest, session.extensions);
    const answers = await session.send({ ...message, recipients: now }, signal);
    for (const [index, answer] of answers.entries()) {
      const recipient = now[index];
      if (recipient !== undefined) results.set(recipient, answer);
    }
    rest = later;
  } while (rest.length > 0 && session.usable && mayBegin(session));
  return message.recipients.map((recipient) => results.get(recipient) ?? NOT_BEGUN);
}

/** The session ended, or may not carry more, before this recipient's turn. */
const NOT_BEGUN: RecipientResult = { kind: "broken", problem: { kind: "closed", stage: "mail" }, uncertain: false };

/** One key: all connections of a client are alike. */
const KEY = "";

class PooledClient implements Client {
  readonly #options: ClientOptions;
  readonly #pool: Pool;
  /** Sends that wait for a connection to be free. */
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#free = options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    this.#pool = createPool({ ...options.pool, ...(options.clock !== undefined && { clock: options.clock }) });
  }

  async send(mail: Mail): Promise<Result<SendReport, SendProblem>> {
    const message = outgoingMessage(mail);
    if (!message.ok) return message;
    return await this.#withConnection(() => this.#send(message.value, mail.signal));
  }

  async verify(): Promise<Result<SessionFacts, SendProblem>> {
    return await this.#withConnection(async () => {
      const leased = await this.#lease(false, undefined);
      if (!leased.ok) return leased;
      const { greeting, extensions, tls } = leased.value.session;
      leased.value.release();
      return ok({ greeting, extensions, tls });
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(message: OutgoingMessage, signal: AbortSignal | undefined): Promise<Result<SendReport, SendProblem>> {
    const first = await this.#attempt(message, signal, false);
    // The server had closed the idle connection before it heard of this message: nothing of it was said or read.
    if (!first.ok || !first.value.dead || signal?.aborted === true) return first.ok ? ok(first.value.report) : first;
    const second = await this.#attempt(message, signal, true);
    return second.ok ? ok(second.value.report) : second;
  }

  async #attempt(
    message: OutgoingMessage,
    signal: AbortSignal | undefined,
    fresh: boolean,
  ): Promise<Result<{ readonly report: SendReport; readonly dead: boolean }, ClientProblem>> {
    const leased = await this.#lease(fresh, signal);
    if (!leased.ok) return leased;
    const { session, reused } = leased.value;
    try {
      const results = await sendInBatches(session, message, signal);
      const recipients = message.recipients.flatMap(({ mailbox }, index) => {
        const result = results[index];
        return result === undefined ? [] : [{ address: formatMailbox(mailbox), result }];
      });
      const accepted = results.every(({ kind }) => kind === "accepted");
      const { greeting, extensions, tls } = session;
      return ok({ report: { recipients, accepted, greeting, extensions, tls }, dead: reused && wasDead(results) });
    } finally {
      leased.value.release();
    }
  }

  #lease(fresh: boolean, signal: AbortSignal | undefined): Promise<Result<Lease, ClientProblem>> {
    return this.#pool.lease(KEY, () => dial(this.#options, signal), { fresh });
  }

  async #withConnection<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
