import { err, type Log, ok, type Result, silentLog } from "../base/index.ts";
import {
  type ClearStream,
  type ClientTlsOptions,
  type NetProblem,
  type Stream,
  systemClock,
  upgradeClient,
} from "../net/index.ts";
import type { Reply } from "../smtp/index.ts";
import { asciiName } from "./a-labels.ts";
import { authRules, bindingOf } from "./auth.ts";
import { Connection, type Exchange } from "./connection.ts";
import {
  beginOpening,
  type OpeningEvent,
  type OpeningRules,
  type OpeningState,
  type OpeningStep,
  stepOpening,
} from "./session.ts";
import { OpenSession } from "./session-driver.ts";
import { DEFAULT_TIMEOUTS } from "./timeouts.ts";
import type { ClientProblem, ClientSession, OpenOptions, Stage } from "./types.ts";

/** Greeting, EHLO (or HELO), STARTTLS and AUTH as `options` demand. Never rejects for what a peer does. */
export async function openSession(options: OpenOptions): Promise<Result<ClientSession, ClientProblem>> {
  if (options.signal?.aborted === true) {
    options.stream.destroy();
    return err(aborted("connect"));
  }
  const { tls } = options;
  if (tls.kind !== "implicit") return await talk(options, options.stream);
  const secured = await handshake(options, options.stream, tls.options);
  return secured.ok ? await talk(options, secured.value) : secured;
}

/** From the greeting on, with a rebirth where STARTTLS stands between. */
async function talk(options: OpenOptions, stream: Stream): Promise<Result<ClientSession, ClientProblem>> {
  const rules = rulesOver(options, stream);
  const opening = new Opening(options, rules, stream);
  const state = await opening.run(beginOpening(rules), null);
  if (state.phase !== "handshake") return concluded(opening, state, options, stream);
  if (options.tls.kind !== "opportunistic" && options.tls.kind !== "required")
    throw new Error("STARTTLS without options");
  const secured = await handshake(options, opening.released(), options.tls.options);
  if (!secured.ok) return secured;
  const reborn = new Opening(options, rulesOver(options, secured.value), secured.value);
  return concluded(reborn, await reborn.run(state, { kind: "secured" }), options, secured.value);
}

/** What is bound to a stream is of that stream, so that nothing of clear text comes along into TLS. */
function rulesOver(options: OpenOptions, stream: Stream): OpeningRules {
  return {
    hello: asciiName(options.hello),
    protocol: options.protocol ?? "smtp",
    tls: options.tls.kind,
    auth: options.auth === undefined ? null : authRules(options.auth, bindingOf(stream)),
  };
}

function concluded(
  opening: Opening,
  state: OpeningState,
  options: OpenOptions,
  stream: Stream,
): Result<ClientSession, ClientProblem> {
  if (state.phase === "failed") return err(state.problem);
  if (state.phase !== "ready") throw new Error(`opening stopped in phase ${state.phase}`);
  const { greeting, extensions } = state;
  const { protocol = "smtp", chunking = "auto" } = options;
  const { connection } = opening;
  return ok(new OpenSession({ connection, greeting, extensions, tls: stream.tls, protocol, chunking }));
}

async function handshake(
  options: OpenOptions,
  stream: ClearStream,
  tls: ClientTlsOptions,
): Promise<Result<Stream, ClientProblem>> {
  const { upgrade = upgradeClient, signal } = options;
  const secured = await upgrade(stream, signal === undefined ? tls : { ...tls, signal });
  if (!secured.ok) return err({ kind: "network", stage: "handshake", problem: secured.error });
  if (signal?.aborted !== true) return secured;
  secured.value.destroy();
  return err(aborted("handshake"));
}

function aborted(stage: Stage): ClientProblem {
  const problem: NetProblem = { kind: "aborted", detail: "aborted" };
  return { kind: "network", stage, problem };
}

/** Carries out the opening over one stream, up to the point where it is ready, failed, or about to be upgraded. */
class Opening implements Exchange {
  readonly connection: Connection;
  readonly #rules: OpeningRules;
  readonly #signal: AbortSignal | null;
  #state: OpeningState;
  #stage: Stage = "greeting";
  #released: Stream | null = null;
  #stop: (state: OpeningState) => void = () => {};
  readonly #abort = (): void => this.connection.fail(aborted(this.#stage));

  constructor(options: OpenOptions, rules: OpeningRules, stream: Stream) {
    this.connection = new Connection({
      stream,
      clock: options.clock ?? systemClock,
      timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
      log: wanted(options.log),
    });
    this.#rules = rules;
    this.#state = beginOpening(rules);
    this.#signal = options.signal ?? null;
  }

  /** Goes on from `state`: with `event`, or by waiting for the greeting. */
  run(state: OpeningState, event: OpeningEvent | null): Promise<OpeningState> {
    return new Promise((resolve) => {
      this.#state = state;
      this.#stop = resolve;
      this.#signal?.addEventListener("abort", this.#abort, { once: true });
      this.connection.begin(this);
      if (event === null) this.connection.expect("greeting");
      else this.#act(stepOpening(this.#rules, state, event));
      this.connection.attach();
    });
  }

  /** The stream, for the handshake. Only after `run` came back in phase "handshake". */
  released(): ClearStream {
    const stream = this.#released;
    if (stream === null || !isClear(stream)) throw new Error("no clear-text stream to upgrade");
    return stream;
  }

  reply(reply: Reply): void {
    this.#act(stepOpening(this.#rules, this.#state, { kind: "reply", reply }));
  }

  early(reply: Reply): void {
    const stage = this.#stage;
    if (reply.code === 421) this.connection.fail({ kind: "refused", stage, reply });
    else this.connection.fail({ kind: "protocol", stage, detail: "more replies than commands", problem: null });
  }

  interrupted(): void {
    const detail = "octets before the command they answer";
    this.connection.fail({ kind: "protocol", stage: this.#stage, detail, problem: null });
  }

  drained(): void {}

  broken(problem: ClientProblem): void {
    this.#finish({ phase: "failed", problem });
  }

  #act({ state, action }: OpeningStep): void {
    this.#state = state;
    switch (action.kind) {
      case "send":
        this.#stage = action.stage;
        this.connection.send([action]);
        return;
      case "upgrade":
        // Octets beyond the 220 are an injection: the connection is about to fail (RFC 3207 §5).
        if (!this.connection.open) return;
        this.#stage = "handshake";
        this.#released = this.connection.release();
        this.#finish(state);
        return;
      case "stop":
        this.#conclude(state);
        return;
    }
  }

  #conclude(state: OpeningState): void {
    if (state.phase === "failed") {
      // A server that refused gets its QUIT; one that talks something else, or is leaving, gets nothing more.
      const { problem } = state;
      if (problem.kind === "protocol" || (problem.kind === "refused" && problem.reply.code === 421)) {
        this.connection.destroy();
      } else {
        this.connection.leave(true);
      }
    } else if (this.connection.open) {
      this.connection.finish();
    } else {
      return;
    }
    this.#finish(state);
  }

  #finish(state: OpeningState): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#stop(state);
  }
}

function isClear(stream: Stream): stream is ClearStream {
  return stream.tls === null;
}

function wanted(log: Log | undefined): Log | null {
  return log === undefined || log === silentLog ? null : log;
}
