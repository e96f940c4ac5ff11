import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { encode } from "dns-packet";
import { createResolver } from "./dns.ts";
import type { DnsAnswer } from "./resolver.ts";

const LOOPBACK = "127.0.0.1";
const TRUNCATED = 0x02;

/** The answer to a query in octets, under its id. */
function answer(query: Uint8Array): Buffer {
  const id = ((query[0] ?? 0) << 8) | (query[1] ?? 0);
  return encode({
    type: "response",
    id,
    questions: [{ type: "A", name: "a.test" }],
    answers: [{ type: "A", name: "a.test", ttl: 60, data: "192.0.2.1" }],
  });
}

function withOtherId(message: Buffer): Buffer {
  const copy = Buffer.from(message);
  copy[0] = (copy[0] ?? 0) ^ 0xff;
  return copy;
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 0xff), message]);
}

interface Manner {
  /** Datagrams in answer to a query. */
  readonly udp: (query: Uint8Array) => readonly Uint8Array[];
  /** What to do with a connection that has sent a query; null where nobody listens. */
  readonly tcp: ((query: Uint8Array, socket: Socket) => void) | null;
}

const truncated: Manner["udp"] = (query) => {
  const message = answer(query);
  message[2] = (message[2] ?? 0) | TRUNCATED;
  return [message];
};

/** Milliseconds for a server that will not answer, */
const SHORT = 250;
/** for one whose garbage has to arrive before they are over, */
const AMPLE = 1000;
/** and for one that answers, on a machine as busy as may be. */
const PATIENT = 20_000;

/** How a lookup of a.test ends with a server of this manner, in brief. */
async function outcome({ udp, tcp }: Manner, timeout: number = PATIENT): Promise<string> {
  await using resources = new AsyncDisposableStack();
  const server = createServer((socket) => {
    socket.on("error", () => {}).on("data", (bytes) => tcp?.(bytes.subarray(2), socket));
    resources.defer(() => void socket.destroy());
  }).listen(0, LOOPBACK);
  resources.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  await once(server, "listening");
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  if (tcp === null) server.close();
  const socket = createSocket("udp4").bind(port, LOOPBACK);
  resources.defer(() => void socket.close());
  await once(socket, "listening");
  socket.on("message", (query, from) => {
    for (const datagram of udp(query)) socket.send(datagram, from.port, from.address);
  });
  const dns = createResolver({ servers: [`${LOOPBACK}:${port}`], timeout, attempts: 1 });
  return brief(await dns.addresses("a.test", 4));
}

function brief(found: DnsAnswer<string>): string {
  if (found.kind === "failed") return found.reason;
  return found.kind === "found" ? found.records.join() : found.kind;
}

test("forged datagrams before the true one are passed over", async () => {
  const garbage = Buffer.from("no message");
  const forged = (query: Uint8Array) => withOtherId(answer(query));
  assert.equal(
    await outcome({ udp: (query) => [forged(query), garbage, forged(query), answer(query)], tcp: null }),
    "192.0.2.1",
  );
  assert.equal(await outcome({ udp: (query) => [forged(query)], tcp: null }, SHORT), "timeout");
  assert.equal(await outcome({ udp: () => [garbage], tcp: null }, AMPLE), "malformed");
});

test("a query by UDP that comes back is no answer", async () => {
  assert.equal(await outcome({ udp: (query) => [query], tcp: null }, SHORT), "timeout");
});

test("by TCP an answer may come in any pieces", async () => {
  const tcp: Manner["tcp"] = async (query, socket) => {
    for (const octet of framed(answer(query))) {
      socket.write(Uint8Array.of(octet));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  assert.equal(await outcome({ udp: truncated, tcp }), "192.0.2.1");
  const closing: Manner["tcp"] = (query, socket) => socket.end(framed(answer(query)));
  assert.equal(await outcome({ udp: truncated, tcp: closing }), "192.0.2.1");
});

test("by TCP all but the answer is a failure: cut off, another's, truncated again, garbage, silence, nobody there", async () => {
  const says = (bytes: (query: Uint8Array) => Uint8Array): Manner["tcp"] => {
    return (query, socket) => void socket.end(bytes(query));
  };
  const cases: readonly (readonly [reason: string, tcp: Manner["tcp"]])[] = [
    ["malformed", says((query) => framed(answer(query)).subarray(0, 20))],
    ["malformed", says(() => new Uint8Array(0))],
    ["malformed", says((query) => framed(withOtherId(answer(query))))],
    ["malformed", says((query) => framed(truncated(query)[0] ?? new Uint8Array(0)))],
    ["malformed", says(() => framed(Buffer.from("no message")))],
    ["malformed", says(() => Uint8Array.of(0, 0))],
    ["timeout", () => {}],
    ["timeout", (query, socket) => void socket.write(framed(answer(query)).subarray(0, 20))],
    ["unreachable", null],
  ];
  for (const [at, [reason, tcp]] of cases.entries())
    assert.equal(await outcome({ udp: truncated, tcp }, reason === "timeout" ? SHORT : PATIENT), reason, `${at}`);
});
