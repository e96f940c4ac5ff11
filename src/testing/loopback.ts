import { concatBytes, unwrap } from "../base/index.ts";
import { type ClearStream, connect, listen, type NetProblem, type Stream } from "../net/index.ts";

const CONNECT_TIMEOUT = 5000;

/** Two ends of a real TCP connection on loopback: the one that connected and the one that was accepted. */
export async function loopbackPair(): Promise<readonly [ClearStream, ClearStream]> {
  const accepted = Promise.withResolvers<ClearStream>();
  const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream: accepted.resolve }));
  const { port } = listener.local;
  const near = unwrap(await connect({ addresses: ["127.0.0.1"], port, timeout: CONNECT_TIMEOUT }));
  const far = await accepted.promise;
  await listener.close();
  return [near, far];
}

/** What a stream told. */
export interface StreamRecord {
  /** All octets so far. */
  bytes(): Uint8Array;
  /** Resolves when at least `count` octets have come. */
  received(count: number): Promise<void>;
  /** The events in order: `data` once for each run of it, `drained`, `ended`, `closed`. */
  readonly events: readonly string[];
  readonly drained: Promise<void>;
  readonly ended: Promise<void>;
  readonly closed: Promise<NetProblem | null>;
}

/** Attaches to a stream and keeps what it tells. */
export function recordStream(stream: Stream): StreamRecord {
  const parts: Uint8Array[] = [];
  const events: string[] = [];
  const drained = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<NetProblem | null>();
  let total = 0;
  const awaited = new Set<{ readonly count: number; readonly resolve: () => void }>();
  stream.attach({
    data(bytes) {
      parts.push(bytes);
      total += bytes.length;
      if (events.at(-1) !== "data") events.push("data");
      for (const waiter of awaited) if (total >= waiter.count) waiter.resolve();
    },
    drained() {
      events.push("drained");
      drained.resolve();
    },
    ended() {
      events.push("ended");
      ended.resolve();
    },
    closed(problem) {
      events.push("closed");
      closed.resolve(problem);
    },
  });
  return {
    bytes: () => concatBytes(parts),
    received: (count) =>
      new Promise((resolve) => {
        if (total >= count) resolve();
        else awaited.add({ count, resolve });
      }),
    events,
    drained: drained.promise,
    ended: ended.promise,
    closed: closed.promise,
  };
}
