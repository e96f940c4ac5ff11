import { type Clock, type Log, printable } from "../base/index.ts";
import {
  type ChannelBindingType,
  type ClearStream,
  channelBinding,
  type NetProblem,
  type PeerCertificate,
  type Stream,
  type TlsInfo,
} from "../net/index.ts";
import type { BareNewlines, Domain, XclientAttributes } from "../smtp/index.ts";
import type { Place } from "./admission.ts";
import { events } from "./events.ts";
import { Exchange, type ExchangeEnd } from "./exchange.ts";
import { type Introduced, introducedBy } from "./introduction.ts";
import type { ServerLimits } from "./limits.ts";
import type { Client, Policy } from "./policy.ts";
import * as replies from "./replies.ts";
import type { TlsMode } from "./service.ts";
import { openSession, rebornSession } from "./session.ts";
import type { SessionSettings, State } from "./state.ts";
import { turnAway } from "./turn-away.ts";
import type { Upgrade } from "./upgrades.ts";

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
  /** Nothing leads on but TLS with a client certificate that is known. */
  readonly requireCertificate: boolean;
  /** The peer may say by XCLIENT for whom it speaks. */
  readonly mayIntroduce: boolean;
  /** Given back when the connection is gone. */
  readonly place: Place;
  readonly limits: ServerLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once, when the connection is gone. */
  readonly closed: (connection: Connection) => void;
}

const NOTHING_SAID: XclientAttributes = {};

/**
 * One connection from its first octet to its last: an exchange in clear text, or TLS and an exchange in it, or both one after
 * the other with nothing carried over but the session id and the limits (RFC 3207 §4.2).
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #exchange: Exchange | null = null;
  /** What a peer that speaks for others said of them so far. */
  #introduction: XclientAttributes = NOTHING_SAID;
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
    else this.#exchangeOver(stream, openSession(this.#settings(null)));
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

  #settings(tls: TlsInfo | null): SessionSettings {
    const { hostname, mode, protocol, upgrade, limits, mayIntroduce, requireCertificate } = this.#options;
    // Behind XCLIENT there is no way into TLS: what was said in clear text could not be kept, and the proxy's own address, which may
    // be allowed more, would come back in silence. A proxy that wants both secures the connection first.
    const able = mode === "starttls" && !this.#introduced;
    const startTls = !able ? "never" : upgrade === null ? "unavailable" : "offered";
    return {
      hostname,
      protocol,
      secure: tls !== null,
      startTls,
      limits,
      // Of the TLS session, so that a proxy shows its own and brings clients that have none.
      certificate: requireCertificate ? standing(tls) : "notRequired",
      xclient: mayIntroduce ? this.#introduction : null,
    };
  }

  get #introduced(): boolean {
    return this.#introduction !== NOTHING_SAID;
  }

  #exchangeOver(stream: Stream, session: State): void {
    const { sessionId, policy, clock, log, limits, bareNewlines, refuseEarlyTalk } = this.#options;
    const certificate = stream.tls?.peerCertificate?.identity ?? null;
    const { tls } = stream;
    const peer: Client = {
      ...{ sessionId, peer: stream.peer, local: stream.local, tls, certificate },
      ...(tls !== null && { channelBinding: (type) => (isKnown(type) ? channelBinding(stream, type) : null) }),
    };
    const introduced = this.#introduced;
    const exchange = new Exchange({
      stream,
      session,
      client: introduced ? introducedBy(peer, this.#introduction) : peer,
      policy,
      clock,
      log,
      // The client was greeted at the proxy, and what the proxy pipelines behind XCLIENT is no talk before the greeting.
      limits: introduced ? { ...limits, greetingDelay: 0 } : limits,
      bareNewlines,
      refuseEarlyTalk: refuseEarlyTalk && !introduced,
      over: (end) => this.#onOver(end, stream),
    });
    this.#exchange = exchange;
    exchange.start();
    if (this.#stopping) exchange.stop();
  }

  #onOver(end: ExchangeEnd, stream: Stream): void {
    this.#exchange = null;
    if (end.kind === "closed") this.#closed(end.problem);
    else if (end.kind === "startTls") void this.#secure(this.#options.stream, rebornSession);
    else this.#introduce(end, stream);
  }

  /** A session of the client that was named, with its greeting, over the same stream; nothing of the one before lives on. */
  #introduce({ attributes, rest, peerEnded }: Introduced, stream: Stream): void {
    const { clock, limits, log, place } = this.#options;
    this.#introduction = attributes;
    log.info(events.introduced, { by: stream.peer.address, ...attributes });
    const { address } = attributes;
    if (typeof address === "string" && !place.move(address)) {
      log.warn(events.turnedAway, { peer: address });
      turnAway(stream, replies.tooManyConnections, clock, limits.linger, () => this.#closed(null));
      return;
    }
    this.#exchangeOver(stream, openSession(this.#settings(stream.tls)));
    // A further XCLIENT in one piece ends this exchange too: what follows belongs to the one that is there by then.
    for (const bytes of rest) if (bytes.length > 0) this.#exchange?.data(bytes);
    if (peerEnded) this.#exchange?.ended();
    else stream.resume();
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
    log.info(events.secured, {
      version: tls?.version,
      cipher: tls?.cipher,
      group: tls?.group,
      ...certificateFacts(tls?.peerCertificate ?? null),
    });
    if (this.#destroyed) {
      secured.value.destroy();
      return this.#closed(null);
    }
    this.#exchangeOver(secured.value, session(this.#settings(tls)));
  }

  #closed(problem: NetProblem | null): void {
    this.#options.log.info(events.closed, problem === null ? {} : { problem: problem.kind });
    this.#options.place.leave();
    this.#options.closed(this);
  }
}

function isKnown(type: string): type is ChannelBindingType {
  return type === "tls-exporter" || type === "tls-server-end-point";
}

function standing(tls: TlsInfo | null): SessionSettings["certificate"] {
  if (tls === null) return "awaited";
  if (tls.peerCertificate === null) return "missing";
  return tls.peerCertificate.identity === undefined ? "unknown" : "known";
}

/** Enough to write a rule for a peer that is not known yet, or to see why the rule for one does not hold. */
function certificateFacts(shown: PeerCertificate | null): Readonly<Record<string, unknown>> {
  if (shown === null) return {};
  return {
    certificate: shown.identity ?? null,
    key: shown.spki256,
    subject: printable(shown.subject),
    names: shown.names.slice(0, MAX_LOGGED_NAMES).map((name) => printable(name)),
    ...(shown.problem === null ? {} : { certificateProblem: printable(shown.problem) }),
  };
}

/** What a certificate names is the peer's choice, and a line of the log is one write. */
const MAX_LOGGED_NAMES = 10;
