import { createServer, type Server } from "node:net";
import { err, ok, type Result } from "../base/index.ts";
import { netProblem } from "./problem.ts";
import { clearStream } from "./socket-stream.ts";
import type { ClearStream, Endpoint, NetProblem } from "./stream.ts";

export interface ListenOptions {
  readonly address: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly backlog?: number;
  readonly reusePort?: boolean;
  /** A new connection, paused until attached. TCP_NODELAY is set. */
  readonly onStream: (stream: ClearStream) => void;
  /** A connection could not be taken (no file descriptors are left); the listener goes on. */
  readonly onProblem?: (problem: NetProblem) => void;
}

export interface Listener {
  readonly local: Endpoint;
  /** Takes no more connections; running ones stay. Resolves when the port is free. */
  close(): Promise<void>;
}

/**
 * Where a burst is longer than this, Linux answers some of those connections and then forgets them: their clients wait for a greeting
 * that never comes (RFC 5321 §3.1 has them wait). The system may allow less (`net.core.somaxconn`, 4096 in Linux).
 */
const DEFAULT_BACKLOG = 4096;

/** Begins to listen on a TCP port. Problem kinds: "addressInUse", "addressUnavailable", "permission", "other". */
export function listen(options: ListenOptions): Promise<Result<Listener, NetProblem>> {
  // Paused on connect, so that a stream nobody attached to, or that waits for its upgrade, leaves its octets to the kernel.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    const stream = clearStream(socket);
    if (stream === null) socket.destroy();
    else options.onStream(stream);
  });
  const { address: host, port, backlog = DEFAULT_BACKLOG, reusePort = false } = options;
  return new Promise((resolve) => {
    const failed = (error: Error): void => resolve(err(netProblem(error)));
    server.once("error", failed);
    server.listen({ host, port, backlog, reusePort }, () => {
      server.off("error", failed);
      server.on("error", (error) => options.onProblem?.(netProblem(error)));
      resolve(ok(listenerOf(server)));
    });
  });
}

/** One of several listeners that could not begin. */
export interface ListenProblem<Wanted> {
  readonly listener: Wanted;
  readonly problem: NetProblem;
}

/** Begins to listen for each of `wanted`, or for none. `open`: in place of `listen`, for tests without sockets. */
export async function listenAll<Wanted>(
  wanted: readonly Wanted[],
  optionsOf: (listener: Wanted, at: number) => ListenOptions,
  open: typeof listen = listen,
): Promise<Result<readonly Listener[], ListenProblem<Wanted>>> {
  const opened: Listener[] = [];
  for (const [at, listener] of wanted.entries()) {
    const listening = await open(optionsOf(listener, at));
    if (!listening.ok) {
      await Promise.all(opened.map((other) => other.close()));
      return err({ listener, problem: listening.error });
    }
    opened.push(listening.value);
  }
  return ok(opened);
}

function listenerOf(server: Server): Listener {
  const bound = server.address();
  // A string is the path of a pipe, and we never listen on one.
  if (bound === null || typeof bound === "string") throw new Error("a listening TCP server has no port");
  return {
    local: { address: bound.address, port: bound.port },
    close: () => {
      // The callback of `close` would wait for all running connections; the port is free as soon as the handle is closed.
      server.close();
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
}
