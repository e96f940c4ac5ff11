import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { concatBytes, err, type Result } from "../base/index.ts";
import { type DnsMessage, parseMessage } from "./dns-message.ts";
import { netProblem } from "./problem.ts";
import type { Endpoint } from "./stream.ts";

export interface ExchangeProblem {
  readonly reason: "timeout" | "unreachable" | "malformed";
  readonly detail: string;
}

export interface Exchange {
  readonly server: Endpoint;
  readonly query: Uint8Array;
  /** Milliseconds. */
  readonly timeout: number;
  /** Ends the wait. */
  readonly signal: AbortSignal | null;
  /** True for the message that answers the query. Others that come by UDP are passed over: they may be forged. */
  readonly accept: (message: DnsMessage) => boolean;
}

/**
 * Asks once by UDP, from a socket and so from a port of its own, whose number together with the id a forger has to guess
 * (RFC 5452 §9). The socket is connected: the kernel drops what others than the server send.
 */
export function exchangeUdp({
  server,
  query,
  timeout,
  signal,
  accept,
}: Exchange): Promise<Result<DnsMessage, ExchangeProblem>> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.address) ? "udp6" : "udp4");
    let malformed: string | null = null;
    const settle = (result: Result<DnsMessage, ExchangeProblem>): void => {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", stop);
      // A socket that is still connecting cannot be closed twice, and errors after the end are of no interest.
      socket.removeAllListeners().on("error", () => {});
      socket.close();
      resolve(result);
    };
    const stop = (): void => settle(err(closing(server)));
    const deadline = setTimeout(() => {
      if (malformed === null) settle(err(timedOut(server, timeout)));
      else
        settle(err({ reason: "malformed", detail: `${place(server)} answered with a message that is ${malformed}` }));
    }, timeout);
    socket.on("error", (error) => settle(err(unreachable(server, error))));
    socket.on("message", (bytes) => {
      const message = parseMessage(bytes);
      if (!message.ok) malformed = message.error;
      else if (accept(message.value)) settle(message);
    });
    if (signal?.aborted === true) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    socket.connect(server.port, server.address, () => socket.send(query));
  });
}

/** Asks by TCP (RFC 7766). */
export function exchangeTcp({
  server,
  query,
  timeout,
  signal,
  accept,
}: Exchange): Promise<Result<DnsMessage, ExchangeProblem>> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.address, port: server.port, noDelay: true });
    const settle = (result: Result<DnsMessage, ExchangeProblem>): void => {
      clearTimeout(deadline);
      signal?.removeEventListener("abort", stop);
      socket.destroy();
      resolve(result);
    };
    const stop = (): void => settle(err(closing(server)));
    const malformed = (detail: string): void =>
      settle(err({ reason: "malformed", detail: `${place(server)} answered by TCP with ${detail}` }));
    const deadline = setTimeout(() => settle(err(timedOut(server, timeout))), timeout);
    let received: Uint8Array = new Uint8Array(0);
    socket.on("error", (error) => settle(err(unreachable(server, error))));
    socket.on("end", () => malformed("a message that was cut off"));
    socket.on("data", (bytes) => {
      received = concatBytes([received, bytes]);
      const [high, low] = received;
      if (high === undefined || low === undefined) return;
      // At most 64 KiB are kept, whatever the server sends: the length has no more room.
      const end = 2 + ((high << 8) | low);
      if (received.length < end) return;
      const message = parseMessage(received.subarray(2, end));
      if (!message.ok) malformed(`a message that is ${message.error}`);
      else if (message.value.truncated) malformed("a truncated message");
      else if (accept(message.value)) settle(message);
      else malformed("something that was not asked");
    });
    if (signal?.aborted === true) return stop();
    signal?.addEventListener("abort", stop, { once: true });
    socket.write(concatBytes([Uint8Array.of(query.length >> 8, query.length & 0xff), query]));
  });
}

function closing(server: Endpoint): ExchangeProblem {
  return { reason: "unreachable", detail: `${place(server)} was not waited for: the lookup was stopped` };
}

function timedOut(server: Endpoint, timeout: number): ExchangeProblem {
  return { reason: "timeout", detail: `${place(server)} did not answer within ${timeout} ms` };
}

function unreachable(server: Endpoint, error: Error): ExchangeProblem {
  return { reason: "unreachable", detail: `${place(server)}: ${netProblem(error).detail}` };
}

function place({ address, port }: Endpoint): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
