import { err, ok, type Result } from "../base/index.ts";
import { ProxyHeaderDecoder, type ProxyHeaderProblem } from "./proxy-header.ts";
import { relayedStream, releaseSocket } from "./socket-stream.ts";
import type { ClearStream, NetProblem } from "./stream.ts";

/**
 * Reads the PROXY header that a trusted proxy sends first, and gives the stream behind it: its `peer` is the real client and
 * its `local` the address that the client called, unless the proxy speaks for itself. Nothing is written before the header
 * is whole; octets behind it are the new stream's, which can be upgraded to TLS like any other. `stream` is consumed, and
 * closed on a problem: no header or a broken one ("other"), none within `timeout` milliseconds ("timeout"), or the proxy left.
 */
export function readProxyHeader(stream: ClearStream, timeout: number): Promise<Result<ClearStream, NetProblem>> {
  return new Promise((resolve) => {
    const decoder = new ProxyHeaderDecoder();
    const settle = (result: Result<ClearStream, NetProblem>): void => {
      clearTimeout(deadline);
      if (!result.ok) stream.destroy();
      resolve(result);
    };
    const fail = (kind: NetProblem["kind"], detail: string): void => settle(err({ kind, detail }));
    const deadline = setTimeout(() => fail("timeout", `no whole PROXY header came within ${timeout} ms`), timeout);
    stream.attach({
      data(bytes) {
        const pushed = decoder.push(bytes);
        if (!pushed.ok) return fail("other", TEXTS[pushed.error]);
        if (pushed.value === null) return;
        const { header, rest } = pushed.value;
        const ends = header.kind === "local" ? stream : { peer: header.client, local: header.destination };
        settle(behindHeader(stream, rest, ends));
      },
      drained() {},
      ended: () => fail("reset", "the proxy ended the connection before its header was whole"),
      closed: (problem) => settle(err(problem ?? { kind: "reset", detail: "the proxy closed the connection" })),
    });
  });
}

const TEXTS: Readonly<Record<ProxyHeaderProblem, string>> = {
  noHeader: "the first octets are no PROXY header",
  tooLong: "the PROXY header is too long",
  syntax: "the PROXY header is malformed",
  checksum: "the checksum of the PROXY header is wrong",
};

/** A new stream over the same socket, with nothing of the one that read the header. */
function behindHeader(
  stream: ClearStream,
  rest: Uint8Array,
  ends: Pick<ClearStream, "peer" | "local">,
): Result<ClearStream, NetProblem> {
  const socket = releaseSocket(stream);
  if (socket === null) return err({ kind: "other", detail: "only a network connection can have a PROXY header" });
  // Whoever takes the socket next finds them first: a handler in clear text, or the handshake of TLS.
  if (rest.length > 0) socket.unshift(rest);
  return ok(relayedStream(socket, { peer: ends.peer, local: ends.local }));
}
