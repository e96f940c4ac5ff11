import { type Clock, type Log, mathRandom, ok, type Random, type Result, silentLog } from "../base/index.ts";
import {
  type ClearStream,
  type Endpoint,
  type Listener,
  type ListenOptions,
  type ListenProblem,
  type listen,
  listenAll,
  type NetProblem,
  readProxyHeader,
  systemClock,
} from "../net/index.ts";
import { type Domain, parseDomain } from "../smtp/index.ts";
import { Admission, type Place } from "./admission.ts";
import { Connection } from "./connection.ts";
import { events } from "./events.ts";
import { defaultLimits, type ServerLimits } from "./limits.ts";
import type { Policy } from "./policy.ts";
import * as replies from "./replies.ts";
import { certified, type Service, speaksForOthers } from "./service.ts";
import { sessionIds } from "./session-id.ts";
import { turnAway } from "./turn-away.ts";
import { type ServiceTls, Upgrades } from "./upgrades.ts";

export interface ListenerOptions extends Service {
  /** An IP address of this machine, or `0.0.0.0` or `::` for all. */
  readonly address: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Several processes may share the port. */
  readonly reusePort?: boolean;
}

export interface ServerOptions {
  /** The name in the greeting and in EHLO. */
  readonly hostname: string;
  readonly listeners: readonly ListenerOptions[];
  /** Decides for every listener that has no policy of its own. */
  readonly policy: Policy;
  /** Without it STARTTLS answers 454, and "implicit" cannot be served. */
  readonly tls?: ServiceTls;
  /** Opens listeners; default over the network. For tests without sockets. */
  readonly listen?: typeof listen;
  /** What differs from `defaultLimits`. */
  readonly limits?: Partial<ServerLimits>;
  readonly log?: Log;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A listener that could not begin. */
export type StartProblem = ListenProblem<ListenerOptions>;

export interface Server {
  /** Opens every listener, or none. The endpoints stand in the order of `listeners`. */
  start(): Promise<Result<readonly Endpoint[], StartProblem>>;
  /** Serves a connection that came some other way: handed over, or in memory. The limits count it like any other. */
  serve(stream: ClearStream, service: Service): void;
  /** Connections now open. */
  readonly connections: number;
  /**
   * From the next connection on: what differs from `defaultLimits`, and how each listener is served, in the order of `listeners`. Their
   * ports stay as they are, and so do the connections that are open. Throws as `createServer` does.
   */
  renew(next: { readonly limits: Partial<ServerLimits>; readonly services: readonly Service[] }): void;
  /**
   * Takes no more connections, tells idle clients 421 at once and the others after their transaction; what is still open
   * after `grace` milliseconds (default 10,000) is cut. Resolves when all is closed.
   */
  stop(options?: { readonly grace?: number }): Promise<void>;
}

/**
 * A server for SMTP. Throws on options that are wrong: a hostname that is no domain, a certificate that cannot be read, an
 * "implicit" listener without one, LMTP on port 25.
 *
 * ```ts
 * const server = createServer({
 *   hostname: "mx.example.org",
 *   listeners: [{ address: "127.0.0.1", port: 2525, tls: "starttls" }],
 *   tls: { keyPairs: [{ certificate, privateKey }] },
 *   policy: definePolicy({ body: () => mySink() }),
 * });
 * const started = await server.start();
 * if (!started.ok) throw new Error(started.error.problem.detail);
 * ```
 */
export function createServer(options: ServerOptions): Server {
  return new SmtpServer(options);
}

const GRACE = 10_000;

class SmtpServer implements Server {
  readonly #options: ServerOptions;
  readonly #hostname: Domain;
  #limits: ServerLimits;
  /** How each listener is served, in their order. */
  #services: readonly Service[];
  #upgrades: Upgrades;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #nextId: () => string;
  readonly #admission: Admission;
  readonly #connections = new Set<Connection>();
  /** Connections of proxies whose header has not come. */
  readonly #headers = new Set<ClearStream>();
  /** Connections that were refused and have not gone yet. */
  #leaving = 0;
  #listeners: readonly Listener[] = [];
  #stopping: Promise<void> | null = null;
  #emptied: (() => void) | null = null;

  constructor(options: ServerOptions) {
    const hostname = parseDomain(options.hostname);
    if (!hostname.ok) throw new TypeError(`hostname is not a domain name: ${options.hostname}`);
    this.#options = options;
    this.#hostname = hostname.value;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLog;
    this.#nextId = sessionIds(this.#clock, options.random ?? mathRandom);
    this.#admission = new Admission(this.#limits);
    this.#upgrades = new Upgrades(options.tls, this.#limits.handshake);
    this.#services = certified(options.listeners, this.#upgrades);
    if (options.listeners.some(({ protocol, port }) => protocol === "lmtp" && port === 25)) {
      throw new TypeError("LMTP must not be served on port 25 (RFC 2033 §5)");
    }
  }

  get connections(): number {
    return this.#connections.size;
  }

  async start(): Promise<Result<readonly Endpoint[], StartProblem>> {
    const { listeners, listen: open } = this.#options;
    const optionsOf = (listener: ListenerOptions, at: number): ListenOptions => {
      const { address, port, reusePort = false } = listener;
      const onStream = (stream: ClearStream) => this.serve(stream, this.#services[at] ?? listener);
      const log = this.#logOf(listener);
      const onProblem = ({ kind, detail }: NetProblem) => log.error(events.notTaken, { address, kind, detail });
      return { address, port, reusePort, onStream, onProblem };
    };
    const opened = await listenAll(listeners, optionsOf, open);
    if (!opened.ok) return opened;
    this.#listeners = opened.value;
    return ok(opened.value.map(({ local }) => local));
  }

  renew({ limits, services }: Parameters<Server["renew"]>[0]): void {
    const next = { ...defaultLimits, ...limits };
    // Handshakes have a limit too.
    const upgrades = new Upgrades(this.#options.tls, next.handshake);
    this.#services = certified(services, upgrades);
    this.#upgrades = upgrades;
    this.#limits = next;
    this.#admission.renew(next);
  }

  serve(stream: ClearStream, service: Service): void {
    if (this.#stopping !== null) {
      this.#turnAway(stream, service, replies.shuttingDown);
      return;
    }
    if (service.proxy?.(stream.peer.address) === true) return void this.#serveProxied(stream, service);
    // Who brings the clients of many is counted in all only, and each client by its own address when it is named.
    const place = this.#admission.enter(speaksForOthers(service, stream) ? null : stream.peer.address);
    if (place === null) this.#turnAwayCrowd(stream, service);
    else this.#connect(stream, service, place, null);
  }

  /** Until its header is read, a proxied connection is nobody's: it counts in all only, and a stop ends it. */
  async #serveProxied(stream: ClearStream, service: Service): Promise<void> {
    const place = this.#admission.enter(null);
    if (place === null) return this.#turnAwayCrowd(stream, service);
    const proxy = stream.peer.address;
    this.#headers.add(stream);
    const read = await readProxyHeader(stream, this.#limits.proxyHeader);
    this.#headers.delete(stream);
    if (!read.ok) {
      place.leave();
      this.#logOf(service).warn(events.proxyFailed, { proxy, kind: read.error.kind, detail: read.error.detail });
    } else if (this.#stopping !== null) {
      place.leave();
      this.#turnAway(read.value, service, replies.shuttingDown);
    } else if (!speaksForOthers(service, read.value) && !place.move(read.value.peer.address)) {
      place.leave();
      this.#turnAwayCrowd(read.value, service);
    } else this.#connect(read.value, service, place, proxy);
  }

  /** `proxy`: the address of the peer that brought it, null for one that came by itself. */
  #connect(stream: ClearStream, service: Service, place: Place, proxy: string | null): void {
    const sessionId = this.#nextId();
    const connection = new Connection({
      stream,
      sessionId,
      proxy,
      hostname: this.#hostname,
      mode: service.tls,
      protocol: service.protocol ?? "smtp",
      upgrade: this.#upgrades.of(service.serverTls),
      policy: service.policy ?? this.#options.policy,
      bareNewlines: service.bareNewlines ?? "refuse",
      refuseEarlyTalk: service.refuseEarlyTalk ?? true,
      requireCertificate: service.requireCertificate ?? false,
      mayIntroduce: speaksForOthers(service, stream),
      place,
      limits: this.#limits,
      clock: this.#clock,
      log: this.#logOf(service).child({ session: sessionId }),
      closed: this.#closed,
    });
    this.#connections.add(connection);
    connection.start();
  }

  readonly #closed = (connection: Connection): void => {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#emptied?.();
  };

  #logOf({ log }: Service): Log {
    return log ?? this.#log;
  }

  stop(options?: { readonly grace?: number }): Promise<void> {
    this.#stopping ??= this.#shutDown(options?.grace ?? GRACE);
    return this.#stopping;
  }

  async #shutDown(grace: number): Promise<void> {
    const released = this.#listeners.map((listener) => listener.close());
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    for (const stream of this.#headers) stream.destroy();
    for (const connection of [...this.#connections]) connection.stop();
    if (this.#connections.size > 0) {
      const timer = this.#clock.after(grace, () => this.#cut());
      await emptied;
      timer.cancel();
    }
    await Promise.all(released);
  }

  /** The grace is over. A connection in the middle of a handshake ends with it; nobody waits for that. */
  #cut(): void {
    for (const connection of [...this.#connections]) connection.destroy();
    this.#emptied?.();
  }

  #turnAwayCrowd(stream: ClearStream, service: Service): void {
    this.#logOf(service).warn(events.turnedAway, { peer: stream.peer.address });
    this.#turnAway(stream, service, replies.tooManyConnections);
  }

  /**
   * The cheapest refusal there is: no session, no policy. In implicit TLS even a reply would cost a handshake. As many as may be
   * served may be leaving; a flood beyond that gets no reply, or it would use up the file descriptors.
   */
  #turnAway(stream: ClearStream, service: Service, reply: typeof replies.tooManyConnections): void {
    if (service.tls === "implicit" || this.#leaving >= this.#limits.connections) {
      stream.destroy();
      return;
    }
    this.#leaving++;
    turnAway(stream, reply, this.#clock, this.#limits.linger, () => void this.#leaving--);
  }
}
