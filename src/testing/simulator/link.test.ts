import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, instant, later } from "../../base/index.ts";
import type { ClientTlsOptions, Stream } from "../../net/index.ts";
import { Chance } from "./chance.ts";
import { type Cut, Link, type LinkConditions } from "./link.ts";
import { ClearLinkStream } from "./link-stream.ts";
import { Life, VirtualLoop } from "./loop.ts";
import { type SimulatedCertificate, simulatedClientUpgrade, simulatedServerUpgrade } from "./tls.ts";

const START = instant(0);

function open(changes: Partial<LinkConditions> = {}) {
  const loop = new VirtualLoop(START, (error) => {
    throw error;
  });
  const conditions = {
    delay: 10,
    jitter: 0,
    stalls: 0,
    pieces: 0,
    rate: Number.POSITIVE_INFINITY,
    cut: null,
    ...changes,
  };
  const [life, farLife] = [new Life(), new Life()];
  const over = { count: 0 };
  const link = new Link(
    { loop, chance: new Chance(1), conditions, over: () => void over.count++ },
    { end: { address: "10.0.0.1", port: 4000 }, life },
    { end: { address: "10.0.0.2", port: 25 }, life: farLife },
  );
  return { loop, link, life, farLife, over, near: new ClearLinkStream(link.near), far: new ClearLinkStream(link.far) };
}

/** What a stream tells, in order. */
function listen(stream: Stream): string[] {
  const told: string[] = [];
  stream.attach({
    data: (bytes) => void told.push(decodeUtf8Lenient(bytes)),
    drained: () => void told.push("(drained)"),
    ended: () => void told.push("(ended)"),
    closed: (problem) => void told.push(`(closed ${problem?.kind ?? "in order"})`),
  });
  return told;
}

test("octets come after the delay, whole or in pieces and never out of order", async () => {
  const { loop, near, far } = open({ jitter: 50, stalls: 0, pieces: 1 });
  const told = listen(far);
  for (const text of ["EHLO a\r\n", "MAIL\r\n", "RCPT\r\n"]) near.write(encodeUtf8(text));
  await loop.run(later(START, 5));
  assert.deepEqual(told, []);
  await loop.run(later(START, 500));
  assert.equal(told.join(""), "EHLO a\r\nMAIL\r\nRCPT\r\n");
  assert.ok(told.length > 3);
});

test("both ends end in order, and the link is over once", async () => {
  const { loop, near, far, over } = open();
  const [here, there] = [listen(near), listen(far)];
  near.write(encodeUtf8("QUIT"));
  near.end();
  await loop.run(later(START, 50));
  assert.deepEqual(there, ["QUIT", "(ended)"]);
  far.end();
  await loop.run(later(START, 100));
  assert.deepEqual(here, ["(ended)", "(closed in order)"]);
  assert.equal(over.count, 1);
});

for (const heard of ["both", "near", "far", "none"] as const satisfies readonly Cut["heard"][]) {
  test(`a cut at an octet lets what is before it through, heard by ${heard}`, async () => {
    const { loop, link, near, far } = open({ cut: { way: "out", octets: 6, heard } });
    const [here, there] = [listen(near), listen(far)];
    near.write(encodeUtf8("DATA\r\nnever"));
    far.write(encodeUtf8("too late"));
    await loop.run(later(START, 100));
    assert.equal(there[0], "DATA\r\n");
    assert.equal(here.includes("(closed reset)"), heard === "both" || heard === "near");
    assert.equal(there.includes("(closed reset)"), heard === "both" || heard === "far");
    assert.equal(link.mutedAt, 0);
    assert.equal(here.includes("too late"), false);
  });
}

test("a program that died hears nothing, and whoever writes to it is reset", async () => {
  const { loop, near, far, farLife } = open();
  const [here, there] = [listen(near), listen(far)];
  farLife.end();
  near.write(encodeUtf8("anybody?"));
  await loop.run(later(START, 100));
  assert.deepEqual(there, []);
  assert.deepEqual(here, ["(closed reset)"]);
});

test("a writer waits for a reader that pauses", async () => {
  const { loop, near, far } = open();
  const [here, there] = [listen(near), listen(far)];
  far.pause();
  assert.equal(near.write(new Uint8Array(70_000)), false);
  await loop.run(later(START, 100));
  assert.deepEqual([here, there], [[], []]);
  far.resume();
  await loop.run(later(START, 200));
  assert.deepEqual(here, ["(drained)"]);
  assert.equal(near.unsent, 0);
});

const CERTIFICATE: SimulatedCertificate = {
  names: ["mx.test"],
  trusted: true,
  expired: false,
  key: new Uint8Array(32).fill(7),
};

const TLS: ClientTlsOptions = { serverName: "mx.test", verify: { kind: "name", names: ["mx.test"] }, timeout: 1000 };

async function shake(
  options: Partial<ClientTlsOptions>,
  certificate: SimulatedCertificate = CERTIFICATE,
  manner: "proper" | "mute" | "hangUp" | "classical" = "proper",
) {
  const { loop, near, far } = open();
  const server = simulatedServerUpgrade({ certificate: () => certificate, manner: () => manner }, 1000)(far);
  const client = simulatedClientUpgrade(near, { ...TLS, ...options });
  await loop.run(later(START, 5000));
  return { client: await client, server: await server, loop };
}

test("a handshake proves what the certificate proves", async () => {
  const { client, server, loop } = await shake({});
  assert.ok(client.ok && server.ok);
  assert.equal(client.value.tls?.peerCertificate?.proven, "name");
  const told = listen(server.value);
  client.value.attach({ data() {}, drained() {}, ended() {}, closed() {} });
  client.value.write(encodeUtf8("EHLO a\r\n"));
  await loop.run(later(START, 6000));
  assert.deepEqual(told, ["EHLO a\r\n"]);
});

test("a certificate that does not prove what is demanded ends it on both sides", async () => {
  const records = [{ usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(32) }];
  for (const [options, certificate, reason] of [
    [{ verify: { kind: "name", names: ["other.test"] } }, CERTIFICATE, "name"],
    [{}, { ...CERTIFICATE, trusted: false }, "untrusted"],
    [{}, { ...CERTIFICATE, expired: true }, "expired"],
    [{ verify: { kind: "dane", records, names: [] } }, CERTIFICATE, "dane"],
    [{ verify: { kind: "pin", pins: ["00"] } }, CERTIFICATE, "pin"],
  ] as const) {
    const { client, server } = await shake(options, certificate);
    assert.equal(client.ok || client.error.reason, reason);
    assert.equal(server.ok, false);
    const { client: watching } = await shake({ ...options, lenient: true }, certificate);
    assert.equal(watching.ok && watching.value.tls?.peerCertificate?.reason, reason);
  }
});

test("a server that is mute, or only to large hellos, is told as such", async () => {
  const mute = await shake({}, CERTIFICATE, "mute");
  assert.deepEqual(!mute.client.ok && [mute.client.error.kind, mute.client.error.silent], ["timeout", true]);
  const large = await shake({}, CERTIFICATE, "classical");
  assert.equal(large.client.ok, false);
  const small = await shake({ groups: "classical" }, CERTIFICATE, "classical");
  assert.equal(small.client.ok, true);
});

test("octets where the handshake is due are an injection", async () => {
  const { loop, near, far } = open();
  far.write(encodeUtf8("250 injected\r\n"));
  const client = simulatedClientUpgrade(near, TLS);
  await loop.run(later(START, 100));
  const result = await client;
  assert.equal(result.ok || result.error.kind, "tls");
});
