import type { Result } from "../base/result.ts";
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

/** Opens a TCP connection (TCP_NODELAY set). The stream is paused until attached. */
export declare function connect(options: ConnectOptions): Promise<Result<ClearStream, NetProblem>>;
