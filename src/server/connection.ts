import type { Clock, Log, Result } from "../base/index.ts";
import type { ClearStream, NetProblem, Stream } from "../net/index.ts";
import type { BareNewlines, Domain } from "../smtp/index.ts";
import { events } from "./events.ts";
import { Exchange, type ExchangeEnd } from "./exchange.ts";
import type { ServerLimits } from "./limits.ts";
import type { Client, Policy } from "./policy.ts";
import { openSession, rebornSession } from "./session.ts";
import type { SessionSettings, State } from "./state.ts";

/** When TLS begins: by command (RFC 3207), with the first octet (RFC 8314 §3.3), or never. */
export type TlsMode = "starttls" | "implicit" | "none";

/** Runs a handshake; `stream` is consumed. */
export type Upgrade = (stream: ClearStream) => Promise<Result<Stream, NetProblem>>;

export interface ConnectionOptions {
  readonly stream: ClearStream;
  readonly sessionId: string;
  /** The proxy that brought the client, null where it came by itself. */
  readonly proxy: string | null;
  readonly hostname: Domain;
  readonly mode: TlsMode;
  readonly protocol: SessionSettings["protocol"];
  /** Null where there is no certificate. */
  readonly upgrade: Upgrade | null;
  readonly policy: Policy;
  readonly bareNewlines: BareNewlines;
  readonly refuseEarlyTalk: boolean;
  readonly limits: ServerLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once, when the connection is gone. */
  readonly closed: () => void;
}

/**
 * One connection from its first octet to its last: an exchange in clear text, or TLS and an exchange in it, or both one after
 * the other with nothing carried over but the session id and the limits (RFC 3207 §4.2).
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #exchange: Exchange | null = null;
  #stopping = false;
  #destroyed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  start(): void {
    const { stream, mode, proxy, log } = this.#options;
    const { peer, local } = stream;
    log.info(events.opened, { peer: peer.address, port: peer.port, local: local.port, ...(proxy && { proxy }) });
    if (mode === "implicit") void this.#secure(stream, openSession);
    else this.#exchangeOver(stream, openSession(this.#settings(false)));
  }

  /** The server goes down: see `Exchange.stop`. During a handshake the session ends when it is done. */
  stop(): void {
    this.#stopping = true;
    this.#exchange?.stop();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#exchange?.destroy();
  }

  #settings(secure: boolean): SessionSettings {
    const { hostname, mode, protocol, upgrade, limits } = this.#options;
    const startTls = mode !== "starttls" ? "never" : upgrade === null ? "unavailable" : "offered";
    return { hostname, protocol, secure, startTls, limits };
  }

  #exchangeOver(stream: Stream, session: State): void {
    const { sessionId, policy, clock, log, limits, bareNewlines, refuseEarlyTalk } = this.#options;
    const client: Client = { sessionId, peer: stream.peer, local: stream.local, tls: stream.tls };
    const over = (end: ExchangeEnd) => this.#onOver(end);
    this.#exchange = new Exchange({
      stream,
      session,
      client,
      policy,
      clock,
      log,
      limits,
      bareNewlines,
      refuseEarlyTalk,
      over,
    });
    this.#exchange.start();
    if (this.#stopping) this.#exchange.stop();
  }

  #onOver(end: ExchangeEnd): void {
    this.#exchange = null;
    if (end.kind === "startTls") return void this.#secure(this.#options.stream, rebornSession);
    this.#closed(end.problem);
  }

  async #secure(stream: ClearStream, session: (settings: SessionSettings) => State): Promise<void> {
    const { upgrade, log } = this.#options;
    if (upgrade === null) {
      stream.destroy();
      return this.#closed(null);
    }
    const secured = await upgrade(stream);
    if (!secured.ok) {
      log.info(events.tlsFailed, { kind: secured.error.kind, detail: secured.error.detail });
      return this.#closed(secured.error);
    }
    const { tls } = secured.value;
    log.info(events.secured, { version: tls?.version, cipher: tls?.cipher, group: tls?.group });
    if (this.#destroyed) {
      secured.value.destroy();
      return this.#closed(null);
    }
    this.#exchangeOver(secured.value, session(this.#settings(true)));
  }

  #closed(problem: NetProblem | null): void {
    this.#options.log.info(events.closed, problem === null ? {} : { problem: problem.kind });
    this.#options.closed();
  }
}
