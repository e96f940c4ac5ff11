import type { Result } from "../base/result.ts";
import type { ClearStream, Endpoint, NetProblem } from "./stream.ts";

export interface ListenOptions {
  readonly address: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly backlog?: number;
  readonly reusePort?: boolean;
  /** A new connection, paused until attached. TCP_NODELAY is set. */
  readonly onStream: (stream: ClearStream) => void;
}

export interface Listener {
  readonly local: Endpoint;
  /** Takes no more connections; running ones stay. Resolves when the port is free. */
  close(): Promise<void>;
}

export declare function listen(options: ListenOptions): Promise<Result<Listener, NetProblem>>;
