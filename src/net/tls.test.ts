import assert from "node:assert/strict";
import { connect as rawConnect } from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { encodeUtf8, type Result, unwrap } from "../base/index.ts";
import { loopbackPair, recordStream } from "../testing/index.ts";
import { makeAuthority, makeCertificate } from "./certificate.ts";
import { listen } from "./listen.ts";
import type { NetProblem, Stream } from "./stream.ts";
import { type ClientTlsOptions, upgradeClient } from "./tls-client.ts";
import { ServerTls, type ServerTlsOptions, upgradeServer } from "./tls-server.ts";

const TIMEOUT = 5000;
const MEBIBYTE = 1024 * 1024;
const authority = makeAuthority();
const pair = makeCertificate({ names: ["mx.test", "*.wild.test"], ip: ["127.0.0.1"], issuer: authority });
const ca = [authority.certificate];

interface Both {
  readonly near: Result<Stream, NetProblem>;
  readonly far: Result<Stream, NetProblem>;
}

/** A handshake between our client and our server over loopback. */
async function handshake(server: Partial<ServerTlsOptions>, client: Partial<ClientTlsOptions> = {}): Promise<Both> {
  const serverTls = unwrap(ServerTls.create({ keyPairs: [pair], ...server }));
  const [clearNear, clearFar] = await loopbackPair();
  const [far, near] = await Promise.all([
    upgradeServer(clearFar, serverTls, TIMEOUT),
    upgradeClient(clearNear, { serverName: "mx.test", verify: { kind: "nothing" }, timeout: TIMEOUT, ...client }),
  ]);
  return { near, far };
}

function closeBoth({ near, far }: Both): void {
  for (const result of [near, far]) if (result.ok) result.value.destroy();
}

function problemOf(result: Result<Stream, NetProblem>): string {
  return result.ok ? "none" : result.error.kind;
}

/** A server that upgrades each connection and greets, for clients that are not ours. */
async function tlsServer(options: Partial<ServerTlsOptions>): Promise<{ port: number; close: () => Promise<void> }> {
  const serverTls = unwrap(ServerTls.create({ keyPairs: [pair], ...options }));
  const listener = unwrap(
    await listen({
      address: "127.0.0.1",
      port: 0,
      async onStream(clear) {
        const upgraded = await upgradeServer(clear, serverTls, TIMEOUT);
        if (!upgraded.ok) return;
        const stream = upgraded.value;
        stream.attach({ data() {}, drained() {}, ended: () => stream.end(), closed() {} });
        stream.write(encodeUtf8("220 hello\r\n"));
      },
    }),
  );
  return { port: listener.local.port, close: () => listener.close() };
}

/** Node's own client up to the greeting; the message of its error otherwise. */
function nodeClient(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket | string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    socket.once("data", () => resolve(socket));
    socket.on("error", (error) => resolve("code" in error ? String(error.code) : error.message));
  });
}

describe("a handshake", () => {
  test("both sides learn what was negotiated", async () => {
    const both = await handshake({}, { verify: { kind: "name", names: ["mx.test"], ca } });
    const [near, far] = [unwrap(both.near).tls, unwrap(both.far).tls];
    assert.ok(near !== null && far !== null);
    assert.equal(near.version, "TLSv1.3");
    assert.equal(near.cipher, "TLS_AES_256_GCM_SHA384");
    assert.equal(near.group, "X25519MLKEM768");
    assert.equal(near.serverName, "mx.test");
    assert.equal(near.peerCertificate?.authorized, true);
    assert.equal(near.peerCertificate.subject, "CN=mx.test");
    assert.equal(far.version, "TLSv1.3");
    assert.equal(far.serverName, "mx.test");
    assert.equal(far.peerCertificate, null);
    closeBoth(both);
  });

  test("what was written just before the upgrade arrives before it", async () => {
    const [near, far] = await loopbackPair();
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    far.cork();
    far.write(encodeUtf8("220 ready\r\n"));
    const upgraded = upgradeServer(far, serverTls, TIMEOUT);
    await recordStream(near).received(11);
    const client = unwrap(
      await upgradeClient(near, { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT }),
    );
    const server = unwrap(await upgraded);
    assert.equal(server.tls?.serverName, null);
    client.destroy();
    server.destroy();
  });

  test("a mebibyte each way with back-pressure, then an orderly end", async () => {
    const both = await handshake({});
    const [near, far] = [unwrap(both.near), unwrap(both.far)];
    const [nearRecord, farRecord] = [recordStream(near), recordStream(far)];
    const body = new Uint8Array(MEBIBYTE).map((_, index) => index % 251);
    far.pause();
    assert.equal(near.write(body), false);
    far.write(body);
    far.resume();
    await Promise.all([nearRecord.received(MEBIBYTE), farRecord.received(MEBIBYTE), nearRecord.drained]);
    assert.deepEqual(Buffer.from(farRecord.bytes()), Buffer.from(body));
    assert.deepEqual(Buffer.from(nearRecord.bytes()), Buffer.from(body));
    near.end();
    await farRecord.ended;
    far.write(encodeUtf8("bye"));
    far.end();
    assert.equal(await nearRecord.closed, null);
    assert.equal(await farRecord.closed, null);
    assert.equal(nearRecord.bytes().length, MEBIBYTE + 3);
  });

  test("the consumed stream does nothing any more", async () => {
    const [clearNear, clearFar] = await loopbackPair();
    const clearRecord = recordStream(clearNear);
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    const [far, near] = await Promise.all([
      upgradeServer(clearFar, serverTls, TIMEOUT),
      upgradeClient(clearNear, { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT }),
    ]);
    const record = recordStream(unwrap(near));
    assert.equal(clearNear.write(encodeUtf8("in clear")), false);
    clearNear.end();
    clearNear.destroy();
    unwrap(far).write(encodeUtf8("fine"));
    await record.received(4);
    assert.deepEqual(clearRecord.events, []);
    closeBoth({ near, far });
  });
});

describe("what a client demands", () => {
  const kindFor = async (
    options: Partial<ClientTlsOptions>,
    server: Partial<ServerTlsOptions> = {},
  ): Promise<string> => {
    const both = await handshake(server, options);
    closeBoth(both);
    return problemOf(both.near);
  };
  const named = (...names: string[]): Partial<ClientTlsOptions> => ({ verify: { kind: "name", names, ca } });

  test("a name, by wildcard or address too, and one of several is enough", async () => {
    assert.equal(await kindFor(named("mx.test")), "none");
    assert.equal(await kindFor(named("a.wild.test")), "none");
    assert.equal(await kindFor(named("127.0.0.1")), "none");
    assert.equal(await kindFor(named("other.test", "MX.test")), "none");
  });

  test("not a name that the certificate does not have", async () => {
    for (const name of ["other.test", "wild.test", "a.b.wild.test", "127.0.0.2", ""]) {
      assert.equal(await kindFor(named(name)), "certificate", name);
    }
    assert.equal(await kindFor(named()), "certificate");
  });

  test("the common name is no name", async () => {
    const bare = makeCertificate({ names: [], ip: ["192.0.2.1"], issuer: authority });
    assert.equal(await kindFor(named("192.0.2.1"), { keyPairs: [bare] }), "none");
    const subject = makeCertificate({ names: ["cn.test"], issuer: authority });
    assert.equal(await kindFor(named("cn.test"), { keyPairs: [subject] }), "none");
    assert.equal(await kindFor(named("Postern test authority"), { keyPairs: [subject] }), "certificate");
  });

  test("a chain to an authority it trusts, in its time", async () => {
    const stranger = makeCertificate({ names: ["mx.test"], issuer: makeAuthority() });
    const selfSigned = makeCertificate({ names: ["mx.test"] });
    const day = 86_400_000;
    const old = { notBefore: new Date(Date.now() - 10 * day), days: 9 };
    const early = { notBefore: new Date(Date.now() + day), days: 9 };
    const expired = makeCertificate({ names: ["mx.test"], issuer: authority, ...old });
    const notYet = makeCertificate({ names: ["mx.test"], issuer: authority, ...early });
    for (const wrong of [stranger, selfSigned, expired, notYet]) {
      assert.equal(await kindFor(named("mx.test"), { keyPairs: [wrong] }), "certificate");
      assert.equal(await kindFor({ verify: { kind: "nothing" } }, { keyPairs: [wrong] }), "none");
    }
    const pinned = { kind: "name", names: ["mx.test"], ca: [selfSigned.certificate] } as const;
    assert.equal(await kindFor({ verify: pinned }, { keyPairs: [selfSigned] }), "none");
    const bySystem = { kind: "name", names: ["mx.test"] } as const;
    assert.equal(await kindFor({ verify: bySystem }), "certificate");
  });

  test("an intermediate authority that the server sends along", async () => {
    const middle = makeAuthority({ name: "middle", issuer: authority });
    const leaf = makeCertificate({ names: ["mx.test"], issuer: middle });
    const chain = { ...leaf, certificate: leaf.certificate + middle.certificate };
    assert.equal(await kindFor(named("mx.test"), { keyPairs: [chain] }), "none");
    assert.equal(await kindFor(named("mx.test"), { keyPairs: [leaf] }), "certificate");
  });

  test("a pinned key", async () => {
    const both = await handshake({});
    const pin = unwrap(both.near).tls?.peerCertificate?.spki256 ?? "";
    assert.match(pin, /^[0-9a-f]{64}$/);
    assert.equal(unwrap(both.near).tls?.peerCertificate?.authorized, false);
    closeBoth(both);
    assert.equal(await kindFor({ verify: { kind: "pin", pins: ["00".repeat(32), pin.toUpperCase()] } }), "none");
    assert.equal(await kindFor({ verify: { kind: "pin", pins: ["00".repeat(32)] } }), "certificate");
    assert.equal(await kindFor({ verify: { kind: "pin", pins: [] } }), "certificate");
  });

  test("classical key exchange for hosts that hang on a large ClientHello", async () => {
    const both = await handshake({}, { groups: "classical" });
    assert.equal(unwrap(both.near).tls?.group, "X25519");
    closeBoth(both);
  });

  test("no version below the floor", async () => {
    const server = await tlsServer({ minVersion: "TLSv1.3" });
    assert.equal(typeof (await nodeClient(server.port, { maxVersion: "TLSv1.2" })), "string");
    await server.close();
    const floor = await tlsServer({});
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    assert.equal(typeof (await nodeClient(floor.port, old)), "string");
    await floor.close();
  });

  test("authorities that are no certificates", async () => {
    const verify = {
      kind: "name",
      names: ["mx.test"],
      ca: ["-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"],
    };
    assert.equal(await kindFor({ verify: { ...verify, kind: "name" } }), "certificate");
  });
});

describe("which certificate a server shows", () => {
  const subjectFor = async (serverName: string | null, server: Partial<ServerTlsOptions>): Promise<string> => {
    const both = await handshake(server, { serverName });
    closeBoth(both);
    return unwrap(both.near).tls?.peerCertificate?.subject ?? "";
  };

  test("the one that names what the client asked for, else the first", async () => {
    const keyPairs = [makeCertificate({ names: ["first.test"] }), pair, makeCertificate({ names: ["third.test"] })];
    assert.equal(await subjectFor("third.test", { keyPairs }), "CN=third.test");
    assert.equal(await subjectFor("THIRD.test", { keyPairs }), "CN=third.test");
    assert.equal(await subjectFor("a.wild.test", { keyPairs }), "CN=mx.test");
    assert.equal(await subjectFor("unknown.test", { keyPairs }), "CN=first.test");
    assert.equal(await subjectFor(null, { keyPairs }), "CN=first.test");
  });

  test("for one name the kind of key that the client can verify", async () => {
    const names = ["mx.test"];
    const keyPairs = [makeCertificate({ names }), makeCertificate({ names, keyType: "rsa-2048" })];
    const server = await tlsServer({ keyPairs });
    for (const [sigalgs, type] of [
      ["rsa_pss_rsae_sha256", "rsa"],
      ["ecdsa_secp256r1_sha256", "ec"],
    ] as const) {
      const client = await nodeClient(server.port, { sigalgs });
      assert.ok(typeof client !== "string", client.toString());
      assert.equal(client.getPeerX509Certificate()?.publicKey.asymmetricKeyType, type);
      client.destroy();
    }
    await server.close();
  });

  test("after a replacement the new one; after a failed one still the old", async () => {
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    const subject = async (): Promise<string | undefined> => {
      const [clearNear, clearFar] = await loopbackPair();
      const [far, near] = await Promise.all([
        upgradeServer(clearFar, serverTls, TIMEOUT),
        upgradeClient(clearNear, { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT }),
      ]);
      closeBoth({ near, far });
      return unwrap(near).tls?.peerCertificate?.subject;
    };
    assert.equal(await subject(), "CN=mx.test");
    const short = makeCertificate({ names: ["new.test"], days: 3 });
    const before = serverTls.expires;
    assert.ok(serverTls.replace({ keyPairs: [short] }).ok);
    assert.ok(serverTls.expires < before);
    assert.equal(await subject(), "CN=new.test");
    assert.ok(!serverTls.replace({ keyPairs: [{ ...pair, privateKey: short.privateKey }] }).ok);
    assert.equal(await subject(), "CN=new.test");
  });

  test("nothing that does not fit together", () => {
    const other = makeCertificate({ names: ["other.test"] });
    const wrong: readonly ServerTlsOptions[] = [
      { keyPairs: [] },
      { keyPairs: [{ ...pair, privateKey: other.privateKey }] },
      { keyPairs: [{ ...pair, certificate: "" }] },
      { keyPairs: [{ ...pair, certificate: pair.privateKey }] },
      { keyPairs: [{ ...pair, privateKey: pair.certificate }] },
      { keyPairs: [{ ...pair, certificate: pair.certificate.replace(/[A-Za-z]{8}/, "AAAAAAAA") }] },
      { keyPairs: [{ ...pair, certificate: authority.certificate + pair.certificate }] },
      { keyPairs: [pair, { ...other, privateKey: pair.privateKey }] },
    ];
    for (const [index, options] of wrong.entries()) {
      const created = ServerTls.create(options);
      assert.ok(!created.ok, `case ${index}`);
      assert.ok(created.error.length > 0 && !created.error.includes("\n"), created.error);
    }
  });

  test("resumes sessions only when told to", async () => {
    for (const sessionTickets of [false, true]) {
      const server = await tlsServer({ sessionTickets });
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        const session = await new Promise<Buffer>((resolve) => {
          const first = tls.connect({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion });
          first.once("session", (bytes) => {
            resolve(bytes);
            first.destroy();
          });
        });
        const second = await nodeClient(server.port, { maxVersion, session });
        assert.ok(typeof second !== "string");
        assert.equal(second.isSessionReused(), sessionTickets, `${maxVersion}, tickets ${sessionTickets}`);
        second.destroy();
      }
      await server.close();
    }
  });

  test("refuses a client that names another protocol, and renegotiation", async () => {
    const server = await tlsServer({});
    assert.equal(typeof (await nodeClient(server.port, { ALPNProtocols: ["http/1.1", "h2"] })), "string");
    const named = await nodeClient(server.port, { ALPNProtocols: ["smtp"] });
    assert.ok(typeof named !== "string");
    assert.equal(named.alpnProtocol, "smtp");
    named.destroy();
    const old = await nodeClient(server.port, { maxVersion: "TLSv1.2" });
    assert.ok(typeof old !== "string");
    const refused = await new Promise((resolve) => {
      old.on("close", () => resolve(true)).on("error", () => resolve(true));
      old.renegotiate({}, (error) => resolve(error !== null));
    });
    assert.equal(refused, true);
    old.destroy();
    await server.close();
  });
});

describe("a handshake that fails", () => {
  test("octets in clear before it: the server", async () => {
    const [near, far] = await loopbackPair();
    const record = recordStream(near);
    near.write(encodeUtf8("EHLO injected.test\r\n"));
    const upgraded = await upgradeServer(far, unwrap(ServerTls.create({ keyPairs: [pair] })), TIMEOUT);
    assert.equal(problemOf(upgraded), "tls");
    await record.ended;
    near.destroy();
  });

  test("octets in clear before it: the client, whether Node has read them or not", async () => {
    for (const readFirst of [true, false]) {
      const [near, far] = await loopbackPair();
      recordStream(far);
      if (readFirst) {
        const seen = Promise.withResolvers<void>();
        near.attach({
          data() {
            near.pause();
            seen.resolve();
          },
          drained() {},
          ended() {},
          closed() {},
        });
        far.write(encodeUtf8("220 ready\r\n"));
        await seen.promise;
      }
      far.write(encodeUtf8("250 injected\r\n"));
      await new Promise((resolve) => setTimeout(resolve, 20));
      const options = { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT } as const;
      assert.equal(problemOf(await upgradeClient(near, options)), "tls", `read first: ${readFirst}`);
      far.destroy();
    }
  });

  test("silence", async () => {
    const [near, far] = await loopbackPair();
    const record = recordStream(far);
    const options = { serverName: null, verify: { kind: "nothing" }, timeout: 60 } as const;
    assert.equal(problemOf(await upgradeClient(near, options)), "timeout");
    await record.ended;
    far.destroy();
    const [quiet, waiting] = await loopbackPair();
    const quietRecord = recordStream(quiet);
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    assert.equal(problemOf(await upgradeServer(waiting, serverTls, 60)), "timeout");
    await quietRecord.ended;
    quiet.destroy();
  });

  test("a peer that goes away, before it or in the middle", async () => {
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    for (const go of ["end", "destroy"] as const) {
      const [near, far] = await loopbackPair();
      recordStream(near);
      const upgrading = upgradeServer(far, serverTls, TIMEOUT);
      near[go]();
      assert.equal(problemOf(await upgrading), "reset", go);
      near.destroy();
    }
    const [near, far] = await loopbackPair();
    near.destroy();
    const options = { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT } as const;
    assert.equal(problemOf(await upgradeClient(near, options)), "reset");
    far.destroy();
  });

  test("a client that resets in the middle of a session is told as a value", async () => {
    const server = Promise.withResolvers<Stream>();
    const serverTls = unwrap(ServerTls.create({ keyPairs: [pair] }));
    const listener = unwrap(
      await listen({
        address: "127.0.0.1",
        port: 0,
        onStream: async (clear) => server.resolve(unwrap(await upgradeServer(clear, serverTls, TIMEOUT))),
      }),
    );
    const leg = rawConnect(listener.local.port, "127.0.0.1").on("error", () => {});
    const [near, proxied] = await loopbackPair();
    proxied.attach({ data: (bytes) => leg.write(bytes), drained() {}, ended() {}, closed() {} });
    leg.on("data", (bytes) => proxied.write(bytes));
    const options = { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT } as const;
    const client = unwrap(await upgradeClient(near, options));
    const record = recordStream(await server.promise);
    client.write(encodeUtf8("EHLO"));
    await record.received(4);
    leg.resetAndDestroy();
    assert.equal((await record.closed)?.kind, "reset");
    client.destroy();
    proxied.destroy();
    await listener.close();
  });
});
