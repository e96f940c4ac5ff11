import type { Instant, Timer } from "../base/index.ts";
import type { NetProblem, Stream, StreamHandler } from "../net/index.ts";
import type { BareNewlines, Reply, XclientAttributes } from "../smtp/index.ts";
import { Bodies } from "./bodies.ts";
import type { BodyReceiver } from "./body-receiver.ts";
import { Deadline } from "./deadline.ts";
import { endsGroup, Input } from "./input.ts";
import type { Introduced } from "./introduction.ts";
import { Journal } from "./journal.ts";
import type { ServerLimits } from "./limits.ts";
import * as replies from "./replies.ts";
import { ReplyWriter } from "./reply-writer.ts";
import {
  type BodyAction,
  type Departure,
  SessionDriver,
  type SessionDriverOptions,
  type Stage,
} from "./session-driver.ts";
import type { Event } from "./state.ts";
import { Timing } from "./timing.ts";

export interface ExchangeOptions extends Omit<SessionDriverOptions, "timing" | "journal" | "stage"> {
  readonly stream: Stream;
  readonly limits: ServerLimits;
  readonly bareNewlines: BareNewlines;
  /** Refuse a peer that talks before the greeting. */
  readonly refuseEarlyTalk: boolean;
  /**
   * Called once. On "startTls" the 220 is written, the stream is paused, and no octet of it was read behind the command; on
   * "introduced" it is paused too.
   */
  readonly over: (end: ExchangeEnd) => void;
}

export type ExchangeEnd =
  | { readonly kind: "startTls" }
  | Introduced
  | { readonly kind: "closed"; readonly problem: NetProblem | null };

/**
 * One session over one stream, clear or TLS, never both: the octets become events in order, the replies and the bodies octets, and while
 * anything is awaited (a policy, a sink, a peer that does not read) at most one more piece of input is taken before reading stops.
 */
export class Exchange implements StreamHandler, Stage {
  readonly #options: ExchangeOptions;
  readonly #stream: Stream;
  readonly #input: Input;
  readonly #writer: ReplyWriter;
  readonly #deadline: Deadline;
  readonly #timing: Timing;
  readonly #journal: Journal;
  readonly #driver: SessionDriver;
  /** Made with the first body: who is idle, or comes to try an address, has none. */
  #bodies: Bodies | null = null;
  /** For the peer to close after our last reply. */
  #linger: Timer | null = null;
  #running = false;
  #paused = false;
  #peerEnded = false;

  constructor(options: ExchangeOptions) {
    const { session, client, policy, clock, log, limits, stream } = options;
    this.#options = options;
    this.#stream = stream;
    this.#input = new Input(limits.commandLine);
    this.#writer = new ReplyWriter(stream, clock, limits.write, () => this.#giveUp());
    this.#deadline = new Deadline(clock, () => this.guard(() => this.#onTimeout()));
    const timing = new Timing(clock, limits);
    const journal = new Journal(log);
    this.#timing = timing;
    this.#journal = journal;
    this.#driver = new SessionDriver({ session, client, policy, clock, log, limits, timing, journal, stage: this });
  }

  /** Greets, or inside STARTTLS waits for EHLO. */
  start(): void {
    this.guard(() => this.#driver.begin());
    // The greeting of a policy that needs no wait is out before the first octet is looked at.
    this.#stream.attach(this);
    this.guard(() => this.run());
  }

  /** The server goes down: ends the session as soon as no transaction is open. */
  stop(): void {
    this.guard(() => {
      if (this.#driver.dead) return;
      this.#driver.apply({ kind: "stop" });
      this.run();
    });
  }

  destroy(): void {
    this.#stream.destroy();
  }

  data(bytes: Uint8Array): void {
    this.guard(() => {
      if (this.#driver.dead) return;
      if (this.#driver.phase.name === "connecting" && this.#options.refuseEarlyTalk) {
        return this.#driver.apply({ kind: "earlyTalk" });
      }
      const body = this.#body;
      if (body === null) {
        this.#input.push(bytes);
      } else {
        this.#timing.blockCame();
        body.push(bytes);
      }
      if (!this.#reading) this.#pause();
      this.run();
    });
  }

  drained(): void {
    this.guard(() => {
      this.#writer.drained();
      this.run();
    });
  }

  ended(): void {
    this.guard(() => {
      this.#peerEnded = true;
      this.run();
    });
  }

  closed(problem: NetProblem | null): void {
    this.#finish({ kind: "closed", problem });
  }

  get followed(): boolean {
    return this.#input.followed;
  }

  reply(reply: Reply): void {
    this.#writer.add(reply);
  }

  receive(action: BodyAction): void {
    const bodies = this.#makeBodies();
    switch (action.kind) {
      case "receiveBody":
        this.#input.leaveLines();
        bodies.receive(action.maxSize);
        break;
      case "receiveChunk":
        this.#timing.chunkBegan(bodies.parked === null);
        bodies.receiveChunk(action.chunk, action.binary, action.maxSize, this.#input.takeRest());
        break;
      case "skipChunk":
        this.#timing.chunkBegan(true);
        bodies.skip(action.octets, this.#input.takeRest());
        break;
    }
  }

  dropMessage(): void {
    this.#bodies?.drop();
  }

  depart(action: Departure): void {
    this.#stream.pause();
    this.#writer.flush();
    this.#finish(action.kind === "startTls" ? { kind: "startTls" } : this.#introduced(action.attributes));
  }

  /** Says what is left to say, closes, and gives the peer a little time to do the same. */
  close(): void {
    if (this.#driver.over) return;
    this.#driver.close();
    this.#bodies?.abort();
    this.#writer.flush();
    this.#deadline.cancel();
    this.#stream.end();
    this.#linger?.cancel();
    this.#linger = this.#options.clock.after(this.#options.limits.linger, () => this.#stream.destroy());
  }

  /** The last net under one session: what throws here is a bug, ends this session, and harms no other. */
  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#journal.broken(error);
      if (this.#driver.over) return;
      this.#writer.add(replies.localErrorClosing);
      this.close();
    }
  }

  /** Takes commands for as long as nothing is awaited; then sends what there is to say. Never runs inside itself. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#reading && this.#body === null && !this.#driver.dead) {
        const event = this.#input.next(this.#driver.phase.name === "authenticating");
        if (event === null) break;
        this.#timing.commandDone();
        this.#driver.apply(event);
        if (endsGroup(event) && !this.#driver.busy) this.#writer.flush();
      }
    } finally {
      this.#running = false;
    }
    if (!this.#driver.dead) this.#settle();
  }

  get #body(): BodyReceiver | null {
    return this.#bodies === null ? null : this.#bodies.active;
  }

  #makeBodies(): Bodies {
    this.#bodies ??= new Bodies({
      ...this.#options,
      takeSink: () => this.#driver.takeSink(),
      failed: this.#driver.sinkFailed,
      resumed: () => {
        this.#timing.blockCame();
        this.guard(() => this.run());
      },
      ended: (event, rest) => this.guard(() => this.#onBodyEnd(event, rest)),
    });
    return this.#bodies;
  }

  /** True while more input is of use. */
  get #reading(): boolean {
    return !this.#driver.busy && !this.#writer.blocked && this.#body?.waiting !== true;
  }

  /** True while the policy or the sink is to answer. */
  get #serving(): boolean {
    const body = this.#body;
    return body === null ? this.#driver.asking : body.waiting;
  }

  #settle(): void {
    if (!this.#reading) {
      // Only the policy and the sink are waited for here: a delay of our own and a peer that does not read have their own ends.
      if (this.#serving) this.#deadline.set(this.#serviceDeadline);
      else this.#deadline.clear();
      this.#writer.flushSoon();
      return;
    }
    this.#writer.flush();
    if (this.#peerEnded) {
      this.close();
      return;
    }
    if (this.#paused) {
      this.#paused = false;
      this.#stream.resume();
    }
    this.#deadline.set(this.#nextDeadline());
  }

  get #serviceDeadline(): Instant {
    return this.#timing.serviceDeadline(this.#body?.finishing === true);
  }

  #nextDeadline(): Instant {
    if (this.#bodies === null) return this.#timing.commandDeadline;
    const { active, parked } = this.#bodies;
    if (active !== null) return this.#timing.bodyDeadline(active.received);
    return parked === null ? this.#timing.commandDeadline : this.#timing.chunkDeadline(parked);
  }

  #introduced(attributes: XclientAttributes): Introduced {
    return { kind: "introduced", attributes, rest: this.#input.takeRest(), peerEnded: this.#peerEnded };
  }

  #pause(): void {
    if (this.#paused || this.#driver.dead) return;
    this.#paused = true;
    this.#stream.pause();
  }

  #onBodyEnd(event: Event, rest: readonly Uint8Array[]): void {
    if (this.#driver.dead) return;
    if (event.kind === "chunkCame") this.#timing.commandDone();
    else this.#timing.progressed();
    for (const piece of rest) this.#input.push(piece);
    this.#driver.apply(event);
    this.run();
  }

  #onTimeout(): void {
    if (this.#driver.dead) return;
    const stalled = this.#serving;
    // What was a wait for a piece to be written may have become one for the end, which may take longer.
    if (stalled && this.#options.clock.now() < this.#serviceDeadline) {
      this.#deadline.set(this.#serviceDeadline);
      return;
    }
    if (stalled) this.#journal.stalled(this.#driver.phase);
    this.#driver.apply({ kind: stalled ? "stalled" : "timeout" });
  }

  #finish(end: ExchangeEnd): void {
    if (this.#driver.over) return;
    this.#driver.cut();
    this.#deadline.cancel();
    this.#writer.cancel();
    this.#linger?.cancel();
    this.#bodies?.abort();
    this.#driver.end();
    this.#options.over(end);
  }

  #giveUp(): void {
    this.#journal.slowReader(this.#stream.unsent);
    this.#stream.destroy();
  }
}
