import type { Clock, Log, Timer } from "../base/index.ts";
import type { Reply } from "../smtp/index.ts";
import { Decisions } from "./decisions.ts";
import type { Journal } from "./journal.ts";
import type { ServerLimits } from "./limits.ts";
import type { Client, MessageSink, Policy } from "./policy.ts";
import { keepsBody, step } from "./session.ts";
import type { Action, Decision, Event, Phase, State } from "./state.ts";
import type { Timing } from "./timing.ts";

/** What comes now is no command. */
export type BodyAction = Extract<Action, { readonly kind: "receiveBody" | "receiveChunk" | "skipChunk" }>;

/** The session is over, and another begins. */
export type Departure = Extract<Action, { readonly kind: "startTls" | "introduce" }>;

/** What has to do with octets, done for the session; all of it at once. */
export interface Stage {
  /** Octets of the peer wait behind what was taken of them last. */
  readonly followed: boolean;
  reply(reply: Reply): void;
  /** The beginning of a message takes the sink for it, by `SessionDriver.takeSink`; nobody else will. */
  receive(action: BodyAction): void;
  /** The message whose next chunk is awaited, if any, will get none. */
  dropMessage(): void;
  depart(action: Departure): void;
  close(): void;
  /** Runs what was waited for; what it throws ends this session alone. */
  guard(action: () => void): void;
  /** Goes on with what the peer said meanwhile. */
  run(): void;
}

export interface SessionDriverOptions {
  /** A new session: before its greeting, or reborn inside TLS. */
  readonly session: State;
  readonly client: Client;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Pick<ServerLimits, "tarpit" | "greetingDelay">;
  readonly timing: Timing;
  readonly journal: Journal;
  readonly stage: Stage;
}

/**
 * Drives the pure session: takes events to it and does its actions in order. While the policy thinks, or a delay of ours lasts, it is
 * `busy`, and wants no event but one that ends all.
 */
export class SessionDriver {
  readonly #clock: Clock;
  readonly #limits: SessionDriverOptions["limits"];
  readonly #timing: Timing;
  readonly #journal: Journal;
  readonly #stage: Stage;
  readonly #decisions: Decisions;
  #state: State;
  #delay: Timer | null = null;
  /** A decision or a delay is awaited. */
  #busy = false;
  #over = false;

  constructor({ session, client, policy, clock, log, limits, timing, journal, stage }: SessionDriverOptions) {
    this.#clock = clock;
    this.#limits = limits;
    this.#timing = timing;
    this.#journal = journal;
    this.#stage = stage;
    this.#decisions = new Decisions(policy, client, log);
    this.#state = session;
  }

  get phase(): Phase {
    return this.#state.phase;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** It is the policy that is waited for. */
  get asking(): boolean {
    return this.#busy && this.#delay === null;
  }

  /** The exchange ended. */
  get over(): boolean {
    return this.#over;
  }

  /** The session ended; the exchange may have some replies left to write. */
  get dead(): boolean {
    return this.#over || this.#state.phase.name === "closed";
  }

  /** Greets, or inside STARTTLS waits for EHLO. Throws what the policy throws there. */
  begin(): void {
    const { greetingDelay } = this.#limits;
    if (this.#state.phase.name !== "connecting") this.#decisions.begin();
    else if (greetingDelay > 0) this.#hold(greetingDelay, () => this.#greet());
    else this.#greet();
  }

  apply(event: Event): void {
    const next = step(this.#state, event);
    this.#state = next.state;
    // What came of a message is thrown away with the transaction: by RSET, EHLO, QUIT, a refusal, whatever else there may be.
    if (!keepsBody(next.state)) this.#stage.dropMessage();
    this.#perform(next.actions, 0);
  }

  /** The sink that the policy opened; from here on it is the caller's to finish or to abort. */
  takeSink(): MessageSink {
    return this.#decisions.takeSink();
  }

  /** Tells of what a sink threw. */
  get sinkFailed(): (error: unknown) => void {
    return this.#decisions.failed;
  }

  /** No event counts any more, and what is awaited comes to nothing. */
  close(): void {
    this.#state = { ...this.#state, phase: { name: "closed" } };
    this.#decisions.dropSink();
    this.#delay?.cancel();
  }

  /** The exchange ended: nothing is done any more, whatever is decided yet. */
  cut(): void {
    this.#over = true;
    this.#delay?.cancel();
  }

  /** After `cut`, and after the bodies: the conversation with the policy is over. */
  end(): void {
    this.#decisions.end();
  }

  #greet(): void {
    if (!this.dead) this.#await(this.#decisions.connect());
  }

  #perform(actions: readonly Action[], from: number): void {
    for (let at = from; at < actions.length; at++) {
      const action = actions[at];
      if (action === undefined || this.#over) return;
      if (action.kind === "delay") {
        this.#hold(this.#limits.tarpit, () => this.#perform(actions, at + 1));
        return;
      }
      this.#do(action);
    }
  }

  #do(action: Exclude<Action, { readonly kind: "delay" }>): void {
    switch (action.kind) {
      case "reply":
        this.#journal.said(action.reply);
        this.#stage.reply(action.reply);
        break;
      case "ask":
        this.#await(this.#decisions.ask(action.question));
        break;
      case "receiveBody":
      case "receiveChunk":
      case "skipChunk":
        this.#stage.receive(action);
        break;
      case "startTls":
      case "introduce":
        this.#stage.depart(action);
        break;
      case "close":
        this.#stage.close();
        break;
    }
  }

  /** Does nothing else for `milliseconds`, then `action`. */
  #hold(milliseconds: number, action: () => void): void {
    this.#busy = true;
    this.#delay = this.#clock.after(milliseconds, () => {
      this.#delay = null;
      this.#stage.guard(() => {
        if (this.#over) return;
        this.#busy = false;
        action();
        this.#stage.run();
      });
    });
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
      this.#stage.guard(() => {
        if (this.dead) return this.#decisions.dropSink();
        this.#timing.commandDone();
        this.#decide(made);
        this.#stage.run();
      });
    });
  }

  #decide(decision: Decision): void {
    this.#journal.decided(decision, this.#state.phase);
    this.#noteProgress(decision);
    this.apply({ kind: "decision", decision, followed: this.#stage.followed });
    // Not wanted after all: octets had come before the 354.
    this.#decisions.dropSink();
  }

  #noteProgress(decision: Decision): void {
    const forward = decision.kind === "mail" || decision.kind === "body" || decision.kind === "sasl";
    if (forward && decision.verdict.kind !== "refuse") this.#timing.progressed();
  }
}
