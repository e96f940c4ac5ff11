import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, connect as rawConnect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { loopbackPair, recordStream } from "../testing/index.ts";
import { connect } from "./connect.ts";
import { listen } from "./listen.ts";

const MEBIBYTE = 1024 * 1024;

describe("a stream over a socket", () => {
  test("knows both ends", async () => {
    const [near, far] = await loopbackPair();
    assert.deepEqual(near.local, far.peer);
    assert.deepEqual(near.peer, far.local);
    assert.equal(near.tls, null);
    near.destroy();
    far.destroy();
  });

  test("half-close: the other side still writes, then both are closed in order", async () => {
    const [near, far] = await loopbackPair();
    const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
    near.write(encodeUtf8("QUIT"));
    near.end();
    await farRecord.ended;
    far.write(encodeUtf8("221"));
    far.end();
    assert.equal(await nearRecord.closed, null);
    assert.equal(await farRecord.closed, null);
    assert.deepEqual(nearRecord.events, ["data", "ended", "closed"]);
    assert.deepEqual(farRecord.events, ["data", "ended", "closed"]);
    assert.equal(Buffer.from(nearRecord.bytes()).toString(), "221");
  });

  test("nothing flows before it is attached, nor while it is paused", async () => {
    const [near, far] = await loopbackPair();
    near.write(encodeUtf8("early"));
    await new Promise((resolve) => setTimeout(resolve, 30));
    const record = recordStream(far);
    await record.received(5);
    far.pause();
    near.write(encodeUtf8("later"));
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(record.bytes().length, 5);
    far.resume();
    await record.received(10);
    near.destroy();
    far.destroy();
  });

  test("back-pressure: a slow reader makes write say false, and drained comes when it reads", async () => {
    const [near, far] = await loopbackPair();
    const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
    far.pause();
    const piece = new Uint8Array(MEBIBYTE).fill(1);
    let total = 0;
    // Loopback buffers a few MiB before the kernel takes no more.
    do total += piece.length;
    while (near.write(piece) || near.unsent < MEBIBYTE);
    assert.ok(near.unsent >= MEBIBYTE);
    assert.deepEqual(nearRecord.events, []);
    far.resume();
    await nearRecord.drained;
    await farRecord.received(total);
    assert.equal(near.unsent, 0);
    near.end();
    far.end();
    assert.equal(await farRecord.closed, null);
  });

  test("writes between cork and uncork leave as one", async () => {
    const [near, far] = await loopbackPair();
    const pieces: number[] = [];
    const done = Promise.withResolvers<void>();
    far.attach({
      data(bytes) {
        pieces.push(bytes.length);
        if (pieces.reduce((sum, length) => sum + length) === 300) done.resolve();
      },
      drained() {},
      ended() {},
      closed() {},
    });
    near.cork();
    for (let count = 0; count < 100; count++) near.write(encodeUtf8("abc"));
    assert.equal(near.unsent, 300);
    near.uncork();
    await done.promise;
    assert.deepEqual(pieces, [300]);
    near.destroy();
    far.destroy();
  });

  test("a reset is a value, and writing afterwards harms nobody", async () => {
    const sockets = Promise.withResolvers<Socket>();
    const server = createServer(sockets.resolve).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port: address.port, timeout: 1000 }));
    const record = recordStream(stream);
    (await sockets.promise).resetAndDestroy();
    assert.equal((await record.closed)?.kind, "reset");
    assert.equal(stream.write(encodeUtf8("x")), false);
    stream.end();
    stream.destroy();
    server.close();
  });

  test("a stream destroyed before it is attached tells so", async () => {
    const [near, far] = await loopbackPair();
    near.destroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await recordStream(near).closed, null);
    far.destroy();
  });
});

describe("connect", () => {
  test("the next address is tried at once when one is refused", async () => {
    const listener = unwrap(
      await listen({ address: "127.0.0.1", port: 0, onStream: (stream) => void recordStream(stream) }),
    );
    const began = performance.now();
    const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];
    const stream = unwrap(await connect({ addresses, port: listener.local.port, timeout: 2000, stagger: 2000 }));
    assert.equal(stream.peer.address, "127.0.0.1");
    assert.ok(performance.now() - began < 1000);
    stream.destroy();
    await listener.close();
  });

  test("all refused: the problem of the first", async () => {
    const result = await connect({ addresses: ["127.0.0.1", "127.0.0.2"], port: 1, timeout: 1000 });
    assert.ok(!result.ok);
    assert.equal(result.error.kind, "refused");
    assert.ok(result.error.detail.includes("127.0.0.2"));
  });

  test("no address, a wrong local address and an abort are values", async () => {
    const none = await connect({ addresses: [], port: 25, timeout: 1000 });
    assert.equal(!none.ok && none.error.kind, "addressUnavailable");
    const wrong = await connect({ addresses: ["127.0.0.1"], port: 1, timeout: 1000, localAddress: "192.0.2.1" });
    assert.equal(!wrong.ok && wrong.error.kind, "addressUnavailable");
    const aborted = await connect({ addresses: ["127.0.0.1"], port: 1, timeout: 1000, signal: AbortSignal.abort() });
    assert.equal(!aborted.ok && aborted.error.kind, "aborted");
  });

  test("an attempt that is aborted while it runs", async () => {
    const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream: (stream) => stream.destroy() }));
    const controller = new AbortController();
    const { signal } = controller;
    const pending = connect({ addresses: ["127.0.0.1"], port: listener.local.port, timeout: 1000, signal });
    controller.abort();
    const result = await pending;
    assert.equal(!result.ok && result.error.kind, "aborted");
    await listener.close();
  });

  test("a host that does not answer: the next has its turn after the head start, and time runs out", async (context) => {
    const silent = await silentHost();
    if (silent === null) return context.skip("this kernel answers although the backlog is full");
    const listener = unwrap(
      await listen({ address: "127.0.0.1", port: silent.port, onStream: (stream) => stream.destroy() }),
    );
    const options = { port: silent.port, timeout: 200, stagger: 50 };
    const began = performance.now();
    const second = unwrap(await connect({ ...options, addresses: [silent.address, "127.0.0.1"] }));
    const took = performance.now() - began;
    assert.equal(second.peer.address, "127.0.0.1");
    assert.ok(took >= 45 && took < 190, `took ${took} ms`);
    second.destroy();
    const result = await connect({ ...options, addresses: [silent.address] });
    assert.equal(!result.ok && result.error.kind, "timeout");
    await listener.close();
    silent.close();
  });
});

/** A listener that never accepts and whose backlog is full: the kernel drops what comes. Null where it does not. */
async function silentHost(): Promise<{ address: string; port: number; close: () => void } | null> {
  const address = "127.0.0.4";
  const script = `const s = require("net").createServer().listen({ host: "${address}", port: 0, backlog: 1 }, () => {
    require("fs").writeSync(1, s.address().port + "\\n"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20000); });`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const port = Number(String(line).trim());
  const fillers: Socket[] = [];
  const close = (): void => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
  };
  for (let count = 0; count < 8; count++) {
    const filler = rawConnect(port, address).on("error", () => {});
    fillers.push(filler);
    const connected = await Promise.race([
      once(filler, "connect").then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 60, false)),
    ]);
    if (!connected) return { address, port, close };
  }
  close();
  return null;
}

describe("listen", () => {
  test("a port that is taken, an address that is not ours", async () => {
    const onStream = (): void => assert.fail("nobody connects");
    const first = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream }));
    const second = await listen({ address: "127.0.0.1", port: first.local.port, onStream });
    assert.equal(!second.ok && second.error.kind, "addressInUse");
    const foreign = await listen({ address: "192.0.2.1", port: 0, onStream });
    assert.equal(!foreign.ok && foreign.error.kind, "addressUnavailable");
    await first.close();
    const again = unwrap(await listen({ address: "127.0.0.1", port: first.local.port, onStream }));
    await again.close();
  });

  test("closing leaves running connections alone", async () => {
    const [near, far] = await loopbackPair();
    const record = recordStream(far);
    near.write(encodeUtf8("still here"));
    await record.received(10);
    near.destroy();
    far.destroy();
  });

  test("an IPv4 client of a listener on :: has a plain address", async () => {
    const peer = Promise.withResolvers<string>();
    const opened = await listen({
      address: "::",
      port: 0,
      onStream(stream) {
        peer.resolve(stream.peer.address);
        stream.destroy();
      },
    });
    // A machine without IPv6 has no such clients.
    if (!opened.ok) return assert.equal(opened.error.kind, "unreachable");
    const socket = rawConnect(opened.value.local.port, "127.0.0.1").on("error", () => {});
    assert.equal(await peer.promise, "127.0.0.1");
    socket.destroy();
    await opened.value.close();
  });
});
