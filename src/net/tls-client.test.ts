import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import tls from "node:tls";
import { DAY, encodeUtf8, HOUR, instant, MINUTE, type Result, unwrap } from "../base/index.ts";
import { fakeClock, recordStream } from "../testing/index.ts";
import { makeAuthority, makeCertificate } from "./certificate.ts";
import { certificateChain } from "./certificate-chain.ts";
import { connect } from "./connect.ts";
import { listen } from "./listen.ts";
import type { TlsaRecord } from "./resolver.ts";
import type { ClearStream, NetProblem, Stream } from "./stream.ts";
import { type ClientTlsOptions, upgradeClient } from "./tls-client.ts";
import type { KeyPair } from "./tls-server.ts";
import { createTlsSessions, type TlsSessions } from "./tls-sessions.ts";

const TIMEOUT = 5000;
const root = makeAuthority({ name: "root" });
const middle = makeAuthority({ name: "middle", issuer: root });
const leaf = makeCertificate({ names: ["mx.test"], ip: ["192.0.2.9"], issuer: middle });
const chained: KeyPair = { ...leaf, certificate: leaf.certificate + middle.certificate + root.certificate };
const names = ["mx.test"];

type Verify = ClientTlsOptions["verify"];

function tlsa(usage: 2 | 3, { certificate }: KeyPair): TlsaRecord {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return { usage, selector: 1, matchingType: 1, data: createHash("sha256").update(key).digest() };
}

function pinOf(pair: KeyPair): string {
  return Buffer.from(tlsa(3, pair).data).toString("hex");
}

interface Server {
  readonly port: number;
  /** Of the connections so far, the session resumed or not, and the subject of the client's certificate. */
  readonly seen: { readonly resumed: boolean; readonly client: string | undefined }[];
}

/** A server of Node's, which is not ours: it greets, and closes when the client does. */
async function startServer(context: TestContext, options: tls.TlsOptions = {}): Promise<Server> {
  const seen: { resumed: boolean; client: string | undefined }[] = [];
  const server = tls.createServer({ key: chained.privateKey, cert: chained.certificate, ...options }, (socket) => {
    seen.push({ resumed: socket.isSessionReused(), client: socket.getPeerX509Certificate()?.subject });
    socket.on("error", () => {}).on("end", () => socket.end());
    socket.resume();
    socket.write("220 hello\r\n");
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return { port: address.port, seen };
}

async function open(port: number): Promise<ClearStream> {
  return unwrap(await connect({ addresses: ["127.0.0.1"], port, timeout: TIMEOUT }));
}

async function secure(port: number, options: Partial<ClientTlsOptions>): Promise<Result<Stream, NetProblem>> {
  return await upgradeClient(await open(port), {
    serverName: "mx.test",
    verify: { kind: "nothing" },
    timeout: TIMEOUT,
    ...options,
  });
}

/** One whole session, up to the end of it: what was proven, or the reason why the certificate was refused. */
async function outcome(port: number, options: Partial<ClientTlsOptions>): Promise<string> {
  const secured = await secure(port, options);
  if (!secured.ok) return `${secured.error.kind} ${secured.error.reason}`;
  await finish(secured.value);
  return String(secured.value.tls?.peerCertificate?.proven);
}

/** Reads the greeting, with the tickets that come before it, and ends the connection. */
async function finish(stream: Stream): Promise<void> {
  const record = recordStream(stream);
  await record.received("220 hello\r\n".length);
  stream.end();
  await record.closed;
}

describe("what was demanded, how it was met, and why it was not", () => {
  const cases: readonly (readonly [string, Verify, string])[] = [
    ["nothing", { kind: "nothing" }, "nothing"],
    ["a name", { kind: "name", names, ca: [root.certificate] }, "name"],
    ["an address", { kind: "name", names: ["192.0.2.9"], ca: [root.certificate] }, "name"],
    ["a name by an intermediate authority", { kind: "name", names, ca: [middle.certificate] }, "name"],
    ["a name by an authority besides the system's", { kind: "name", names, extraCa: [root.certificate] }, "name"],
    ["a name by the system's authorities", { kind: "name", names }, "certificate untrusted"],
    ["another name", { kind: "name", names: ["other.test"], ca: [root.certificate] }, "certificate name"],
    ["a name or a key, by the key", { kind: "name", names: ["other.test"], pins: [pinOf(leaf)] }, "pin"],
    ["a name or a key, by the name", { kind: "name", names, ca: [root.certificate], pins: [pinOf(root)] }, "name"],
    ["a name or a key, by neither", { kind: "name", names, pins: [pinOf(root)] }, "certificate untrusted"],
    ["a key", { kind: "pin", pins: [pinOf(leaf)] }, "pin"],
    ["another key", { kind: "pin", pins: [pinOf(root)] }, "certificate pin"],
    ["usage 3", { kind: "dane", records: [tlsa(3, leaf)], names: [] }, "dane"],
    ["usage 2", { kind: "dane", records: [tlsa(2, root)], names }, "dane"],
    [
      "usage 2 with another name",
      { kind: "dane", records: [tlsa(2, root)], names: ["other.test"] },
      "certificate name",
    ],
    ["other records", { kind: "dane", records: [tlsa(3, root), tlsa(2, leaf)], names }, "certificate dane"],
    ["no records", { kind: "dane", records: [], names }, "certificate dane"],
  ];

  test("in one handshake each", async (context) => {
    const { port } = await startServer(context);
    for (const [title, verify, expected] of cases) {
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        assert.equal(await outcome(port, { verify, maxVersion }), expected, `${title}, ${maxVersion}`);
      }
    }
  });

  test("dates: of the server's certificate and of an authority's", async (context) => {
    const old = { notBefore: new Date(Date.now() - 9 * DAY), days: 2 };
    const stale = makeCertificate({ names, issuer: root, ...old });
    const between = makeAuthority({ name: "between", issuer: root, ...old });
    const below = makeCertificate({ names, issuer: between });
    const early = makeCertificate({ names, issuer: root, notBefore: new Date(Date.now() + DAY) });
    const verify: Verify = { kind: "name", names, ca: [root.certificate] };
    for (const [pair, expected] of [
      [stale, "certificate expired"],
      [{ ...below, certificate: below.certificate + between.certificate }, "certificate expired"],
      [early, "certificate untrusted"],
      [below, "certificate untrusted"],
    ] as const) {
      const { port } = await startServer(context, { key: pair.privateKey, cert: pair.certificate });
      assert.equal(await outcome(port, { verify }), expected);
      assert.equal(await outcome(port, { verify: { kind: "dane", records: [tlsa(3, pair)], names: [] } }), "dane");
    }
  });

  test("a lenient client goes on, and tells what was wrong", async (context) => {
    const { port } = await startServer(context);
    for (const [title, verify, expected] of cases) {
      const secured = unwrap(await secure(port, { verify, lenient: true }));
      const shown = secured.tls?.peerCertificate;
      const told = shown?.reason === null ? shown.proven : `certificate ${shown?.reason}`;
      assert.equal(told, expected, title);
      assert.equal(shown?.authorized, shown?.problem === null);
      assert.equal(shown?.proven === "nothing", !shown?.authorized);
      await finish(secured);
    }
  });

  test("options that cannot be used are a problem and no exception", async (context) => {
    const { port } = await startServer(context);
    const broken = { ...leaf, privateKey: root.privateKey };
    for (const options of [
      { groups: ["no-such-group"] },
      { clientCertificate: broken },
      { clientCertificate: { certificate: "none", privateKey: "none" } },
      { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
    ] as const) {
      const secured = await secure(port, options);
      assert.ok(!secured.ok);
      assert.equal(secured.error.kind, "tls");
      assert.ok(!secured.error.detail.includes("\n"));
    }
  });
});

describe("what a server shows and can do", () => {
  test("its chain as it was sent", async (context) => {
    const { port } = await startServer(context);
    const stream = unwrap(await secure(port, {}));
    const chain = certificateChain(stream);
    assert.deepEqual(
      chain.map(({ subject, issuer, authority }) => [subject, issuer, authority]),
      [
        ["CN=mx.test", "CN=middle", false],
        ["CN=middle", "CN=root", true],
        ["CN=root", "CN=root", true],
      ],
    );
    const [own] = chain;
    assert.ok(own !== undefined);
    assert.deepEqual(own.names, ["mx.test", "192.0.2.9"]);
    assert.deepEqual([own.keyType, own.keyBits, own.curve], ["ec", null, "prime256v1"]);
    assert.equal(own.spki256, pinOf(leaf));
    const read = new X509Certificate(leaf.certificate);
    assert.equal(own.fingerprint256, read.fingerprint256);
    assert.equal(own.validFrom, read.validFromDate.toISOString());
    assert.equal(own.validTo, read.validToDate.toISOString());
    assert.deepEqual(stream.tls?.peerCertificate?.names, own.names);
    await finish(stream);
    const clear = await open(port);
    assert.deepEqual(certificateChain(clear), []);
    clear.destroy();
  });

  test("keys of other kinds", async (context) => {
    const rsa = makeCertificate({ names, keyType: "rsa-2048" });
    const { port } = await startServer(context, { key: rsa.privateKey, cert: rsa.certificate });
    const stream = unwrap(await secure(port, {}));
    const [own] = certificateChain(stream);
    assert.deepEqual([own?.keyType, own?.keyBits, own?.curve], ["rsa", 2048, null]);
    assert.equal(own?.spki256, pinOf(rsa));
    await finish(stream);
  });

  test("versions and groups, one at a time", async (context) => {
    const { port } = await startServer(context);
    const negotiated = async (options: Partial<ClientTlsOptions>): Promise<string> => {
      const secured = await secure(port, options);
      if (!secured.ok) return secured.error.kind;
      await finish(secured.value);
      return `${secured.value.tls?.version} ${secured.value.tls?.group}`;
    };
    assert.equal(await negotiated({ maxVersion: "TLSv1.2", groups: ["P-256"] }), "TLSv1.2 prime256v1");
    assert.equal(await negotiated({ groups: ["P-384"] }), "TLSv1.3 secp384r1");
    assert.equal(await negotiated({ groups: ["X25519MLKEM768"] }), "TLSv1.3 X25519MLKEM768");
    assert.equal(await negotiated({ groups: "classical" }), "TLSv1.3 X25519");
    const old = await startServer(context, { maxVersion: "TLSv1.2", ecdhCurve: "P-384" });
    assert.equal((await secure(old.port, { minVersion: "TLSv1.3" })).ok, false);
    assert.equal((await secure(old.port, { groups: ["P-256"], maxVersion: "TLSv1.2" })).ok, false);
  });
});

describe("a client certificate", () => {
  const mine = makeCertificate({ names: ["client.test"], issuer: middle });
  const clientCertificate: KeyPair = { ...mine, certificate: mine.certificate + middle.certificate };
  const demanding = { requestCert: true, rejectUnauthorized: true, ca: [root.certificate] };

  test("is shown to a server that demands one, with its chain", async (context) => {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const { port, seen } = await startServer(context, { ...demanding, maxVersion });
      assert.equal(await outcome(port, { clientCertificate }), "nothing");
      assert.deepEqual(seen, [{ resumed: false, client: "CN=client.test" }]);
    }
  });

  test("is not shown to one that does not ask, and a server that demands one refuses who has none", async (context) => {
    const asking = await startServer(context);
    assert.equal(await outcome(asking.port, { clientCertificate }), "nothing");
    assert.deepEqual(asking.seen, [{ resumed: false, client: undefined }]);
    const demander = await startServer(context, { ...demanding, maxVersion: "TLSv1.2" });
    assert.equal(await outcome(demander.port, {}), "tls undefined");
    const late = await startServer(context, demanding);
    const secured = unwrap(await secure(late.port, {}));
    assert.equal(
      (await recordStream(secured).closed)?.kind,
      "tls",
      "in TLS 1.3 the refusal comes behind the handshake",
    );
    assert.deepEqual([...demander.seen, ...late.seen], []);
  });
});

/** A host that takes no ClientHello of more than one packet, as `manner` says, and greets over TLS otherwise. */
async function startNarrowHost(context: TestContext, manner: "reset" | "end" | "hang" | "alert"): Promise<number> {
  const inner = await startServer(context);
  const listener = unwrap(
    await listen({
      address: "127.0.0.1",
      port: 0,
      onStream(client) {
        let onward: ClearStream | null = null;
        client.attach({
          data(bytes) {
            if (onward !== null) onward.write(bytes);
            else if (bytes.length <= 1400) void relay(client, bytes).then((stream) => (onward = stream));
            else if (manner === "reset") client.destroy();
            else if (manner === "end") client.end();
            // A fatal alert: handshake_failure (RFC 8446 §6.2).
            else if (manner === "alert") client.write(Uint8Array.of(0x15, 3, 3, 0, 2, 2, 40));
          },
          drained() {},
          ended: () => client.end(),
          closed: () => onward?.destroy(),
        });
      },
    }),
  );
  const relay = async (client: ClearStream, first: Uint8Array): Promise<ClearStream> => {
    const stream = await open(inner.port);
    stream.attach({ data: (bytes) => client.write(bytes), drained() {}, ended: () => client.end(), closed() {} });
    stream.write(first);
    return stream;
  };
  context.after(() => listener.close());
  return listener.local.port;
}

describe("hosts that cannot take a large ClientHello", () => {
  for (const manner of ["reset", "end", "hang", "alert"] as const) {
    test(`one that answers it by ${manner}`, async (context) => {
      const port = await startNarrowHost(context, manner);
      const large = await secure(port, { timeout: 150 });
      assert.ok(!large.ok);
      assert.equal(large.error.kind, { reset: "reset", end: "reset", hang: "timeout", alert: "tls" }[manner]);
      assert.equal(large.error.silent, manner === "alert" ? undefined : true);
      assert.equal(await outcome(port, { groups: "classical" }), "nothing");
    });
  }

  test("a server that breaks off after its first octets was not silent, nor one that wrote before STARTTLS alone", async (context) => {
    for (const [before, after, silent] of [
      ["", Uint8Array.of(0x16, 3, 3, 0, 90), undefined],
      ["220 hello\r\n", new Uint8Array(), true],
    ] as const) {
      const listener = unwrap(
        await listen({
          address: "127.0.0.1",
          port: 0,
          onStream(client) {
            const answer = (): void => {
              client.write(after);
              client.end();
            };
            client.attach({ data: answer, drained() {}, ended() {}, closed() {} });
            client.write(encodeUtf8(before));
          },
        }),
      );
      context.after(() => listener.close());
      const stream = await open(listener.local.port);
      if (before.length > 0) await recordStream(stream).received(before.length);
      const secured = await upgradeClient(stream, { serverName: null, verify: { kind: "nothing" }, timeout: TIMEOUT });
      assert.ok(!secured.ok);
      assert.equal(secured.error.kind, "reset");
      assert.equal(secured.error.silent, silent);
    }
  });
});

describe("resumption", () => {
  const dane: Verify = { kind: "dane", records: [tlsa(3, leaf), tlsa(2, root)], names };
  const name: Verify = { kind: "name", names, ca: [root.certificate] };

  interface Trial {
    readonly port: number;
    readonly sessions: TlsSessions;
  }

  async function resumed({ port, sessions }: Trial, options: Partial<ClientTlsOptions> = {}): Promise<boolean> {
    const resume = { sessions, key: "mx.test:25" };
    const stream = unwrap(await secure(port, { resume, ...options }));
    await finish(stream);
    assert.ok(stream.tls !== null);
    return stream.tls.resumed;
  }

  test("a session keeps what was proven, in both versions and for each demand", async (context) => {
    const demands: readonly (readonly [Verify, string])[] = [
      [{ kind: "nothing" }, "nothing"],
      [{ kind: "pin", pins: [pinOf(leaf)] }, "pin"],
      [name, "name"],
      [dane, "dane"],
    ];
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      for (const [verify, proven] of demands) {
        const { port, seen } = await startServer(context);
        const resume = { sessions: createTlsSessions({ max: 10 }), key: "mx.test:25" };
        for (const expected of [false, true, true]) {
          const stream = unwrap(await secure(port, { verify, maxVersion, resume }));
          await finish(stream);
          assert.equal(stream.tls?.resumed, expected, `${verify.kind}, ${maxVersion}`);
          assert.equal(stream.tls?.peerCertificate?.proven, proven);
          assert.equal(stream.tls?.peerCertificate?.subject, "CN=mx.test");
          assert.equal(certificateChain(stream).length, 3);
        }
        assert.deepEqual(
          seen.map((one) => one.resumed),
          [false, true, true],
        );
      }
    }
  });

  test("never for another demand, name, key, version, group or certificate", async (context) => {
    const { port } = await startServer(context);
    const sessions = createTlsSessions({ max: 100 });
    const others: readonly Partial<ClientTlsOptions>[] = [
      { verify: name },
      { verify: { kind: "name", names: ["mx.test", "a.test"], ca: name.ca ?? [] } },
      { verify: { ...name, ca: [root.certificate] } },
      { verify: { ...name, extraCa: [middle.certificate] } },
      { verify: { ...name, pins: [pinOf(root)] } },
      { verify: dane },
      { verify: { ...dane, records: [tlsa(3, leaf)] } },
      { verify: { ...dane, names: [] } },
      { verify: { kind: "pin", pins: [pinOf(leaf)] } },
      { verify: { kind: "pin", pins: [pinOf(leaf), pinOf(root)] } },
      { serverName: null },
      { serverName: "other.test" },
      { minVersion: "TLSv1.3" },
      { maxVersion: "TLSv1.2" },
      { groups: "classical" },
      { clientCertificate: leaf },
      { resume: { sessions, key: "mx.test:465" } },
      {},
    ];
    for (const [index, options] of others.entries()) {
      assert.equal(await resumed({ port, sessions }, options), false, `first of ${index}`);
    }
    for (const [index, options] of others.entries()) {
      assert.equal(await resumed({ port, sessions }, options), true, `second of ${index}`);
    }
    assert.equal(await resumed({ port, sessions }, { verify: { ...name } }), true, "an equal demand");
  });

  test("not of a lenient client, nor for one", async (context) => {
    const { port } = await startServer(context);
    const sessions = createTlsSessions({ max: 10 });
    assert.equal(await resumed({ port, sessions }, { lenient: true }), false);
    assert.equal(await resumed({ port, sessions }), false);
    assert.equal(await resumed({ port, sessions }, { lenient: true }), false);
    assert.equal(await resumed({ port, sessions }), true);
  });

  test("a ticket of TLS 1.3 is used once, a session of TLS 1.2 again", async (context) => {
    for (const [maxVersion, expected] of [
      ["TLSv1.2", [true, true, true]],
      ["TLSv1.3", [true, true, false]],
    ] as const) {
      const { port } = await startServer(context);
      const sessions = createTlsSessions({ max: 10 });
      await resumed({ port, sessions }, { maxVersion });
      const resume = { sessions, key: "mx.test:25" };
      // Node's server sends two tickets, and none in a session that was resumed.
      for (const again of expected) {
        const stream = unwrap(await secure(port, { maxVersion, resume }));
        assert.equal(stream.tls?.resumed, again, maxVersion);
        stream.destroy();
      }
    }
  });

  test("not longer than its lifetime after the full handshake, however often it was resumed", async (context) => {
    const { port } = await startServer(context);
    const time = fakeClock(instant(Date.now()));
    const sessions = createTlsSessions({ max: 10, lifetime: HOUR, clock: time.clock });
    const told: boolean[] = [];
    for (let minutes = 0; minutes <= 80; minutes += 20) {
      // Sessions of TLS 1.2 do not run out, as the tickets of Node's server do.
      told.push(await resumed({ port, sessions }, { maxVersion: "TLSv1.2" }));
      time.advance(20 * MINUTE);
    }
    assert.deepEqual(told, [false, true, true, false, true]);
  });

  test("not once the certificates shown then no longer meet the demand", async (context) => {
    const brief = makeCertificate({ names, issuer: root, days: 1 });
    const pair = { ...brief, certificate: brief.certificate + root.certificate };
    const { port } = await startServer(context, { key: pair.privateKey, cert: pair.certificate });
    const verifies: readonly (readonly [Verify, boolean])[] = [
      [name, false],
      [{ kind: "dane", records: [tlsa(2, root)], names }, false],
      [{ kind: "dane", records: [tlsa(3, pair)], names }, true],
    ];
    for (const [verify, expected] of verifies) {
      const time = fakeClock(instant(Date.now()));
      const sessions = createTlsSessions({ max: 10, lifetime: 10 * DAY, clock: time.clock });
      assert.equal(await resumed({ port, sessions }, { verify }), false);
      assert.equal(await resumed({ port, sessions }, { verify }), true);
      time.advance(2 * DAY);
      const later = await secure(port, { verify, resume: { sessions, key: "mx.test:25" } });
      assert.equal(later.ok && later.value.tls?.resumed === true, expected);
      if (later.ok) await finish(later.value);
    }
  });

  test("a server that does not know the session makes a full handshake, and proves anew", async (context) => {
    const sessions = createTlsSessions({ max: 10 });
    const first = await startServer(context);
    const stranger = makeCertificate({ names: ["mx.test"] });
    const second = await startServer(context);
    const third = await startServer(context, { key: stranger.privateKey, cert: stranger.certificate });
    assert.equal(await resumed({ port: first.port, sessions }, { verify: dane }), false);
    assert.equal(await resumed({ port: second.port, sessions }, { verify: dane }), false);
    const resume = { sessions, key: "mx.test:25" };
    const refused = await secure(third.port, { verify: dane, resume });
    assert.ok(!refused.ok);
    assert.equal(refused.error.reason, "dane");
  });

  test("a handshake that fails with a session offered says so, and the next is a full one", async (context) => {
    const { port } = await startServer(context);
    const sessions = createTlsSessions({ max: 10 });
    assert.equal(await resumed({ port, sessions }), false);
    const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream: (client) => client.destroy() }));
    context.after(() => listener.close());
    const resume = { sessions, key: "mx.test:25" };
    const failed = await secure(listener.local.port, { resume });
    assert.ok(!failed.ok);
    assert.equal(failed.error.resuming, true);
    const again = await secure(listener.local.port, { resume });
    assert.ok(!again.ok);
    assert.equal(again.error.resuming, undefined);
    assert.equal(await resumed({ port, sessions }), false);
  });

  test("the cache is bounded: the least used host goes first", async (context) => {
    const { port } = await startServer(context);
    const sessions = createTlsSessions({ max: 2 });
    const told: boolean[] = [];
    for (const key of ["a", "b", "a", "c", "a", "b"]) {
      told.push(await resumed({ port, sessions }, { resume: { sessions, key } }));
    }
    assert.deepEqual(told, [false, false, true, false, true, false]);
  });
});
