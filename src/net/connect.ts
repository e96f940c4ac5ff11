import { type Socket, connect as startConnection } from "node:net";
import { err, ok, type Result } from "../base/index.ts";
import { netProblem } from "./problem.ts";
import { clearStream } from "./socket-stream.ts";
import type { ClearStream, NetProblem } from "./stream.ts";

export interface ConnectOptions {
  /** IP addresses in order of preference; the next is begun when one fails or after `stagger` (RFC 8305). At least one. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** For each address, milliseconds. */
  readonly timeout: number;
  /** Head start of an address over the next, milliseconds (default 250). */
  readonly stagger?: number;
  readonly localAddress?: string;
  readonly signal?: AbortSignal;
}

/** RFC 8305 §5: the recommended Connection Attempt Delay. */
const DEFAULT_STAGGER = 250;

/**
 * Opens a TCP connection (TCP_NODELAY set). The stream is paused until attached. When all addresses failed, the problem is that
 * of the first, the preferred one, and its detail tells the others.
 */
export function connect(options: ConnectOptions): Promise<Result<ClearStream, NetProblem>> {
  return new Promise((resolve) => new Race(options, resolve).start());
}

/** One run of "happy eyeballs": several attempts, one winner, and nothing left open when it is decided. */
class Race {
  readonly #options: ConnectOptions;
  readonly #resolve: (result: Result<ClearStream, NetProblem>) => void;
  readonly #running = new Set<Socket>();
  readonly #problems = new Map<string, NetProblem>();
  #next = 0;
  #stagger: NodeJS.Timeout | undefined;
  #decided = false;

  constructor(options: ConnectOptions, resolve: (result: Result<ClearStream, NetProblem>) => void) {
    this.#options = options;
    this.#resolve = resolve;
  }

  start(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      this.#onAbort();
      return;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#startNext();
  }

  /** Begins the attempt that is next in turn; the race is lost when none is left and none is running. */
  #startNext(): void {
    clearTimeout(this.#stagger);
    const address = this.#options.addresses[this.#next];
    if (address === undefined) {
      if (this.#running.size === 0) this.#decide(err(this.#summary()));
      return;
    }
    this.#next += 1;
    this.#attempt(address);
    if (this.#decided || this.#next >= this.#options.addresses.length) return;
    this.#stagger = setTimeout(() => this.#startNext(), this.#options.stagger ?? DEFAULT_STAGGER);
  }

  #attempt(address: string): void {
    const { port, timeout, localAddress } = this.#options;
    let socket: Socket;
    try {
      const local = localAddress === undefined ? {} : { localAddress };
      socket = startConnection({ host: address, port, ...local, allowHalfOpen: true, noDelay: true });
    } catch (error) {
      // Node throws on an argument it finds wrong (a local address that is none).
      this.#problems.set(address, netProblem(error));
      queueMicrotask(() => this.#startNext());
      return;
    }
    socket.pause();
    this.#running.add(socket);
    const expired = {
      kind: "timeout",
      detail: `no connection to ${address} port ${port} within ${timeout} ms`,
    } as const;
    const deadline = setTimeout(() => fail(expired), timeout);
    const fail = (problem: NetProblem): void => {
      clearTimeout(deadline);
      socket.destroy();
      if (!this.#running.delete(socket)) return;
      this.#problems.set(address, problem);
      this.#startNext();
    };
    socket.on("error", (error) => fail(netProblem(error)));
    socket.once("close", () => clearTimeout(deadline));
    socket.once("connect", () => {
      clearTimeout(deadline);
      const stream = clearStream(socket);
      if (stream === null) return fail({ kind: "reset", detail: "the connection was gone as soon as it was made" });
      this.#running.delete(socket);
      if (this.#decided) socket.destroy();
      else this.#decide(ok(stream));
    });
  }

  readonly #onAbort = (): void => {
    this.#decide(err({ kind: "aborted", detail: "the attempt to connect was given up" }));
  };

  #decide(result: Result<ClearStream, NetProblem>): void {
    if (this.#decided) return;
    this.#decided = true;
    clearTimeout(this.#stagger);
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const losers = [...this.#running];
    this.#running.clear();
    for (const loser of losers) loser.destroy();
    this.#resolve(result);
  }

  #summary(): NetProblem {
    const problems = this.#options.addresses.flatMap((address) => this.#problems.get(address) ?? []);
    const [first] = problems;
    if (first === undefined) return { kind: "addressUnavailable", detail: "no address to connect to" };
    return { kind: first.kind, detail: problems.map((problem) => problem.detail).join("; ") };
  }
}
