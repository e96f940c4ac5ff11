import type { Socket } from "node:net";
import { netProblem } from "./problem.ts";
import type { ClearStream, Endpoint, NetProblem, Stream, StreamHandler, TlsInfo } from "./stream.ts";

const owner = Symbol("the stream of a socket");

declare module "node:net" {
  interface Socket {
    /** Who is told of its events; the listeners are the same for all sockets, for closures of each would weigh on idle ones. */
    [owner]?: SocketEvents | undefined;
  }
}

interface SocketEvents {
  onData(bytes: Uint8Array): void;
  onDrain(): void;
  onEnd(): void;
  onError(error: Error): void;
  onClose(): void;
}

function onData(this: Socket, bytes: Uint8Array): void {
  this[owner]?.onData(bytes);
}

function onDrain(this: Socket): void {
  this[owner]?.onDrain();
}

function onEnd(this: Socket): void {
  this[owner]?.onEnd();
}

function onError(this: Socket, error: Error): void {
  this[owner]?.onError(error);
}

function onClose(this: Socket): void {
  this[owner]?.onClose();
}

/**
 * A `Stream` over a socket of Node. It listens to `data` itself (no piping, no iterator), so that an octet takes one call from
 * libuv to the decoder.
 *
 * The socket must have been made with `allowHalfOpen`, and must not be flowing.
 */
class SocketStream<Tls extends TlsInfo | null> implements Stream, SocketEvents {
  readonly peer: Endpoint;
  readonly local: Endpoint;
  readonly tls: Tls;
  readonly #socket: Socket;
  #handler: StreamHandler | null = null;
  #problem: NetProblem | null = null;
  #ended = false;
  #closed = false;
  #released = false;

  constructor(socket: Socket, ends: { readonly peer: Endpoint; readonly local: Endpoint }, tls: Tls) {
    this.peer = ends.peer;
    this.local = ends.local;
    this.tls = tls;
    this.#socket = socket;
    socket[owner] = this;
    socket.on("error", onError).on("end", onEnd).on("close", onClose);
  }

  attach(handler: StreamHandler): void {
    if (this.#released) return;
    const first = this.#handler === null;
    this.#handler = handler;
    if (!first) return;
    if (this.#ended || this.#closed) {
      queueMicrotask(() => this.#tellMissed());
      return;
    }
    this.#socket.on("data", onData).on("drain", onDrain).resume();
  }

  write(bytes: Uint8Array): boolean {
    // A write after our end or after the close would be an error of Node's; the handler learns of it by `closed`.
    if (!this.#socket.writable || this.#released) return false;
    return this.#socket.write(bytes);
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    if (!this.#released) this.#socket.pause();
  }

  resume(): void {
    if (!this.#released && this.#handler !== null) this.#socket.resume();
  }

  end(): void {
    if (this.#released) return;
    this.#socket.end();
    // A socket whose input is never read to its end is never closed.
    if (this.#handler !== null) this.#socket.resume();
  }

  destroy(): void {
    if (!this.#released) this.#socket.destroy();
  }

  cork(): void {
    if (!this.#released) this.#socket.cork();
  }

  uncork(): void {
    if (!this.#released) this.#socket.uncork();
  }

  /** Gives the socket away, paused and with none of our listeners; from then on this stream does nothing. */
  release(): Socket {
    const socket = this.#socket;
    socket.pause();
    // The listener for errors stays: a socket without one throws, and a reset may come at any time. It tells nobody.
    socket.off("data", onData).off("drain", onDrain).off("end", onEnd).off("close", onClose);
    socket[owner] = undefined;
    while (socket.writableCorked > 0) socket.uncork();
    this.#released = true;
    this.#handler = null;
    return socket;
  }

  /** What happened before anyone was told: on a TLS socket, which reads by itself, even the end of an empty input. */
  #tellMissed(): void {
    this.#socket.on("drain", onDrain);
    if (this.#ended) this.#handler?.ended();
    if (this.#closed) this.#handler?.closed(this.#problem);
  }

  onData(bytes: Uint8Array): void {
    this.#handler?.data(bytes);
  }

  onDrain(): void {
    this.#handler?.drained();
  }

  onEnd(): void {
    this.#ended = true;
    this.#handler?.ended();
  }

  onError(error: Error): void {
    this.#problem ??= netProblem(error);
  }

  onClose(): void {
    this.#closed = true;
    this.#handler?.closed(this.#problem);
  }
}

/** A clear-text stream over a connected socket, or null where the connection is already gone. */
export function clearStream(socket: Socket): ClearStream | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return null;
  return new SocketStream(
    socket,
    {
      peer: { address: plainAddress(remoteAddress), port: remotePort },
      local: { address: plainAddress(localAddress ?? ""), port: localPort ?? 0 },
    },
    null,
  );
}

/** A clear-text stream over a socket that was released, between ends that another told. */
export function relayedStream(
  socket: Socket,
  ends: { readonly peer: Endpoint; readonly local: Endpoint },
): ClearStream {
  return new SocketStream(socket, ends, null);
}

/** A stream over a TLS socket whose handshake is done. `below` is the clear-text stream it was made from. */
export function tlsStream(socket: Socket, below: ClearStream, tls: TlsInfo): Stream {
  return new SocketStream(socket, below, tls);
}

/** Takes the socket out of a clear-text stream for an upgrade; null for a stream that is not made of one. */
export function releaseSocket(stream: ClearStream): Socket | null {
  return stream instanceof SocketStream ? stream.release() : null;
}

/** An IPv4 client of a socket that listens on `::` has a mapped address (RFC 4291 §2.5.5.2); rules are written for the plain one. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}
