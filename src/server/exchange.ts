import type { Clock, Instant, Log, Timer } from "../base/index.ts";
import type { NetProblem, Stream, StreamHandler } from "../net/index.ts";
import type { BareNewlines, Reply, XclientAttributes } from "../smtp/index.ts";
import { Bodies } from "./bodies.ts";
import type { BodyReceiver } from "./body-receiver.ts";
import { Deadline } from "./deadline.ts";
import { Decisions } from "./decisions.ts";
import { endsGroup, Input } from "./input.ts";
import type { Introduced } from "./introduction.ts";
import { Journal } from "./journal.ts";
import type { ServerLimits } from "./limits.ts";
import type { Client, Policy } from "./policy.ts";
import * as replies from "./replies.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { keepsBody, step } from "./session.ts";
import type { Action, Decision, Event, State, Step } from "./state.ts";
import { Timing } from "./timing.ts";

export interface ExchangeOptions {
  readonly stream: Stream;
  /** A new session: before its greeting, or reborn inside TLS. */
  readonly session: State;
  readonly client: Client;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly log: Log;
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
 * Drives one session over one stream, clear or TLS, never both: the octets become events in order, the session's actions are
 * done in order, and while anything is awaited (a policy, a sink, a peer that does not read) at most one more piece of
 * input is taken before reading stops.
 */
export class Exchange implements StreamHandler {
  readonly #options: ExchangeOptions;
  readonly #stream: Stream;
  readonly #input: Input;
  readonly #writer: ReplyWriter;
  readonly #deadline: Deadline;
  readonly #timing: Timing;
  readonly #decisions: Decisions;
  /** Made with the first body: who is idle, or comes to try an address, has none. */
  #bodies: Bodies | null = null;
  readonly #journal: Journal;
  #state: State;
  #delay: Timer | null = null;
  /** A decision or a delay is awaited. */
  #busy = false;
  #running = false;
  #paused = false;
  #peerEnded = false;
  #over = false;

  constructor(options: ExchangeOptions) {
    const { clock, limits, stream } = options;
    this.#options = options;
    this.#stream = stream;
    this.#state = options.session;
    this.#input = new Input(limits.commandLine);
    this.#writer = new ReplyWriter(stream, clock, limits.write, () => this.#giveUp());
    this.#deadline = new Deadline(clock, () => this.#guard(() => this.#onTimeout()));
    this.#timing = new Timing(clock, limits);
    this.#decisions = new Decisions(options.policy, options.client, options.log);
    this.#journal = new Journal(options.log);
  }

  /** Greets, or inside STARTTLS waits for EHLO. */
  start(): void {
    this.#guard(() => {
      if (this.#state.phase.name === "connecting") this.#greetAfterDelay();
      else this.#decisions.begin();
    });
    // The greeting of a policy that needs no wait is out before the first octet is looked at.
    this.#stream.attach(this);
    this.#guard(() => this.#run());
  }

  /** The server goes down: ends the session as soon as no transaction is open. */
  stop(): void {
    this.#guard(() => {
      if (this.#dead) return;
      this.#apply({ kind: "stop" });
      this.#run();
    });
  }

  destroy(): void {
    this.#stream.destroy();
  }

  data(bytes: Uint8Array): void {
    this.#guard(() => {
      if (this.#dead) return;
      if (this.#state.phase.name === "connecting" && this.#options.refuseEarlyTalk) {
        return this.#apply({ kind: "earlyTalk" });
      }
      const body = this.#body;
      if (body === null) {
        this.#input.push(bytes);
      } else {
        this.#timing.blockCame();
        body.push(bytes);
      }
      if (!this.#reading) this.#pause();
      this.#run();
    });
  }

  drained(): void {
    this.#guard(() => {
      this.#writer.drained();
      this.#run();
    });
  }

  ended(): void {
    this.#guard(() => {
      this.#peerEnded = true;
      this.#run();
    });
  }

  closed(problem: NetProblem | null): void {
    this.#finish({ kind: "closed", problem });
  }

  get #dead(): boolean {
    return this.#over || this.#state.phase.name === "closed";
  }

  get #body(): BodyReceiver | null {
    return this.#bodies === null ? null : this.#bodies.active;
  }

  #makeBodies(): Bodies {
    this.#bodies ??= new Bodies({
      ...this.#options,
      takeSink: () => this.#decisions.takeSink(),
      failed: this.#decisions.failed,
      resumed: () => {
        this.#timing.blockCame();
        this.#guard(() => this.#run());
      },
      ended: (event, rest) => this.#guard(() => this.#onBodyEnd(event, rest)),
    });
    return this.#bodies;
  }

  /** True while more input is of use. */
  get #reading(): boolean {
    return !this.#busy && !this.#writer.blocked && this.#body?.waiting !== true;
  }

  /** True while the policy or the sink is to answer. */
  get #serving(): boolean {
    const body = this.#body;
    return body === null ? this.#busy && this.#delay === null : body.waiting;
  }

  /** Takes commands for as long as nothing is awaited; then sends what there is to say. Never runs inside itself. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#reading && this.#body === null && !this.#dead) {
        const event = this.#input.next(this.#state.phase.name === "authenticating");
        if (event === null) break;
        this.#timing.commandDone();
        this.#apply(event);
        if (endsGroup(event) && !this.#busy) this.#writer.flush();
      }
    } finally {
      this.#running = false;
    }
    if (!this.#dead) this.#settle();
  }

  #settle(): void {
    if (!this.#reading) {
      // Only the policy and the sink are waited for here: a delay of our own and a peer that does not read have their own ends.
      if (this.#serving) this.#deadline.set(this.#timing.serviceDeadline);
      else this.#deadline.clear();
      this.#writer.flushSoon();
      return;
    }
    this.#writer.flush();
    if (this.#peerEnded) {
      this.#close();
      return;
    }
    if (this.#paused) {
      this.#paused = false;
      this.#stream.resume();
    }
    this.#deadline.set(this.#nextDeadline());
  }

  #nextDeadline(): Instant {
    if (this.#bodies === null) return this.#timing.commandDeadline;
    const { active, parked } = this.#bodies;
    if (active !== null) return this.#timing.bodyDeadline(active.received);
    return parked === null ? this.#timing.commandDeadline : this.#timing.chunkDeadline(parked);
  }

  #pause(): void {
    if (this.#paused || this.#dead) return;
    this.#paused = true;
    this.#stream.pause();
  }

  #apply(event: Event): void {
    const next: Step = step(this.#state, event);
    this.#state = next.state;
    // What came of a message is thrown away with the transaction: by RSET, EHLO, QUIT, a refusal, whatever else there may be.
    if (this.#bodies !== null && !keepsBody(next.state)) this.#bodies.drop();
    this.#perform(next.actions, 0);
  }

  #perform(actions: readonly Action[], from: number): void {
    for (let at = from; at < actions.length; at++) {
      const action = actions[at];
      if (action === undefined || this.#over) return;
      if (action.kind === "delay") {
        this.#hold(this.#options.limits.tarpit, () => this.#perform(actions, at + 1));
        return;
      }
      this.#do(action);
    }
  }

  #do(action: Exclude<Action, { readonly kind: "delay" }>): void {
    switch (action.kind) {
      case "reply":
        this.#reply(action.reply);
        break;
      case "ask":
        this.#await(this.#decisions.ask(action.question));
        break;
      case "receiveBody":
        this.#input.leaveLines();
        this.#makeBodies().receive(action.maxSize);
        break;
      case "receiveChunk":
        this.#timing.chunkBegan(this.#makeBodies().parked === null);
        this.#makeBodies().receiveChunk(action.chunk, action.binary, action.maxSize, this.#input.takeRest());
        break;
      case "skipChunk":
        this.#timing.chunkBegan(true);
        this.#makeBodies().skip(action.octets, this.#input.takeRest());
        break;
      case "startTls":
      case "introduce":
        this.#stream.pause();
        this.#writer.flush();
        this.#finish(action.kind === "startTls" ? { kind: "startTls" } : this.#introduced(action.attributes));
        break;
      case "close":
        this.#close();
        break;
    }
  }

  #introduced(attributes: XclientAttributes): Introduced {
    return { kind: "introduced", attributes, rest: this.#input.takeRest(), peerEnded: this.#peerEnded };
  }

  #reply(reply: Reply): void {
    this.#journal.said(reply);
    this.#writer.add(reply);
  }

  /** Does nothing else for `milliseconds`, then `action`. */
  #hold(milliseconds: number, action: () => void): void {
    this.#busy = true;
    this.#delay = this.#options.clock.after(milliseconds, () => {
      this.#delay = null;
      this.#guard(() => {
        if (this.#over) return;
        this.#busy = false;
        action();
        this.#run();
      });
    });
  }

  #greetAfterDelay(): void {
    const greet = (): void => {
      if (!this.#dead) this.#await(this.#decisions.connect());
    };
    const { greetingDelay } = this.#options.limits;
    if (greetingDelay > 0) this.#hold(greetingDelay, greet);
    else greet();
  }

  #await(decision: Decision | Promise<Decision>): void {
    if (!(decision instanceof Promise)) {
      this.#decide(decision);
      return;
    }
    this.#busy = true;
    this.#timing.asked();
    void decision.then((made) => {
      this.#busy = false;
      this.#guard(() => {
        if (this.#dead) return this.#decisions.dropSink();
        this.#timing.commandDone();
        this.#decide(made);
        this.#run();
      });
    });
  }

  #decide(decision: Decision): void {
    this.#journal.decided(decision, this.#state.phase);
    this.#noteProgress(decision);
    this.#apply({ kind: "decision", decision, followed: this.#input.followed });
    // Not wanted after all: octets had come before the 354.
    if (this.#body === null) this.#decisions.dropSink();
  }

  #noteProgress(decision: Decision): void {
    const forward = decision.kind === "mail" || decision.kind === "body" || decision.kind === "sasl";
    if (forward && decision.verdict.kind !== "refuse") this.#timing.progressed();
  }

  #onBodyEnd(event: Event, rest: readonly Uint8Array[]): void {
    if (this.#dead) return;
    if (event.kind === "chunkCame") this.#timing.commandDone();
    else this.#timing.progressed();
    for (const piece of rest) this.#input.push(piece);
    this.#apply(event);
    this.#run();
  }

  #onTimeout(): void {
    if (this.#dead) return;
    const stalled = this.#serving;
    if (stalled) this.#journal.stalled(this.#state.phase);
    this.#apply({ kind: stalled ? "stalled" : "timeout" });
  }

  /** Says what is left to say, closes, and gives the peer a little time to do the same. */
  #close(): void {
    if (this.#over) return;
    this.#state = { ...this.#state, phase: { name: "closed" } };
    this.#dropBody();
    this.#writer.flush();
    this.#deadline.cancel();
    this.#stream.end();
    this.#delay?.cancel();
    this.#delay = this.#options.clock.after(this.#options.limits.linger, () => this.#stream.destroy());
  }

  #finish(end: ExchangeEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#deadline.cancel();
    this.#writer.cancel();
    this.#delay?.cancel();
    this.#dropBody();
    this.#decisions.end();
    this.#options.over(end);
  }

  #dropBody(): void {
    this.#bodies?.abort();
    this.#decisions.dropSink();
  }

  #giveUp(): void {
    this.#journal.slowReader(this.#stream.unsent);
    this.#stream.destroy();
  }

  /** The last net under one session: what throws here is a bug, ends this session, and harms no other. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#journal.broken(error);
      if (this.#over) return;
      this.#writer.add(replies.localErrorClosing);
      this.#close();
    }
  }
}
