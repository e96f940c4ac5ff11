import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect as rawConnect, type Socket } from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { encodeUtf8, type Result, unwrap } from "../base/index.ts";
import { loopbackPair } from "../testing/index.ts";
import { makeCertificate } from "./certificate.ts";
import { listen } from "./listen.ts";
import type { NetProblem, Stream } from "./stream.ts";
import { ServerTls, upgradeServer } from "./tls-server.ts";

const serverTls = unwrap(ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })] }));

/** Passes on what a client sends to `port` in pieces of `size` octets, each on its own; answers go back as they are. */
async function cutter(port: number, size: number): Promise<{ port: number; close: () => void }> {
  const server = createServer((client) => {
    const far = rawConnect({ port, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, far]) socket.on("error", () => {});
    far.pipe(client);
    void passOn(client, far, size);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return { port: address.port, close: () => server.close() };
}

async function passOn(from: Socket, to: Socket, size: number): Promise<void> {
  for await (const chunk of from) {
    const bytes: Uint8Array = chunk;
    for (let at = 0; at < bytes.length; at += size) {
      to.write(bytes.subarray(at, at + size));
      await new Promise(setImmediate);
    }
  }
  to.end();
}

// 1000 is what TLS is given at once, and 1024 what Node's first buffer then holds.
for (const [size, octets] of [
  [1, 500],
  [999, 300_000],
  [1000, 300_000],
  [1001, 300_000],
  [1024, 300_000],
  [65_536, 3_000_000],
] as const) {
  test(`a handshake and ${octets} octets behind it, in pieces of ${size}`, async () => {
    const received = Promise.withResolvers<number>();
    const listener = unwrap(
      await listen({
        address: "127.0.0.1",
        port: 0,
        async onStream(clear) {
          const stream = unwrap(await upgradeServer(clear, serverTls, 5000));
          let sum = 0;
          stream.attach({
            data(bytes) {
              for (const octet of bytes) sum += octet;
            },
            drained() {},
            ended() {
              received.resolve(sum);
              stream.end();
            },
            closed() {},
          });
          stream.write(encodeUtf8("220 hello\r\n"));
        },
      }),
    );
    const cut = await cutter(listener.local.port, size);
    const client = tls.connect({ port: cut.port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(client, "data");
    const sent = new Uint8Array(octets).map((_, at) => at % 251);
    client.end(sent);
    assert.equal(
      await received.promise,
      sent.reduce((sum, octet) => sum + octet, 0),
    );
    client.destroy();
    cut.close();
    await listener.close();
  });
}

test("the first octet and the rest have one deadline together", async () => {
  const [near, far] = await loopbackPair();
  const start = performance.now();
  const upgrading: Promise<Result<Stream, NetProblem>> = upgradeServer(far, serverTls, 500);
  setTimeout(() => near.write(new Uint8Array([0x16])), 400);
  const result = await upgrading;
  assert.equal(result.ok ? "none" : result.error.kind, "timeout");
  assert.ok(performance.now() - start < 880, "no new deadline began with the first octet");
  near.destroy();
});

test("an octet that is no handshake, an end, and a reset before one are told as values", async () => {
  for (const [act, kind] of [
    [(near: Stream) => near.write(encodeUtf8("EHLO x\r\n")), "tls"],
    [(near: Stream) => near.end(), "reset"],
    [(near: Stream) => near.destroy(), "reset"],
  ] as const) {
    const [near, far] = await loopbackPair();
    const upgrading = upgradeServer(far, serverTls, 5000);
    act(near);
    const result = await upgrading;
    assert.equal(result.ok ? "none" : result.error.kind, kind);
    near.destroy();
  }
});
