import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createConnection, createServer } from "node:net";
import { test } from "node:test";
import tls from "node:tls";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { makeAuthority, makeCertificate } from "./certificate.ts";
import { listen } from "./listen.ts";
import type { TlsInfo } from "./stream.ts";
import { spki256 } from "./tls-info.ts";
import { type KeyPair, ServerTls, type ServerTlsOptions, upgradeServer } from "./tls-server.ts";

const TIMEOUT = 5000;
const pair = makeCertificate({ names: ["mx.test"] });
const authority = makeAuthority();
const partner = makeCertificate({ names: ["mx.partner.example", "10.partner.example"], issuer: authority });
const key = spki256(new X509Certificate(partner.certificate));
const known = { name: "partner", spki: [key] };

interface Served {
  readonly tls: ServerTls;
  readonly port: number;
  /** Connects with Node's client, and gives what the server learned and what the client ended with. */
  connect(
    shown: KeyPair | null,
    options?: tls.ConnectionOptions,
  ): Promise<{ readonly info: TlsInfo | null; readonly session: Buffer | undefined }>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function serve(options: Partial<ServerTlsOptions>): Promise<Served> {
  const serverTls = unwrap(ServerTls.create({ keyPairs: [pair], ...options }));
  let learned: (info: TlsInfo | null) => void = () => {};
  const listener = unwrap(
    await listen({
      address: "127.0.0.1",
      port: 0,
      async onStream(clear) {
        const upgraded = await upgradeServer(clear, serverTls, TIMEOUT);
        learned(upgraded.ok ? upgraded.value.tls : null);
        if (!upgraded.ok) return;
        upgraded.value.attach({ data() {}, drained() {}, ended() {}, closed() {} });
        upgraded.value.write(encodeUtf8("220 hello\r\n"));
        upgraded.value.end();
      },
    }),
  );
  return {
    tls: serverTls,
    port: listener.local.port,
    async connect(shown, extra = {}) {
      const told = new Promise<TlsInfo | null>((resolve) => {
        learned = resolve;
      });
      const client = tls.connect({
        port: listener.local.port,
        host: "127.0.0.1",
        rejectUnauthorized: false,
        ...(shown === null ? {} : { cert: shown.certificate, key: shown.privateKey }),
        ...extra,
      });
      let session: Buffer | undefined;
      client.on("session", (ticket) => {
        session = ticket;
      });
      client.on("error", () => {}).resume();
      await once(client, "close");
      return { info: await told, session };
    },
    [Symbol.asyncDispose]: () => listener.close(),
  };
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version } as const;

  test(`who is asked may show a certificate, and it is known by its rules (${version})`, async () => {
    await using server = await serve({ clientCertificates: "request", peers: [known] });
    const { info } = await server.connect(partner, only);
    const shown = info?.peerCertificate;
    assert.equal(info?.version, version);
    assert.deepEqual([shown?.identity, shown?.authorized, shown?.proven], ["partner", true, "pin"]);
    assert.deepEqual([shown?.subject, shown?.spki256, shown?.problem], ["CN=mx.partner.example", key, null]);
    assert.deepEqual(shown?.names, ["mx.partner.example", "10.partner.example"]);
  });

  test(`an unknown certificate ends no handshake, nor does none (${version})`, async () => {
    await using server = await serve({ clientCertificates: "request", peers: [known] });
    const none = await server.connect(null, only);
    assert.equal(none.info?.version, version);
    assert.equal(none.info.peerCertificate, null);
    for (const stranger of [
      makeCertificate({ names: ["x.test"] }),
      makeCertificate({ names: ["x.test"], issuer: makeAuthority() }),
      makeCertificate({ names: ["x.test"], days: 1, notBefore: new Date(0) }),
      makeCertificate({ names: ["x.test"], keyType: "rsa-2048" }),
      makeCertificate({ names: ["x.test"], keyType: "ed25519" }),
    ]) {
      const { info } = await server.connect(stranger, only);
      assert.deepEqual([info?.peerCertificate?.authorized, info?.peerCertificate?.identity], [false, undefined]);
      assert.equal(info?.peerCertificate?.reason, "untrusted");
    }
  });

  test(`the chain that a client sends leads to the authority of its peer (${version})`, async () => {
    const between = makeAuthority({ name: "between", issuer: authority });
    const leaf = makeCertificate({ names: ["mx.partner.example"], issuer: between });
    const peer = { name: "partner", authorities: [authority.certificate], names: ["mx.partner.example"] };
    await using server = await serve({ clientCertificates: "request", peers: [peer] });
    const whole = { ...leaf, certificate: leaf.certificate + between.certificate };
    assert.equal((await server.connect(whole, only)).info?.peerCertificate?.identity, "partner");
    assert.equal((await server.connect(leaf, only)).info?.peerCertificate?.identity, undefined);
  });

  test(`sessions are resumed where tickets are on, and nowhere else (${version})`, async () => {
    for (const sessionTickets of [true, false]) {
      await using server = await serve({ sessionTickets });
      const first = await server.connect(null, only);
      assert.equal(first.info?.resumed, false);
      const again = await server.connect(null, { ...only, ...(first.session && { session: first.session }) });
      assert.equal(again.info?.resumed, sessionTickets, `${sessionTickets}`);
    }
  });

  test(`where certificates are asked for no session is resumed, and the second handshake shows it again (${version})`, async () => {
    await using server = await serve({ clientCertificates: "request", peers: [known] });
    const first = await server.connect(partner, only);
    const again = await server.connect(partner, { ...only, ...(first.session && { session: first.session }) });
    assert.deepEqual([again.info?.resumed, again.info?.peerCertificate?.identity], [false, "partner"]);
  });
}

test("who is not asked shows nothing", async () => {
  await using server = await serve({ peers: [known] });
  assert.equal((await server.connect(partner)).info?.peerCertificate, null);
});

test("no authority is named to clients: who the peers are is nobody's business", async () => {
  const secret = makeAuthority({ name: "an authority of a peer" });
  const peer = { name: "partner", authorities: [secret.certificate], names: ["*"] };
  await using server = await serve({ clientCertificates: "request", peers: [peer] });
  // In TLS 1.2 the request goes out in clear text.
  const heard: Buffer[] = [];
  const tap = createServer((near) => {
    const far = createConnection(server.port, "127.0.0.1");
    far.on("data", (chunk) => void heard.push(chunk));
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => {});
  }).listen(0, "127.0.0.1");
  await once(tap, "listening");
  const address = tap.address();
  assert.ok(typeof address === "object" && address !== null);
  const shown = makeCertificate({ names: ["a.test"], issuer: secret });
  const { info } = await server.connect(shown, { port: address.port, maxVersion: "TLSv1.2" });
  tap.close();
  assert.equal(info?.peerCertificate?.identity, "partner");
  const said = Buffer.concat(heard);
  assert.ok(said.includes("mx.test"), "the server's own certificate was heard");
  assert.ok(!said.includes("an authority of a peer"));
});

test("replace changes who is known, and running sessions keep what they were", async () => {
  await using server = await serve({ clientCertificates: "request", peers: [known] });
  assert.equal((await server.connect(partner)).info?.peerCertificate?.identity, "partner");
  unwrap(server.tls.replace({ keyPairs: [pair], clientCertificates: "request", peers: [] }));
  assert.equal((await server.connect(partner)).info?.peerCertificate?.identity, undefined);
  const broken = { name: "x", authorities: ["nothing"], names: ["*"] };
  assert.equal(server.tls.replace({ keyPairs: [pair], clientCertificates: "request", peers: [broken] }).ok, false);
});

test("tickets and client certificates exclude each other", () => {
  const created = ServerTls.create({ keyPairs: [pair], sessionTickets: true, clientCertificates: "request" });
  assert.equal(created.ok, false);
});
