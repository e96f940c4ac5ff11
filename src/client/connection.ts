import { type Clock, concatBytes, type Instant, type Log, SECOND, type Timer } from "../base/index.ts";
import type { NetProblem, Stream } from "../net/index.ts";
import { describeReply, formatCommand, type Reply, ReplyDecoder, type ReplyProblem } from "../smtp/index.ts";
import { STAGE_TIMEOUT } from "./timeouts.ts";
import type { ClientProblem, ClientTimeouts, Stage } from "./types.ts";

/** Who is told what comes in while something is under way: the opening, a transaction, or QUIT. */
export interface Exchange {
  /** A reply that was owed. */
  reply(reply: Reply): void;
  /** A whole reply while none was owed (the body was being sent). Must end the connection. */
  early(reply: Reply): void;
  /** The first octets of such a reply: stop sending until the rest is there. */
  interrupted(): void;
  /** After a `write` that returned false. */
  drained(): void;
  /** The connection is gone; the last call. */
  broken(problem: ClientProblem): void;
}

/** A command line without CRLF and the stage that its reply is waited for at. */
export interface OutgoingCommand {
  readonly line: string;
  readonly stage: Stage;
  /** Octets right behind the line (BDAT). */
  readonly chunk?: Uint8Array;
  /** Keep it out of the log. */
  readonly secret?: boolean;
}

export interface ConnectionOptions {
  readonly stream: Stream;
  readonly clock: Clock;
  readonly timeouts: ClientTimeouts;
  readonly log: Log | null;
}

/** How long a connection that we have said goodbye on may take to close before it is cut. */
const LINGER = 5_000;

/** Of a block that is larger no more octets lengthen the wait for it: what a mute server has taken of it cannot be seen. */
const LARGE_BLOCK = 256 * 1024;

/** The stages whose replies are waited for together. */
const ENVELOPE: ReadonlySet<Stage> = new Set(["reset", "mail", "rcpt", "data"]);

/** What each reply to an envelope adds to the time for all of them, milliseconds: some hosts think for long about each recipient. */
const REPLY_SHARE = 20_000;

/**
 * Replies in, commands out, over one stream. Keeps the count of replies owed: an octet beyond them ends the connection, because
 * it can only be an answer to something not yet asked (response injection). One deadline runs for the reply that is due next,
 * from when it became due to its last octet.
 */
export class Connection {
  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #timeouts: ClientTimeouts;
  readonly #log: Log | null;
  readonly #decoder = new ReplyDecoder();
  readonly #listeners: (() => void)[] = [];
  #owed: Stage[] = [];
  #answered = 0;
  #exchange: Exchange | null = null;
  #timer: Timer | null = null;
  #stage: Stage = "greeting";
  /** Octets written so far, and before the body that is under way. */
  #written = 0;
  #beforeBody = 0;
  /** How long the envelope, or the body, was waited for in all, and since when it is now. */
  #waited = 0;
  #waitsSince: Instant | null = null;
  /** Replies to the envelope that came. */
  #replies = 0;
  /** "muted": more came in than was owed, so nothing goes out any more. */
  #state: "open" | "muted" | "leaving" | "closed" | "released" = "open";

  constructor(options: ConnectionOptions) {
    this.#stream = options.stream;
    this.#clock = options.clock;
    this.#timeouts = options.timeouts;
    this.#log = options.log;
  }

  get open(): boolean {
    return this.#state === "open";
  }

  get busy(): boolean {
    return this.#exchange !== null;
  }

  /** Starts the flow of octets; without this nothing is read. */
  attach(): void {
    this.#stream.attach({
      data: (bytes) => this.#onData(bytes),
      drained: () => this.#exchange?.drained(),
      ended: () => this.#onClosed(null),
      closed: (problem) => this.#onClosed(problem),
    });
  }

  /** `listener` is called once when the connection ends or says goodbye; at once where it did. */
  onClose(listener: () => void): void {
    if (this.open) this.#listeners.push(listener);
    else listener();
  }

  /** Hands the connection to an exchange; there is one at a time. */
  begin(exchange: Exchange): void {
    if (this.#exchange !== null) throw new Error("one exchange at a time");
    this.#exchange = exchange;
  }

  /** The exchange is over and the connection free for the next. */
  finish(): void {
    this.#exchange = null;
    this.disarm();
  }

  /** A reply that is owed without a command: the greeting, and those after the end of data. */
  expect(stage: Stage, replies: number = 1): void {
    if (this.#state !== "open") return;
    const idle = this.#answered === this.#owed.length;
    for (let count = 0; count < replies; count++) this.#owed.push(stage);
    if (idle) this.#armNext();
  }

  /** Writes the commands in one go. */
  send(commands: readonly OutgoingCommand[]): void {
    if (this.#state !== "open") return;
    const pieces: Uint8Array[] = [];
    for (const { line, chunk } of commands) {
      pieces.push(formatCommand(line));
      if (chunk !== undefined) pieces.push(chunk);
    }
    this.write(concatBytes(pieces));
    const idle = this.#answered === this.#owed.length;
    for (const { line, stage, secret } of commands) {
      this.#owed.push(stage);
      this.#log?.debug("client.command", { stage, line: secret === true ? `${line.split(" ", 2).join(" ")} …` : line });
    }
    if (idle) this.#armNext();
  }

  /** False when the caller should wait for `drained`. */
  write(bytes: Uint8Array): boolean {
    this.#written += bytes.length;
    return this.#state === "open" ? this.#stream.write(bytes) : true;
  }

  /** Octets written and not yet taken by the kernel. */
  get unsent(): number {
    return this.#stream.unsent;
  }

  /** A transaction begins: the waits for replies to its envelope are added up from here. */
  beginEnvelope(): void {
    this.#replies = 0;
    this.#waited = 0;
  }

  /** A body begins: the waits for it are added up from here. */
  beginBody(): void {
    this.#beforeBody = this.#written;
    this.#waited = 0;
  }

  cork(): void {
    this.#stream.cork();
  }

  uncork(): void {
    this.#stream.uncork();
  }

  /** Something must happen within the time allowed for `stage`: a block to be taken, a reply that began to end. */
  arm(stage: Stage): void {
    this.disarm();
    if (this.#state !== "open") return;
    this.#stage = stage;
    const allowed = this.#allowed(stage);
    // Nothing depends on the answer to QUIT: a peer that owes it keeps no program from ending.
    const time = stage === "quit" ? Math.min(allowed, LINGER) : allowed;
    this.#timer = this.#clock.after(time, () => this.fail({ kind: "timeout", stage }));
  }

  /** Back to the deadline of the reply that is due, after `arm`; without one, to none. */
  rearm(): void {
    if (this.#answered < this.#owed.length) this.#armNext();
    else this.disarm();
  }

  disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#waitsSince === null) return;
    this.#waited += this.#clock.now() - this.#waitsSince;
    this.#waitsSince = null;
  }

  /** Gives the stream away, for the upgrade to TLS. This connection is spent. */
  release(): Stream {
    this.#stream.pause();
    this.#exchange = null;
    this.#state = "released";
    this.disarm();
    return this.#stream;
  }

  /** Ends the connection at once and tells the exchange that runs. */
  fail(problem: ClientProblem): void {
    if (this.#state === "closed" || this.#state === "released") return;
    const exchange = this.#exchange;
    this.destroy();
    exchange?.broken(problem);
  }

  /** Ends the connection at once; the exchange is not told. */
  destroy(): void {
    if (this.#state === "closed" || this.#state === "released") return;
    this.#leaveOpen("closed");
    this.#stream.destroy();
  }

  /** Closes our side in order, with a QUIT before it where one is due, and cuts the line when the peer does not follow. */
  leave(quit: boolean): void {
    if (this.#state !== "open") {
      this.destroy();
      return;
    }
    if (quit) this.#stream.write(formatCommand("QUIT"));
    this.#leaveOpen("leaving");
    this.#stream.end();
    this.#timer = this.#clock.after(LINGER, () => this.destroy());
  }

  /** How long the server may take for the next step, see `ClientTimeouts`. The time that our own source takes is not its. */
  #allowed(stage: Stage): number {
    const alone = this.#timeouts[STAGE_TIMEOUT[stage]];
    if (stage === "body") return this.#allowedForBody();
    if (!ENVELOPE.has(stage)) return alone;
    this.#waitsSince = this.#clock.now();
    return Math.max(0, Math.min(alone, this.#timeouts.envelope + this.#replies * REPLY_SHARE - this.#waited));
  }

  #allowedForBody(): number {
    const { dataBlock, body, bodyRate } = this.#timeouts;
    const { unsent } = this;
    this.#waitsSince = this.#clock.now();
    const block = dataBlock + (Math.min(unsent, LARGE_BLOCK) / bodyRate) * SECOND;
    const taken = this.#written - this.#beforeBody - unsent;
    return Math.max(0, Math.min(block, body + (taken / bodyRate) * SECOND - this.#waited));
  }

  #leaveOpen(state: "leaving" | "closed"): void {
    this.#state = state;
    this.#exchange = null;
    this.disarm();
    for (const listener of this.#listeners.splice(0)) listener();
  }

  #onData(bytes: Uint8Array): void {
    if (this.#state !== "open") {
      if (this.#state === "released") this.#stream.destroy();
      return;
    }
    const owed = this.#owed.length - this.#answered;
    const decoded = this.#decoder.push(bytes);
    if (!decoded.ok) {
      this.fail({ kind: "protocol", stage: this.#due(), detail: "not a reply", problem: decoded.error });
      return;
    }
    const replies = decoded.value;
    if (this.#decoder.problem !== null) {
      this.#onSpoilt(replies.slice(0, owed), this.#decoder.problem);
      return;
    }
    const beyond = replies.length > owed || (replies.length === owed && this.#decoder.midReply);
    if (beyond && owed > 0) this.#state = "muted";
    for (let index = 0; index < replies.length && index < owed; index++) this.#onReply(replies[index]);
    if (beyond) this.#onBeyond(replies[owed]);
  }

  /** Replies with octets behind them that are none. What was answered counts; nothing more goes out, and TLS never starts. */
  #onSpoilt(replies: readonly Reply[], problem: ReplyProblem): void {
    const stage = this.#owed[this.#answered + replies.length - 1] ?? this.#due();
    this.#state = "muted";
    if (stage !== "starttls") for (const reply of replies) this.#onReply(reply);
    if (this.#exchange === null) this.destroy();
    else this.fail({ kind: "protocol", stage, detail: "not a reply", problem });
  }

  #onReply(reply: Reply | undefined): void {
    // The exchange may have ended the connection at an earlier reply of the same push.
    if (reply === undefined || this.#exchange === null) return;
    this.#stage = this.#due();
    this.#log?.debug("client.reply", { stage: this.#stage, reply: describeReply(reply) });
    this.#answered++;
    this.#replies++;
    if (this.#answered === this.#owed.length) {
      this.#owed = [];
      this.#answered = 0;
      this.disarm();
    } else {
      this.#armNext();
    }
    this.#exchange.reply(reply);
  }

  /** Octets that nobody asked for. `reply` is the first whole reply among them. */
  #onBeyond(reply: Reply | undefined): void {
    const exchange = this.#exchange;
    if (this.#state === "closed" || this.#state === "released") return;
    if (exchange === null) {
      // Mostly a 421 or a goodbye while idle. Whatever it is, a later reply would be read one off.
      this.#log?.debug("client.unasked", { reply: reply === undefined ? null : describeReply(reply) });
      this.destroy();
    } else if (reply === undefined && this.#state === "open") {
      exchange.interrupted();
    } else if (reply !== undefined && (reply.code === 421 || this.#state === "open")) {
      exchange.early(reply);
    } else {
      this.fail({ kind: "protocol", stage: this.#due(), detail: "more replies than commands", problem: null });
    }
  }

  #onClosed(problem: NetProblem | null): void {
    const stage = this.#due();
    if (this.#state === "released") return;
    if (this.#state === "leaving") this.destroy();
    this.fail(problem === null ? { kind: "closed", stage } : { kind: "network", stage, problem });
  }

  /** The stage of the reply due next, or where we were last. */
  #due(): Stage {
    return this.#owed[this.#answered] ?? this.#stage;
  }

  #armNext(): void {
    this.arm(this.#due());
  }
}
