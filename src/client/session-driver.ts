import type { TlsInfo } from "../net/index.ts";
import type { Extensions, Reply } from "../smtp/index.ts";
import { withALabels } from "./a-labels.ts";
import { type BodyEncoder, BodySender } from "./body-sender.ts";
import { ChunkEncoder, StuffedEncoder, WHOLE_CHUNK, wholeChunk } from "./chunks.ts";
import type { Connection, Exchange } from "./connection.ts";
import { mailCommand, rcptCommand, unsupported } from "./envelope.ts";
import { Transaction, type TransactionAction, type TransactionPlan } from "./transaction.ts";
import type {
  ClientProblem,
  ClientSession,
  OpenOptions,
  OutgoingBody,
  OutgoingMessage,
  RecipientResult,
} from "./types.ts";

export interface SessionParts {
  readonly connection: Connection;
  readonly greeting: Reply;
  readonly extensions: Extensions;
  readonly tls: TlsInfo | null;
  readonly protocol: "smtp" | "lmtp";
  readonly chunking: NonNullable<OpenOptions["chunking"]>;
}

/** A session that is ready for mail, over a connection that is past its opening. */
export class OpenSession implements ClientSession {
  readonly greeting: Reply;
  readonly extensions: Extensions;
  readonly tls: TlsInfo | null;
  readonly #connection: Connection;
  readonly #lmtp: boolean;
  #transactions = 0;
  #reset = false;

  constructor(parts: SessionParts) {
    this.greeting = parts.greeting;
    this.extensions = parts.chunking === "never" ? withoutChunking(parts.extensions) : parts.extensions;
    this.tls = parts.tls;
    this.#connection = parts.connection;
    this.#lmtp = parts.protocol === "lmtp";
  }

  get usable(): boolean {
    return this.#connection.open;
  }

  get transactions(): number {
    return this.#transactions;
  }

  send(given: OutgoingMessage, signal?: AbortSignal): Promise<readonly RecipientResult[]> {
    const message = this.extensions.has("SMTPUTF8") ? given : withALabels(given);
    return new Promise((resolve, reject) => {
      const refusal = unsupported(message, this.extensions);
      if (refusal !== null) {
        resolve(message.recipients.map(() => ({ kind: "refused", stage: "mail", reply: refusal, local: true })));
      } else if (message.recipients.length === 0) {
        resolve([]);
      } else {
        const end = { resolve, reject, signal: signal ?? null };
        const body = this.#carriage(message);
        if (body instanceof Promise) body.then((known) => this.#transact(message, known, end)).catch(reject);
        else this.#transact(message, body, end);
      }
    });
  }

  /**
   * How the body goes: a small one by BDAT in one group with its envelope, which saves a round trip; binary always by BDAT; all else
   * by DATA, which sends a body for nobody never and a large one no slower.
   */
  #carriage({ body, parameters }: OutgoingMessage): TransactionPlan["body"] | Promise<TransactionPlan["body"]> {
    const binary = parameters.body === "BINARYMIME";
    const otherwise = binary ? "chunks" : "data";
    const small = body.size !== null && body.size <= WHOLE_CHUNK;
    // RFC 2033 §4.3: in LMTP the replies to a chunk are as many as the recipients taken, which must be known before.
    if (!small || this.#lmtp || this.#reset) return otherwise;
    if (!this.extensions.has("CHUNKING") || !this.extensions.has("PIPELINING")) return otherwise;
    const chunk = wholeChunk(body, !binary);
    if (chunk instanceof Promise) return chunk.then((known) => known ?? otherwise);
    return chunk ?? otherwise;
  }

  quit(): Promise<void> {
    return new Promise((resolve) => {
      const connection = this.#connection;
      if (!connection.open || connection.busy) {
        connection.destroy();
        resolve();
        return;
      }
      connection.begin(new Goodbye(connection, resolve));
      connection.send([{ line: "QUIT", stage: "quit" }]);
    });
  }

  destroy(): void {
    this.#connection.fail({ kind: "network", stage: "quit", problem: { kind: "aborted", detail: "destroyed" } });
  }

  onClose(listener: () => void): void {
    this.#connection.onClose(listener);
  }

  #transact(message: OutgoingMessage, body: TransactionPlan["body"], end: Ending): void {
    const connection = this.#connection;
    if (connection.busy) throw new Error("one transaction at a time");
    const transaction = new Transaction({
      mail: mailCommand(message, this.extensions),
      rcpts: message.recipients.map((recipient) => rcptCommand(recipient, this.extensions)),
      pipelining: this.extensions.has("PIPELINING"),
      lmtp: this.#lmtp,
      reset: this.#reset,
      body,
    });
    if (!connection.open || end.signal?.aborted === true) {
      const aborted = { kind: "aborted", detail: "aborted" } as const;
      transaction.broken(
        connection.open ? { kind: "network", stage: "mail", problem: aborted } : { kind: "closed", stage: "mail" },
      );
      end.resolve(transaction.results());
      return;
    }
    this.#transactions++;
    const done = (reset: boolean): void => {
      this.#reset = reset;
    };
    const pipelining = this.extensions.has("PIPELINING");
    new TransactionDriver({ connection, transaction, body: message.body, pipelining, end, done }).start();
  }
}

/** RFC 3030 §3: BINARYMIME stands on CHUNKING. */
function withoutChunking(extensions: Extensions): Extensions {
  return new Map([...extensions].filter(([keyword]) => keyword !== "CHUNKING" && keyword !== "BINARYMIME"));
}

/** Where a `send` ends. */
interface Ending {
  resolve(results: readonly RecipientResult[]): void;
  reject(reason: unknown): void;
  readonly signal: AbortSignal | null;
}

interface DriverParts {
  readonly connection: Connection;
  readonly transaction: Transaction;
  readonly body: OutgoingBody;
  readonly pipelining: boolean;
  readonly end: Ending;
  /** The session lives on; `reset` as in the action `done`. */
  done(reset: boolean): void;
}

/** Carries out what a transaction says, on a connection. */
class TransactionDriver implements Exchange {
  readonly #parts: DriverParts;
  #sender: BodySender | null = null;
  /** A chunk waits for its reply before the next may follow. */
  #held = false;
  readonly #abort = (): void => {
    const problem = { kind: "aborted", detail: "aborted" } as const;
    this.#parts.connection.fail({ kind: "network", stage: this.#sender === null ? "mail" : "body", problem });
  };

  constructor(parts: DriverParts) {
    this.#parts = parts;
  }

  start(): void {
    const { connection, transaction, end } = this.#parts;
    end.signal?.addEventListener("abort", this.#abort, { once: true });
    connection.begin(this);
    connection.beginEnvelope();
    this.#act(transaction.begin());
  }

  reply(reply: Reply): void {
    this.#act(this.#parts.transaction.reply(reply));
  }

  early(reply: Reply): void {
    this.#act(this.#parts.transaction.early(reply));
  }

  interrupted(): void {
    this.#sender?.stop();
    this.#parts.connection.arm("body");
  }

  drained(): void {
    this.#sender?.drained();
  }

  broken(problem: ClientProblem): void {
    this.#parts.transaction.broken(problem);
    this.#settle();
  }

  #act(action: TransactionAction): void {
    const { connection, done } = this.#parts;
    switch (action.kind) {
      case "send":
        connection.send(action.commands);
        return;
      case "sendBody":
        this.#sendBody(action.replies, new StuffedEncoder());
        return;
      case "sendChunks":
        this.#sendBody(action.replies, new ChunkEncoder(() => this.#onChunk()));
        return;
      case "chunkTaken":
        this.#held = false;
        this.#sender?.drained();
        return;
      case "wait":
        return;
      case "done":
        connection.finish();
        done(action.reset);
        this.#settle();
        return;
      case "close":
        connection.destroy();
        this.#settle();
        return;
    }
  }

  #onChunk(): void {
    const { connection, pipelining, transaction } = this.#parts;
    transaction.chunk();
    connection.expect("body");
    this.#held = !pipelining;
  }

  #sendBody(replies: number, encoder: BodyEncoder): void {
    const { connection, transaction, body } = this.#parts;
    // More came than was owed: the connection is about to fail, and nothing of the body may go out.
    if (!connection.open) return;
    try {
      this.#sender = new BodySender({
        connection,
        body,
        encoder,
        held: () => this.#held,
        onEnd: () => {
          transaction.endMark();
          connection.expect("end", replies);
        },
        onFailure: (reason) => this.#sourceFailed(reason),
      });
      this.#sender.start();
    } catch (reason) {
      this.#sourceFailed(reason);
    }
  }

  /** Without the end mark the server must drop what it has (RFC 5321 §4.1.1.4); closing is the only way not to send it. */
  #sourceFailed(reason: unknown): void {
    const { connection, end } = this.#parts;
    end.signal?.removeEventListener("abort", this.#abort);
    connection.destroy();
    end.reject(reason);
  }

  #settle(): void {
    const { transaction, end } = this.#parts;
    this.#sender?.stop();
    end.signal?.removeEventListener("abort", this.#abort);
    end.resolve(transaction.results());
  }
}

/** QUIT: whatever comes, it ends. */
class Goodbye implements Exchange {
  readonly #connection: Connection;
  readonly #resolve: () => void;

  constructor(connection: Connection, resolve: () => void) {
    this.#connection = connection;
    this.#resolve = resolve;
  }

  reply(): void {
    this.#connection.leave(false);
    this.#resolve();
  }

  early(): void {
    this.#connection.destroy();
    this.#resolve();
  }

  interrupted(): void {
    this.early();
  }

  drained(): void {}

  broken(): void {
    this.#resolve();
  }
}
