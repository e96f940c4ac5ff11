import { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { err, ok, type Result } from "../base/index.ts";
import { netProblem } from "./problem.ts";
import { releaseSocket } from "./socket-stream.ts";
import type { ClearStream, NetProblem, Stream } from "./stream.ts";

/** The socket out of a stream that is to be upgraded, with all that was written to it gone to the kernel. */
export function takeSocket(stream: ClearStream, timeout: number): Promise<Result<Socket, NetProblem>> {
  const socket = releaseSocket(stream);
  if (socket === null) {
    stream.destroy();
    return Promise.resolve(err({ kind: "tls", detail: "only a network connection can be upgraded to TLS" }));
  }
  if (socket.destroyed || !socket.writable) {
    socket.destroy();
    return Promise.resolve(err({ kind: "reset", detail: "the connection was closed before the TLS handshake" }));
  }
  if (socket.writableLength === 0) return Promise.resolve(ok(socket));
  // A clear-text write still waiting in Node would go out between the records of the handshake.
  return new Promise((resolve) => {
    const settle = (result: Result<Socket, NetProblem>): void => {
      clearTimeout(deadline);
      socket.off("drain", drained).off("close", closed);
      if (!result.ok) socket.destroy();
      resolve(result);
    };
    const drained = (): void => settle(ok(socket));
    const closed = (): void =>
      settle(err({ kind: "reset", detail: "the connection was closed before the TLS handshake" }));
    const deadline = setTimeout(() => settle(err(handshakeTimeout(timeout))), timeout);
    socket.on("drain", drained).on("close", closed);
    // `drain` comes only after a write that returned false; an empty write tells when the queue is out in any case.
    socket.write("", () => queueMicrotask(drained));
  });
}

/**
 * What TLS is given in one piece of the octets that were there before it. Node allocates its buffer for what comes from the network
 * at the first of them, and keeps it as long as the connection lasts: 64 KiB where libuv asks, 1 KiB where a piece fits it. It adds 16 KiB
 * to the small one as soon as more comes at once, so that bodies are not read in small pieces.
 */
const PIECE = 1000;

/**
 * Waits until the peer has sent something of its handshake, with the clear-text socket, so that the first allocation is ours to choose
 * (see `PIECE`), and nothing of OpenSSL is made for a peer that never begins. The octets wait in the socket.
 */
export function awaitFirstOctets(socket: Socket, timeout: number): Promise<Result<void, NetProblem>> {
  socket.read = readPiece;
  if (socket.readableLength > 0) return Promise.resolve(ok(undefined));
  return new Promise((resolve) => {
    let problem: NetProblem | null = null;
    const settle = (result: Result<void, NetProblem>): void => {
      clearTimeout(deadline);
      socket.off("readable", readable).off("error", failed).off("close", closed);
      if (!result.ok) socket.destroy();
      resolve(result);
    };
    const failed = (error: Error): void => {
      problem ??= netProblem(error);
    };
    const closed = (): void =>
      settle(err(problem ?? { kind: "reset", detail: "the peer closed the connection during the TLS handshake" }));
    // At the end of the input there is nothing to read.
    const readable = (): void => (socket.readableLength > 0 ? settle(ok(undefined)) : closed());
    const deadline = setTimeout(() => settle(err(handshakeTimeout(timeout))), timeout);
    socket.on("error", failed).on("close", closed).on("readable", readable);
  });
}

/** One function for all, so that their sockets keep one shape. */
function readPiece(this: Socket, size?: number): unknown {
  return Socket.prototype.read.call(this, size ?? (Math.min(PIECE, this.readableLength) || undefined));
}

export interface Handshake {
  readonly socket: TLSSocket;
  /** The event of Node that ends it: of a client once its own checks are done. */
  readonly event: "secure" | "secureConnect";
  readonly timeout: number;
  /** Gives it up. */
  readonly signal?: AbortSignal | undefined;
  /** Looks at what was proved, and makes the stream. Called in the event itself, so that no later event is missed. */
  readonly finish: () => Result<Stream, NetProblem>;
  /** Whether the peer has sent an octet of it; asked when it breaks off. Default: not of interest. */
  readonly heard?: () => boolean;
}

/** Waits for a handshake; whatever ends it badly closes the connection. */
export function runHandshake({
  socket,
  event,
  timeout,
  signal,
  finish,
  heard,
}: Handshake): Promise<Result<Stream, NetProblem>> {
  return new Promise((resolve) => {
    let problem: NetProblem | null = null;
    // Nothing of the handshake stays at the socket, so that it can be forgotten as long as the connection lasts; before the stream
    // adds its own listeners, because a third one of an event makes Node's list grow for many.
    const release = (): void => {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", given);
      socket.off(event, secured).off("end", closed).off("close", closed).off("error", failed).off("_tlsError", failed);
    };
    const secured = (): void => {
      release();
      settle(finish());
    };
    const settle = (result: Result<Stream, NetProblem>): void => {
      if (result.ok) {
        resolve(result);
        return;
      }
      socket.on("error", ignore).destroy();
      resolve(err(markSilence(result.error, heard)));
    };
    const failed = (error: Error): void => {
      problem ??= handshakeProblem(error);
    };
    const fail = (result: NetProblem): void => {
      release();
      settle(err(result));
    };
    const closed = (): void =>
      fail(problem ?? { kind: "reset", detail: "the peer closed the connection during the TLS handshake" });
    const given = (): void => fail({ kind: "aborted", detail: "the TLS handshake was given up" });
    const deadline = setTimeout(() => fail(handshakeTimeout(timeout)), timeout);
    signal?.addEventListener("abort", given, { once: true });
    // The sockets are half-open by choice: a peer that only ends its side would otherwise be waited for until the deadline.
    socket.on(event, secured).on("end", closed).on("close", closed).on("error", failed).on("_tlsError", failed);
    socket.on("_tlsError", destroyWith);
    if (signal?.aborted === true) given();
  });
}

/** A server's TLSSocket tells its errors by an event of their own only, as long as no `tls.Server` has taken it over. */
function destroyWith(this: TLSSocket, error: Error): void {
  this.destroy(error);
}

/** A socket without a listener for errors throws. */
function ignore(): void {}

function markSilence(problem: NetProblem, heard: Handshake["heard"]): NetProblem {
  const brokeOff = problem.kind === "reset" || problem.kind === "timeout";
  return brokeOff && heard !== undefined && !heard() ? { ...problem, silent: true } : problem;
}

/** During a handshake every error that is not the network's is one of TLS, whatever code it carries. */
function handshakeProblem(error: Error): NetProblem {
  const problem = netProblem(error);
  return problem.kind === "other" ? { kind: "tls", detail: problem.detail } : problem;
}

function handshakeTimeout(timeout: number): NetProblem {
  return { kind: "timeout", detail: `the TLS handshake was not done within ${timeout} ms` };
}
