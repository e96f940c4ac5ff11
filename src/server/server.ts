import { type Clock, type Log, mathRandom, ok, type Random, type Result, silentLog } from "../base/index.ts";
import {
  type ClearStream,
  type Endpoint,
  type Listener,
  listen,
  type NetProblem,
  readProxyHeader,
  ServerTls,
  type ServerTlsOptions,
  systemClock,
  upgradeServer,
} from "../net/index.ts";
import { type BareNewlines, type Domain, parseDomain } from "../smtp/index.ts";
import { Admission, type Place } from "./admission.ts";
import { Connection, type TlsMode, type Upgrade } from "./connection.ts";
import { events } from "./events.ts";
import { defaultLimits, type ServerLimits } from "./limits.ts";
import type { Policy } from "./policy.ts";
import * as replies from "./replies.ts";
import { sessionIds } from "./session-id.ts";
import { turnAway } from "./turn-away.ts";

/** Certificates, or a handshake of your own in place of Node's (a simulated one, for tests). */
export type ServiceTls = ServerTls | ServerTlsOptions | Upgrade;

/** How one kind of connection is served. */
export interface Service {
  readonly tls: TlsMode;
  /**
   * Default "smtp". "lmtp" is RFC 2033, for a program that delivers at once and keeps no queue: the client says LHLO, and the end of
   * data gets a reply for each recipient. Not for port 25, nor for anything but a local network (§5).
   */
  readonly protocol?: "smtp" | "lmtp";
  /** Its own certificates, client certificates and session tickets; default: the server's. */
  readonly serverTls?: ServiceTls;
  /**
   * Demand TLS and a client certificate that is known (`ServerTlsOptions.clientCertificates`): before TLS all but STARTTLS gets
   * 530, and inside TLS without one all but QUIT gets 554 (RFC 3207 §4.1). Default false. Not for a public MX, which must
   * not demand TLS (RFC 3207 §4).
   */
  readonly requireCertificate?: boolean;
  /** Default: the server's. */
  readonly policy?: Policy;
  /** What becomes of a CR or LF alone in a body; default "refuse". "repair" is for submission only. */
  readonly bareNewlines?: BareNewlines;
  /** Refuse a peer that talks before the greeting (RFC 5321 §3.1); default true. */
  readonly refuseEarlyTalk?: boolean;
  /**
   * Peers that are proxies, by their IP address: from them a PROXY header (version 1 or 2) is demanded before anything else,
   * and the client that it names is the client. From all others a header is junk. Default: nobody. See `inNetworks`.
   */
  readonly proxy?: (address: string) => boolean;
  /**
   * Peers that may say by XCLIENT (Postfix's extension) for whom they speak, by the IP address that they themselves have: who
   * the client is, and as whom it has authenticated, is believed. Offered to them alone. Default: nobody. See `inNetworks`.
   */
  readonly xclient?: (address: string) => boolean;
  /** Where its connections are told of; default: the server's. */
  readonly log?: Log;
}

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
export interface StartProblem {
  readonly listener: ListenerOptions;
  readonly problem: NetProblem;
}

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
  #upgrade: Upgrade | null;
  /** Of services with TLS of their own, made at the first use of each. */
  #upgrades = new WeakMap<ServiceTls, Upgrade | null>();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #nextId: () => string;
  readonly #admission: Admission;
  readonly #connections = new Set<Connection>();
  /** Connections of proxies whose header has not come. */
  readonly #headers = new Set<ClearStream>();
  /** Connections that were refused and have not gone yet. */
  #leaving = 0;
  #listeners: Listener[] = [];
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
    this.#upgrade = upgradeWith(options.tls, this.#limits.handshake);
    this.#services = this.#certified(options.listeners);
    if (options.listeners.some(({ protocol, port }) => protocol === "lmtp" && port === 25)) {
      throw new TypeError("LMTP must not be served on port 25 (RFC 2033 §5)");
    }
  }

  get connections(): number {
    return this.#connections.size;
  }

  async start(): Promise<Result<readonly Endpoint[], StartProblem>> {
    const opened: Listener[] = [];
    const open = this.#options.listen ?? listen;
    for (const [at, listener] of this.#options.listeners.entries()) {
      const { address, port, reusePort = false } = listener;
      const onStream = (stream: ClearStream) => this.serve(stream, this.#services[at] ?? listener);
      const log = this.#logOf(listener);
      const onProblem = ({ kind, detail }: NetProblem) => log.error(events.notTaken, { address, kind, detail });
      const listening = await open({ address, port, reusePort, onStream, onProblem });
      if (!listening.ok) {
        await Promise.all(opened.map((other) => other.close()));
        return { ok: false, error: { listener, problem: listening.error } };
      }
      opened.push(listening.value);
    }
    this.#listeners = opened;
    return ok(opened.map(({ local }) => local));
  }

  renew({ limits, services }: Parameters<Server["renew"]>[0]): void {
    const next = { ...defaultLimits, ...limits };
    // Handshakes have a limit too.
    this.#upgrades = new WeakMap();
    this.#upgrade = upgradeWith(this.#options.tls, next.handshake);
    this.#limits = next;
    this.#services = this.#certified(services);
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
      upgrade: this.#upgradeOf(service),
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

  /** Throws where one cannot be served as it asks. */
  #certified<Of extends Service>(services: readonly Of[]): readonly Of[] {
    for (const service of services) {
      if (service.tls === "implicit" && this.#upgradeOf(service) === null) {
        throw new TypeError("a listener with implicit TLS needs a certificate");
      }
    }
    return services;
  }

  #upgradeOf({ serverTls }: Service): Upgrade | null {
    if (serverTls === undefined) return this.#upgrade;
    const known = this.#upgrades.get(serverTls);
    if (known !== undefined) return known;
    const made = upgradeWith(serverTls, this.#limits.handshake);
    this.#upgrades.set(serverTls, made);
    return made;
  }

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

function speaksForOthers({ xclient }: Service, { peer }: ClearStream): boolean {
  return xclient?.(peer.address) === true;
}

function upgradeWith(tls: ServiceTls | undefined, timeout: number): Upgrade | null {
  if (tls === undefined) return null;
  if (typeof tls === "function") return tls;
  if (tls instanceof ServerTls) return (stream) => upgradeServer(stream, tls, timeout);
  const created = ServerTls.create(tls);
  if (!created.ok) throw new TypeError(created.error);
  return (stream) => upgradeServer(stream, created.value, timeout);
}
