import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { asError, type Clock, type Duration, type Log, ok, printable, type Result } from "../base/index.ts";
import {
  addressGroup,
  type ClearStream,
  duplexOf,
  type Endpoint,
  type Listener,
  type ListenProblem,
  listenAll,
  type ServerTls,
  type Stream,
  upgradeServer,
} from "../net/index.ts";
import { events } from "./events.ts";
import { type Answer, answerTo, type Page, plain } from "./page.ts";

export interface WebListener {
  readonly address: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** "none" for a proxy in front that does TLS. */
  readonly tls: "implicit" | "none";
}

export interface WebServerOptions {
  readonly listeners: readonly WebListener[];
  /** Null only where no listener has TLS. Must allow the ALPN id `http/1.1`. */
  readonly tls: ServerTls | null;
  /** Those of now; asked at each request. */
  readonly pages: () => readonly Page[];
  readonly clock: Clock;
  readonly log: Log;
}

export interface WebServer {
  /** Opens every listener, or none. The endpoints stand in the order of `listeners`. */
  start(): Promise<Result<readonly Endpoint[], ListenProblem<WebListener>>>;
  /** Takes no more connections, and cuts those that are open: whoever fetches a page asks again. */
  stop(): Promise<void>;
}

/** From the connection to the last octet of the answer, milliseconds. It is the guard against slow clients of every kind. */
const DEADLINE = 10_000;
const HANDSHAKE = 5000;
/** What a client gets to close its side after the answer. */
const LINGER = 2000;
/** Connections at once, in all and of one address (an IPv6 /64) where there is no proxy. */
const CONNECTIONS = 200;
const CONNECTIONS_PER_ADDRESS = 20;
/** Octets of a request line and header. */
const MAX_HEADER = 8 * 1024;

/** Serves pages. A connection gets one answer and is closed. Throws where a listener has TLS and there is no certificate. */
export function createWebServer(options: WebServerOptions): WebServer {
  if (options.tls === null && options.listeners.some(({ tls }) => tls === "implicit")) {
    throw new TypeError("a listener with TLS needs a certificate");
  }
  return new PageServer(options);
}

class PageServer implements WebServer {
  readonly #options: WebServerOptions;
  readonly #http: HttpServer;
  /** Open connections, with the address that each counts for. */
  readonly #open = new Map<{ destroy(): void }, string>();
  #listeners: readonly Listener[] = [];
  #stopped = false;

  constructor(options: WebServerOptions) {
    this.#options = options;
    // It never listens: connections are handed to it, so that certificates, sockets and their limits are the house's own.
    this.#http = createServer({ maxHeaderSize: MAX_HEADER, keepAlive: false, insecureHTTPParser: false });
    this.#http.on("request", (request, response) => void this.#answer(request, response));
    // Whoever would send a body first waits for 100, and is answered at once.
    this.#http.on("checkContinue", (request, response) => void this.#answer(request, response));
    this.#http.on("clientError", (error, duplex) => refuse(error, duplex));
  }

  async start(): ReturnType<WebServer["start"]> {
    const opened = await listenAll(this.#options.listeners, ({ address, port, tls }) => ({
      address,
      port,
      onStream: (stream) => void this.#take(stream, tls),
      onProblem: ({ kind, detail }) => this.#options.log.error(events.notTaken, { address, kind, detail }),
    }));
    if (!opened.ok) return opened;
    this.#listeners = opened.value;
    return ok(opened.value.map(({ local }) => local));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const closed = this.#listeners.map((listener) => listener.close());
    for (const connection of this.#open.keys()) connection.destroy();
    await Promise.all(closed);
  }

  async #take(clear: ClearStream, mode: WebListener["tls"]): Promise<void> {
    const peer = clear.peer.address;
    // Behind a proxy all clients have one address.
    if (!this.#mayEnter(mode === "none" ? null : peer)) {
      this.#options.log.warn(events.turnedAway, { peer });
      clear.destroy();
      return;
    }
    const leave = this.#enter(clear, peer);
    const begun = this.#options.clock.now();
    const stream = await this.#secured(clear, mode);
    leave();
    if (stream === null) return;
    if (this.#stopped) stream.destroy();
    else this.#serve(duplexOf(stream), peer, DEADLINE - (this.#options.clock.now() - begun));
  }

  async #secured(clear: ClearStream, mode: WebListener["tls"]): Promise<Stream | null> {
    const { tls, log } = this.#options;
    if (mode === "none" || tls === null) return clear;
    const secured = await upgradeServer(clear, tls, HANDSHAKE);
    if (secured.ok) return secured.value;
    const { kind, detail } = secured.error;
    log.debug(events.tlsFailed, { peer: clear.peer.address, kind, detail: printable(detail) });
    return null;
  }

  #serve(duplex: Duplex, peer: string, left: Duration): void {
    const leave = this.#enter(duplex, peer);
    const deadline = this.#options.clock.after(left, () => duplex.destroy());
    duplex.once("close", () => {
      deadline.cancel();
      leave();
    });
    duplex.on("error", () => {});
    this.#http.emit("connection", duplex);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pages, clock, log } = this.#options;
    const { method = "", url: target = "" } = request;
    const answer = await this.#answerOf({ pages: pages(), method, target, host: hostOf(request) });
    const { status, type, body, maxAge, allow } = answer;
    const peer = this.#open.get(request.socket) ?? "";
    log.debug(events.answered, {
      peer,
      host: answer.request?.host,
      path: printable(answer.request?.path ?? target, 120),
      status,
    });
    response.writeHead(status, {
      "content-type": type,
      "content-length": Buffer.byteLength(body),
      "cache-control": maxAge > 0 ? `max-age=${maxAge}` : "no-store",
      "x-content-type-options": "nosniff",
      connection: "close",
      ...(allow === null ? {} : { allow }),
    });
    response.on("finish", () => {
      const linger = clock.after(LINGER, () => request.socket.destroy());
      request.socket.once("close", () => linger.cancel());
    });
    response.end(method === "HEAD" ? undefined : body);
  }

  async #answerOf(asked: {
    pages: readonly Page[];
    method: string;
    target: string;
    host: string | null;
  }): Promise<Answer> {
    try {
      return await answerTo(asked.pages, asked);
    } catch (cause) {
      const err = asError(cause);
      this.#options.log.error(events.broken, { path: printable(asked.target, 120), err });
      return plain(500, "Internal error", null);
    }
  }

  #mayEnter(address: string | null): boolean {
    if (this.#stopped || this.#open.size >= CONNECTIONS) return false;
    if (address === null) return true;
    return !isCrowded(this.#open.values(), address);
  }

  #enter(connection: { destroy(): void }, address: string): () => void {
    this.#open.set(connection, address);
    return () => void this.#open.delete(connection);
  }
}

/**
 * Whether as many connections of an address are open as it may have. All of an IPv6 /64 are one, or one subscriber could be so many that
 * nobody else is answered.
 */
export function isCrowded(open: Iterable<string>, address: string): boolean {
  const group = addressGroup(address);
  let same = 0;
  for (const other of open) if (addressGroup(other) === group) same += 1;
  return same >= CONNECTIONS_PER_ADDRESS;
}

/** RFC 9112 §3.2: more than one is as bad as none. */
function hostOf({ headersDistinct }: IncomingMessage): string | null {
  const [host, ...more] = headersDistinct.host ?? [];
  return host === undefined || more.length > 0 ? null : host;
}

/** What is no HTTP, or too much of it. The parser is done with this connection. */
function refuse(error: Error, duplex: Duplex): void {
  if (!duplex.writable) {
    duplex.destroy();
    return;
  }
  const tooLarge = "code" in error && error.code === "HPE_HEADER_OVERFLOW";
  const status = tooLarge ? "431 Request Header Fields Too Large" : "400 Bad Request";
  duplex.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  duplex.resume();
}
