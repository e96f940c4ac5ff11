import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { instant, unwrap } from "../base/index.ts";
import { connect, listen, systemClock, type TlsaRecord } from "../net/index.ts";
import {
  type DnsZone,
  fakeResolver,
  type KeyPair,
  makeAuthority,
  makeCertificate,
  type ScriptStep,
  scriptedPeer,
} from "../testing/index.ts";
import type { StsFinding } from "../trust/index.ts";
import { probe } from "./probe.ts";
import type { CheckStatus, HostReport, ProbeReport } from "./probe-report.ts";

const HOST = "mx.there.test";
const DOMAIN = "there.test";
const authority = makeAuthority();
const good = makeCertificate({ names: [HOST], issuer: authority, keyType: "rsa-2048" });

const SCRIPT: readonly ScriptStep[] = [
  "S: 220 mx.there.test ESMTP",
  "C: EHLO prober.test",
  "S: 250-mx.there.test",
  "S: 250-SIZE 1000",
  "S: 250 STARTTLS",
  "C: STARTTLS",
  "S: 220 go on",
  "TLS",
  "C: EHLO prober.test",
  "S: 250-mx.there.test",
  "S: 250-SIZE 1000",
  "S: 250 REQUIRETLS",
  "C: QUIT",
  "S: 221 bye",
];

interface Case {
  readonly script?: readonly ScriptStep[];
  readonly pair?: KeyPair;
  readonly implicit?: boolean;
  readonly tlsa?: readonly TlsaRecord[] | "servfail";
  readonly policy?: { readonly mode: "enforce" | "testing"; readonly mx: readonly string[] };
  readonly secure?: boolean;
}

/** Probes the domain, whose one MX host plays the script. */
async function probed(given: Case): Promise<{ report: ProbeReport; host: HostReport; received: readonly string[][] }> {
  const implicit = given.implicit === true;
  await using resources = new AsyncDisposableStack();
  const peer = await scriptedPeer(given.script ?? SCRIPT, { tls: given.pair ?? good, implicitTls: implicit });
  resources.defer(() => peer.close());
  const secure = given.secure ?? true;
  const resolver = fakeResolver({
    [DOMAIN]: { mx: [{ preference: 10, exchange: HOST }], secure },
    [HOST]: { a: [peer.address], secure },
    ...(given.tlsa === undefined ? {} : { [`_${peer.port}._tcp.${HOST}`]: { tlsa: given.tlsa, secure } }),
  } satisfies DnsZone);
  const report = await probe(
    { target: DOMAIN, port: peer.port, asHost: false },
    {
      resolver,
      policies: { find: () => Promise.resolve(finding(given.policy)) },
      hello: "prober.test",
      implicit,
      timeout: 2000,
      extraCa: [authority.certificate],
      clock: systemClock,
    },
  );
  const [host] = report.hosts;
  assert.ok(host !== undefined);
  return { report, host, received: peer.connections.map(({ received }) => [...received]) };
}

function finding(policy: Case["policy"]): StsFinding {
  if (policy === undefined) return { kind: "none", reason: "none here", failure: null };
  const times = { fetchedAt: instant(0), expiresAt: instant(Number.MAX_SAFE_INTEGER) };
  return { kind: "policy", policy: { domain: DOMAIN, id: "1", lines: [], ...policy, ...times }, failure: null };
}

function keyOf({ certificate }: KeyPair): TlsaRecord {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return { usage: 3, selector: 1, matchingType: 1, data: createHash("sha256").update(key).digest() };
}

function statusOf({ checks }: HostReport, name: string): CheckStatus | null {
  return checks.find(({ check }) => check === name)?.status ?? null;
}

test("a host in order: extensions, versions, groups, chain, TLSA match, and nothing sent but EHLO, STARTTLS and QUIT", async () => {
  const policy = { mode: "enforce", mx: ["*.there.test"] } as const;
  const { report, host, received } = await probed({ tlsa: [keyOf(good)], policy });
  assert.deepEqual([report.verdict.status, report.kind, report.mxSecure], ["ok", "domain", true], report.verdict.text);
  assert.deepEqual(host.extensions, {
    beforeTls: ["SIZE 1000", "STARTTLS"],
    afterTls: ["SIZE 1000", "REQUIRETLS"],
  });
  assert.equal(host.tls?.version, "TLSv1.3");
  assert.deepEqual(host.versions, [
    { name: "TLSv1.2", supported: true },
    { name: "TLSv1.3", supported: true },
  ]);
  assert.deepEqual(
    host.groups.map(({ supported }) => supported),
    [true, true, true],
  );
  const [own] = host.certificates;
  assert.deepEqual([own?.names, own?.key, host.name?.proven], [[HOST], "rsa 2048", true]);
  assert.ok((own?.daysLeft ?? 0) > 300);
  assert.equal(host.dane.match, true);
  assert.deepEqual([host.mtaStsListed, host.requireTls], [true, true]);
  // The last connection may still be closing.
  assert.ok(received.length >= 4);
  const words = new Set(received.flat().map((line) => line.split(" ")[0]));
  assert.deepEqual([...words].sort(), ["EHLO", "QUIT", "STARTTLS"]);
});

test("no STARTTLS, a refused STARTTLS and octets behind its reply each fail", async () => {
  const plain = ["S: 220 mx", "C: EHLO *", "S: 250 mx.there.test", "C: QUIT", "S: 221 bye"];
  const refused = [...SCRIPT.slice(0, 6), "S: 454 not now", "C: QUIT", "S: 221 bye"];
  const injected = [...SCRIPT.slice(0, 6), { send: "220 go on\r\n250 injected\r\n" }];
  for (const script of [plain, refused, injected]) {
    const { report, host } = await probed({ script });
    assert.deepEqual([report.verdict.status, statusOf(host, "starttls"), host.tls], ["failed", "failed", null]);
    assert.deepEqual(host.certificates, []);
  }
});

test("a host that refuses, hangs up or talks something else is not reached", async () => {
  for (const script of [["S: 554 no service", "C: QUIT", "S: 221 bye"], ["RESET"], [{ send: "HTTP/1.1 400\r\n" }]]) {
    const { report, host } = await probed({ script });
    assert.deepEqual([report.verdict.status, statusOf(host, "reachable")], ["failed", "failed"]);
  }
});

test("without a policy a certificate that proves nothing is a warning; MTA-STS demands a good one", async () => {
  const selfSigned = makeCertificate({ names: [HOST] });
  const wrongName = makeCertificate({ names: ["other.test"], issuer: authority });
  const expired = makeCertificate({ names: [HOST], issuer: authority, notBefore: new Date(0), days: 10 });
  for (const [pair, reason] of [
    [selfSigned, "untrusted"],
    [wrongName, "name"],
    [expired, "expired"],
  ] as const) {
    const without = await probed({ pair });
    assert.deepEqual([without.report.verdict.status, without.host.name?.reason], ["warning", reason]);
    const testing = await probed({ pair, policy: { mode: "testing", mx: [HOST] } });
    assert.equal(testing.report.verdict.status, "warning", reason);
    const enforced = await probed({ pair, policy: { mode: "enforce", mx: [HOST] } });
    assert.deepEqual([enforced.report.verdict.status, statusOf(enforced.host, "certificate")], ["failed", "failed"]);
    // RFC 7672 §3.1.1: a matching key is enough, whatever names and dates stand around it; and DANE wins over MTA-STS.
    const dane = await probed({ pair, tlsa: [keyOf(pair)], policy: { mode: "enforce", mx: [HOST] } });
    assert.deepEqual([statusOf(dane.host, "certificate"), statusOf(dane.host, "dane")], ["ok", "ok"], reason);
  }
});

test("TLSA records: no match fails, a failed lookup fails, unusable ones warn, unvalidated ones do not count", async () => {
  const other = keyOf(makeCertificate({ names: [HOST] }));
  const mismatch = await probed({ tlsa: [other] });
  assert.deepEqual([mismatch.report.verdict.status, mismatch.host.dane.match], ["failed", false]);
  const failed = await probed({ tlsa: "servfail" });
  assert.deepEqual([failed.report.verdict.status, failed.host.dane.found], ["failed", "failed"]);
  const unusable = await probed({ tlsa: [{ ...other, usage: 1 }] });
  assert.deepEqual([unusable.report.verdict.status, statusOf(unusable.host, "dane")], ["warning", "warning"]);
  const insecure = await probed({ tlsa: [other], secure: false });
  assert.deepEqual([insecure.report.verdict.status, insecure.host.dane.found], ["ok", "none"]);
});

test("a host that the policy does not list fails under enforce and warns under testing", async () => {
  for (const [mode, status] of [
    ["enforce", "failed"],
    ["testing", "warning"],
  ] as const) {
    const { report, host } = await probed({ policy: { mode, mx: ["mx.elsewhere.test"] } });
    assert.deepEqual([report.verdict.status, statusOf(host, "mtaSts"), host.mtaStsListed], [status, status, false]);
  }
});

test("implicit TLS: the handshake comes first, and no clear-text list is told", async () => {
  const { report, host } = await probed({ implicit: true, script: ["S: 220 mx", ...SCRIPT.slice(8)] });
  assert.equal(report.verdict.status, "ok", report.verdict.text);
  assert.deepEqual(host.extensions, { beforeTls: null, afterTls: ["SIZE 1000", "REQUIRETLS"] });
});

test("a host that is silent is given up after the time allowed", async () => {
  const listener = unwrap(await listen({ address: "127.0.0.1", port: 0, onStream: () => {} }));
  const { address, port } = listener.local;
  const policies = { find: () => Promise.resolve(finding(undefined)) };
  const manner = { hello: "prober.test", implicit: false, timeout: 100, extraCa: [], clock: systemClock };
  const started = Date.now();
  const report = await probe(
    { target: address, port, asHost: true },
    { resolver: fakeResolver(), policies, ...manner },
  );
  assert.ok(Date.now() - started < 3000);
  assert.equal(report.verdict.status, "failed");
  assert.equal(report.kind, "host");
  await listener.close();
});

test("a domain whose hosts cannot be found fails without a connection", async () => {
  const policies = { find: () => Promise.resolve(finding(undefined)) };
  const manner = { hello: "prober.test", implicit: false, timeout: 100, extraCa: [], clock: systemClock };
  for (const zone of [{}, { [DOMAIN]: "servfail" as const }, { [DOMAIN]: { mx: [{ preference: 0, exchange: "" }] } }]) {
    const context = { resolver: fakeResolver(zone), policies, ...manner };
    const report = await probe({ target: DOMAIN, port: 25, asHost: false }, context);
    assert.deepEqual([report.verdict.status, report.hosts], ["failed", []]);
  }
});

test("a policy that could not be looked for is a failure, and none is none", async () => {
  const manner = { hello: "prober.test", implicit: false, timeout: 100, extraCa: [], clock: systemClock };
  const none = { kind: "none", reason: "none here", failure: null } as const;
  for (const [sts, status] of [
    [none, "none"],
    [{ ...none, unknown: true }, "failed"],
  ] as const) {
    const context = { resolver: fakeResolver(), policies: { find: () => Promise.resolve(sts) }, ...manner };
    const { checks } = await probe({ target: DOMAIN, port: 25, asHost: false }, context);
    assert.equal(checks.find(({ check }) => check === "policy")?.status, status);
  }
});

test("a server that cannot take post-quantum groups is probed with the others, and that is told", async () => {
  await using resources = new AsyncDisposableStack();
  const peer = await scriptedPeer(["S: 220 mx", ...SCRIPT.slice(8)], { tls: good, implicitTls: true });
  resources.defer(() => peer.close());
  // In front of it a box that drops whoever sends a ClientHello larger than a packet.
  const box = unwrap(
    await listen({
      address: "127.0.0.1",
      port: 0,
      onStream: (client) => {
        void connect({ addresses: [peer.address], port: peer.port, timeout: 1000 }).then((opened) => {
          const server = unwrap(opened);
          let first = true;
          client.attach({
            data: (bytes) => {
              if (first && bytes.length > 1000) {
                client.destroy();
                server.destroy();
              }
              first = false;
              server.write(bytes);
            },
            drained() {},
            ended: () => server.end(),
            closed: () => server.destroy(),
          });
          server.attach({
            data: (bytes) => client.write(bytes),
            drained() {},
            ended: () => client.end(),
            closed: () => client.destroy(),
          });
        });
      },
    }),
  );
  resources.defer(() => box.close());
  const report = await probe(
    { target: HOST, port: box.local.port, asHost: true },
    {
      resolver: fakeResolver({ [HOST]: { a: ["127.0.0.1"] } }),
      policies: { find: () => Promise.resolve(finding(undefined)) },
      hello: "prober.test",
      implicit: true,
      timeout: 2000,
      extraCa: [authority.certificate],
      clock: systemClock,
    },
  );
  const [host] = report.hosts;
  assert.ok(host !== undefined);
  assert.deepEqual([report.verdict.status, statusOf(host, "groups"), host.name?.proven], ["warning", "warning", true]);
});
