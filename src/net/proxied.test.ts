import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { concatBytes, encodeUtf8, unwrap } from "../base/index.ts";
import { loopbackPair, memoryStreamPair, recordStream } from "../testing/index.ts";
import { makeCertificate } from "./certificate.ts";
import { readProxyHeader } from "./proxied.ts";
import { upgradeClient } from "./tls-client.ts";
import { ServerTls, upgradeServer } from "./tls-server.ts";

const TIMEOUT = 5000;
const HEADER = encodeUtf8("PROXY TCP4 192.0.2.1 198.51.100.25 4000 25\r\n");
const CLIENT = { address: "192.0.2.1", port: 4000 };
const CALLED = { address: "198.51.100.25", port: 25 };

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("a stream behind a PROXY header", () => {
  test("has the client's ends, and the octets behind the header come first and once", async () => {
    for (const rest of ["", "EHLO", "EHLO client.test\r\nNOOP\r\n".repeat(4000)]) {
      const [near, far] = await loopbackPair();
      near.write(concatBytes([HEADER, encodeUtf8(rest)]));
      const stream = unwrap(await readProxyHeader(far, TIMEOUT));
      assert.deepEqual([stream.peer, stream.local, stream.tls], [CLIENT, CALLED, null]);
      await turn();
      near.write(encodeUtf8("more"));
      const record = recordStream(stream);
      await record.received(rest.length + 4);
      assert.equal(Buffer.from(record.bytes()).toString(), `${rest}more`);
      stream.write(encodeUtf8("220"));
      await recordStream(near).received(3);
      near.destroy();
      stream.destroy();
    }
  });

  test("a header that comes octet by octet", async () => {
    const [near, far] = await loopbackPair();
    const reading = readProxyHeader(far, TIMEOUT);
    for (const octet of concatBytes([HEADER, encodeUtf8("rest")])) {
      near.write(Uint8Array.of(octet));
      await turn();
    }
    const stream = unwrap(await reading);
    assert.deepEqual(stream.peer, CLIENT);
    const record = recordStream(stream);
    await record.received(4);
    assert.equal(Buffer.from(record.bytes()).toString(), "rest");
    near.destroy();
    stream.destroy();
  });

  test("a proxy that speaks for itself keeps its own ends", async () => {
    const [near, far] = await loopbackPair();
    near.write(encodeUtf8("PROXY UNKNOWN\r\n"));
    const stream = unwrap(await readProxyHeader(far, TIMEOUT));
    assert.deepEqual([stream.peer, stream.local], [near.local, near.peer]);
    near.destroy();
    stream.destroy();
  });

  test("TLS begins behind it, the first records of the client in one piece with the header", async () => {
    const tls = unwrap(ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })] }));
    const [near, far] = await loopbackPair();
    // Corked, so that the ClientHello goes out together with the header.
    near.cork();
    near.write(HEADER);
    const client = upgradeClient(near, { serverName: "mx.test", verify: { kind: "nothing" }, timeout: TIMEOUT });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const server = unwrap(await upgradeServer(unwrap(await readProxyHeader(far, TIMEOUT)), tls, TIMEOUT));
    const secured = unwrap(await client);
    assert.deepEqual([server.peer, server.local], [CLIENT, CALLED]);
    assert.equal(server.tls?.version, "TLSv1.3");
    const record = recordStream(server);
    secured.write(encodeUtf8("EHLO"));
    await record.received(4);
    secured.destroy();
    server.destroy();
  });

  test("its end and its reset are told like any other's", async () => {
    const [near, far] = await loopbackPair();
    near.write(concatBytes([HEADER, encodeUtf8("QUIT")]));
    near.end();
    const stream = unwrap(await readProxyHeader(far, TIMEOUT));
    const record = recordStream(stream);
    await record.ended;
    assert.deepEqual(record.events, ["data", "ended"]);
    stream.write(encodeUtf8("221"));
    stream.end();
    assert.equal(await record.closed, null);
    near.destroy();
  });
});

describe("no stream without a header", () => {
  test("other octets, a broken header: closed, and not an octet said", async () => {
    for (const text of ["EHLO client.test\r\n", "PROXY TCP4 here there 1 2\r\n", `PROXY UNKNOWN ${"x".repeat(200)}`]) {
      const [near, far] = await loopbackPair();
      const record = recordStream(near);
      near.write(encodeUtf8(text));
      const read = await readProxyHeader(far, TIMEOUT);
      assert.equal(read.ok ? null : read.error.kind, "other", text);
      await Promise.race([record.ended, record.closed]);
      assert.equal(record.bytes().length, 0);
      near.destroy();
    }
  });

  test("half a header and then nothing: closed at the deadline", async () => {
    const [near, far] = await loopbackPair();
    const record = recordStream(near);
    near.write(HEADER.subarray(0, -1));
    const read = await readProxyHeader(far, 50);
    assert.equal(read.ok ? null : read.error.kind, "timeout");
    await record.ended;
    near.destroy();
  });

  test("half a header and then the end", async () => {
    for (const leave of ["end", "destroy"] as const) {
      const [near, far] = await loopbackPair();
      recordStream(near);
      near.write(HEADER.subarray(0, 10));
      await turn();
      near[leave]();
      const read = await readProxyHeader(far, TIMEOUT);
      assert.equal(read.ok, false);
      near.destroy();
    }
  });

  test("a stream without a socket cannot have one", async () => {
    const [near, far] = memoryStreamPair();
    near.write(HEADER);
    const read = await readProxyHeader(far, TIMEOUT);
    assert.equal(read.ok ? null : read.error.kind, "other");
  });
});
