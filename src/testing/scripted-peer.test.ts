import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { connect, makeCertificate, upgradeClient } from "../net/index.ts";
import { recordStream } from "./loopback.ts";
import { type ScriptedPeer, type ScriptStep, scriptedPeer } from "./scripted-peer.ts";

const opening: readonly ScriptStep[] = ["S: 220 mx.test", "C: EHLO *", "S: 250 mx.test"];

async function client(peer: ScriptedPeer) {
  return unwrap(await connect({ addresses: [peer.address], port: peer.port, timeout: 2000 }));
}

test("a script is played to its end, and a message is taken whole", async () => {
  const peer = await scriptedPeer([...opening, "C: DATA", { send: "354 go\r\n" }, "C: ...", "C: .", "S: 250 taken"]);
  const stream = await client(peer);
  const record = recordStream(stream);
  await record.received(13);
  stream.write(encodeUtf8("EHLO client.test\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"));
  await record.ended;
  stream.end();
  const played = await peer.played;
  assert.equal(played.problem, null);
  assert.deepEqual(played.received, ["EHLO client.test", "DATA", "Subject: x", "", "body", "."]);
  assert.equal(Buffer.from(record.bytes()).toString(), "220 mx.test\r\n250 mx.test\r\n354 go\r\n250 taken\r\n");
  await peer.close();
});

test("TLS in the middle", async () => {
  const script = [...opening, "C: STARTTLS", "S: 220 go", "TLS", "C: EHLO *", "S: 250 again"];
  const peer = await scriptedPeer(script, { tls: makeCertificate({ names: ["mx.test"] }) });
  const clear = await client(peer);
  const clearRecord = recordStream(clear);
  clear.write(encodeUtf8("EHLO a\r\nSTARTTLS\r\n"));
  await clearRecord.received(13 + 13 + 8);
  const options = { serverName: null, verify: { kind: "nothing" }, timeout: 2000 } as const;
  const stream = unwrap(await upgradeClient(clear, options));
  const record = recordStream(stream);
  stream.write(encodeUtf8("EHLO b\r\n"));
  await record.ended;
  stream.end();
  assert.deepEqual(await peer.played, { received: ["EHLO a", "STARTTLS", "EHLO b"], problem: null });
  await peer.close();
});

test("where client and script part is told", async () => {
  for (const [said, script] of [
    ["HELO a\r\n", opening],
    ["", opening],
    ["EHLO a\r\nEXTRA\r\n", opening],
    ["EHLO a\r\nSTARTTLS\r\nEXTRA\r\n", [...opening, "C: STARTTLS", "TLS"]],
    ["EHLO a\r\n", [...opening, "bad step"]],
  ] as const) {
    const peer = await scriptedPeer(script, { timeout: 80, tls: makeCertificate({ names: ["mx.test"] }) });
    const stream = await client(peer);
    const record = recordStream(stream);
    stream.write(encodeUtf8(said));
    const played = await peer.played;
    assert.equal(typeof played.problem, "string", said);
    assert.equal(peer.connections.length, 1);
    await record.ended;
    stream.destroy();
    await peer.close();
  }
});
