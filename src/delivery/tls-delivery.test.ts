import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { DAY, encodeUtf8, HOUR, instant, type Log, seededRandom, silentLog } from "../base/index.ts";
import { createPool, type PoolOptions } from "../client/index.ts";
import { systemClock, type TlsaRecord } from "../net/index.ts";
import type { Body, Outcome } from "../queue/index.ts";
import {
  type DnsZone,
  fakeClock,
  fakeResolver,
  type KeyPair,
  makeAuthority,
  makeCertificate,
} from "../testing/index.ts";
import { createHostMemory, type HostMemory, type StsFinding, type TlsResult } from "../trust/index.ts";
import { createDeliverer, type DelivererOptions } from "./deliverer.ts";
import { fixtureMessage } from "./fixtures.test.ts";
import { keptSilence, type TlsPeer, tlsPeer } from "./tls-peer.test.ts";

const octets = encodeUtf8("Subject: x\r\n\r\nx\r\n");
const body: Body = { size: octets.length, chunks: () => [octets] };

const authority = makeAuthority();
const good = makeCertificate({ names: ["mx.test"], issuer: authority });
const selfSigned = makeCertificate({ names: ["mx.test"] });
const otherName = makeCertificate({ names: ["else.test"], issuer: authority });
const expired = makeCertificate({
  names: ["mx.test"],
  issuer: authority,
  notBefore: new Date(Date.now() - 9 * DAY),
  days: 1,
});

const MX = { mx: [{ preference: 1, exchange: "mx.test" }] };
const ZONE: DnsZone = {
  "strict.test": MX,
  "also-strict.test": MX,
  "testing.test": MX,
  "loose.test": MX,
  "mx.test": { a: ["127.0.0.2"] },
};

/** Every zone signed, with these TLSA records at the host. */
function signed(port: number, tlsa: readonly TlsaRecord[] | "servfail"): DnsZone {
  return {
    "d.test": { ...MX, secure: true },
    "mx.test": { a: ["127.0.0.2"], secure: true },
    [`_${port}._tcp.mx.test`]: { tlsa, secure: true },
  };
}

function tlsaOf({ certificate }: KeyPair): TlsaRecord {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return { usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(createHash("sha256").update(key).digest()) };
}

const modes: Readonly<Record<string, "enforce" | "testing">> = {
  "strict.test": "enforce",
  "also-strict.test": "enforce",
  "testing.test": "testing",
};

function policyOf(domain: string, mx: readonly string[] = ["mx.test"]): StsFinding {
  const mode = modes[domain];
  if (mode === undefined) return { kind: "none", reason: "no TXT record", failure: null };
  const [fetchedAt, expiresAt] = [instant(0), instant(1e15)];
  return {
    kind: "policy",
    policy: { domain, id: "1", mode, mx, lines: [`mode: ${mode}`], fetchedAt, expiresAt },
    failure: null,
  };
}

interface Setup extends Partial<DelivererOptions> {
  readonly zone?: DnsZone;
  readonly poolOptions?: PoolOptions;
}

/** A deliverer over one peer, with what reports were told. */
function sender(t: TestContext, { port }: TlsPeer, { zone = ZONE, poolOptions, ...options }: Setup = {}) {
  const pool = createPool(poolOptions);
  t.after(() => pool.close());
  const told: TlsResult[] = [];
  const deliverer = createDeliverer({
    hostname: "me.test",
    domains: [],
    routes: [],
    port,
    resolver: fakeResolver(zone),
    pool,
    clock: systemClock,
    random: seededRandom(1),
    connectTimeout: 2000,
    handshakeTimeout: 2000,
    ca: [authority.certificate],
    sts: { find: async (domain) => policyOf(domain) },
    results: { add: (result) => told.push(result) },
    ...options,
  });
  const send = async (recipient: string, parameters = {}, from: "local" | "submission" = "submission") => {
    const fixture = fixtureMessage([recipient], parameters);
    const message = { ...fixture, origin: { ...fixture.origin, service: from } };
    const [first] = message.recipients;
    assert.ok(first !== undefined);
    const destination = deliverer.destination(first.mailbox);
    const job = { message, recipients: message.recipients, destination, body };
    return brief((await deliverer.deliver(job, new AbortController().signal))[0]);
  };
  const results = (): string[] => told.map(({ domain, policy, type }) => `${domain} ${policy.type} ${type}`);
  return { send, results, told };
}

function brief(outcome: Outcome | undefined): string {
  if (outcome === undefined) return "none";
  if (outcome.kind === "delivered")
    return `delivered ${outcome.hop.tls === null ? "clear" : "tls"}: ${outcome.hop.rule}`;
  const turn = outcome.turnAt === undefined ? "" : ` turn ${outcome.turnAt}`;
  return `${outcome.kind} ${outcome.problem.status}${turn}: ${outcome.problem.text}`;
}

const messages = (peer: TlsPeer): number =>
  peer.connections.flatMap(({ clear, secure }) => [...clear, ...secure]).filter((line) => line === "DATA").length;

test("two domains on one exchanger keep their own rule: the session of the lax one never carries the strict one's mail", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const { send, results } = sender(t, peer);
  assert.match(await send("a@loose.test"), /^delivered tls: opportunistic/);
  assert.match(
    await send("a@strict.test"),
    /^deferred 4\.7\.5: the certificate of mx\.test is by no authority.*MTA-STS policy of strict\.test, mode enforce/,
  );
  assert.match(await send("a@loose.test"), /^delivered/);
  assert.equal(messages(peer), 2);
  assert.ok(keptSilence(peer));
  // Two sessions were asked for, three messages went: reports count sessions.
  assert.deepEqual(results(), ["loose.test no-policy-found success", "strict.test sts certificate-not-trusted"]);
});

test("domains that demand the same of one exchanger share its session", async (t) => {
  const peer = await tlsPeer(t, { pair: good });
  const { send, results } = sender(t, peer);
  assert.match(await send("a@strict.test"), /^delivered tls: verified \(MTA-STS policy of strict\.test/);
  assert.match(await send("a@also-strict.test"), /^delivered tls: verified \(MTA-STS policy of also-strict\.test/);
  assert.equal(peer.connections.length, 1);
  assert.deepEqual(results(), ["strict.test sts success"]);
});

test("what breaks an enforced policy defers and is told by its type, and nothing goes out in clear (RFC 8460 §4.3.1)", async (t) => {
  const cases = [
    [{ pair: null }, "starttls-not-supported"],
    [{ pair: good, starttls: "454 not now" }, "starttls-not-supported"],
    [{ pair: good, starttls: "500 what" }, "starttls-not-supported"],
    [{ pair: good, starttls: "220 go\r\n250 2.0.0 injected" }, "validation-failure"],
    [{ pair: good, garbage: "250 2.0.0 no TLS at all\r\n" }, "validation-failure"],
    [{ pair: otherName }, "certificate-host-mismatch"],
    [{ pair: expired }, "certificate-expired"],
    [{ pair: selfSigned }, "certificate-not-trusted"],
  ] as const;
  for (const [manner, type] of cases) {
    const peer = await tlsPeer(t, manner);
    const { send, results } = sender(t, peer, { clearTextAfterTlsFailure: true });
    assert.match(
      await send("a@strict.test"),
      /^deferred 4\.\d\.\d+: .*MTA-STS policy of strict\.test, mode enforce/,
      type,
    );
    assert.deepEqual(results(), [`strict.test sts ${type}`]);
    assert.ok(keptSilence(peer));
  }
});

test("while a policy is yet to be asked for nothing is connected to, and that is no attempt", async (t) => {
  const peer = await tlsPeer(t, { pair: good });
  const again = instant(Date.now() + 5000);
  const pending: StsFinding = { kind: "pending", reason: "no place", failure: null, again };
  const { send, told } = sender(t, peer, { sts: { find: async () => pending } });
  assert.match(await send("a@loose.test"), new RegExp(`^deferred 4\\.4\\.5 turn ${again}: `));
  assert.deepEqual([peer.connections.length, told], [0, []]);
});

test("a host that an enforced policy does not name is not connected to", async (t) => {
  const peer = await tlsPeer(t, { pair: good });
  const { send, told } = sender(t, peer, { sts: { find: async (domain) => policyOf(domain, ["other.test"]) } });
  assert.match(
    await send("a@strict.test"),
    /^deferred 4\.7\.5: mx\.test is no host of the MTA-STS policy of strict\.test/,
  );
  assert.equal(peer.connections.length, 0);
  assert.deepEqual(
    told.map(({ type, host }) => [type, host]),
    [["validation-failure", "mx.test"]],
  );
  assert.match(await send("a@testing.test"), /^delivered tls/);
  assert.equal(told.at(-1)?.type, "validation-failure");
});

test("a policy under test stops no mail, and what it would have stopped is told", async (t) => {
  const cases = [
    [{ pair: good }, "tls", "success"],
    [{ pair: selfSigned }, "tls", "certificate-not-trusted"],
    [{ pair: otherName }, "tls", "certificate-host-mismatch"],
    [{ pair: null }, "clear", "starttls-not-supported"],
  ] as const;
  for (const [manner, how, type] of cases) {
    const peer = await tlsPeer(t, manner);
    const { send, results } = sender(t, peer);
    assert.match(await send("a@testing.test"), new RegExp(`^delivered ${how}: opportunistic`));
    assert.deepEqual(results(), [`testing.test sts ${type}`]);
    assert.equal(peer.connections.length, 1);
  }
});

test("DANE: a match delivers whatever authority signed, all else defers (RFC 7672 §2.2)", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const by = (tlsa: readonly TlsaRecord[] | "servfail") => sender(t, peer, { zone: signed(peer.port, tlsa) });
  const matching = by([tlsaOf(selfSigned)]);
  assert.match(await matching.send("a@d.test"), /^delivered tls: dane \(TLSA records at _\d+\._tcp\.mx\.test/);
  assert.deepEqual(matching.results(), ["d.test tlsa success"]);
  const other = by([tlsaOf(good)]);
  assert.match(await other.send("a@d.test"), /^deferred 4\.7\.5: the certificate of mx\.test matches none of its TLSA/);
  assert.deepEqual(other.results(), ["d.test tlsa validation-failure"]);
  const failing = by("servfail");
  assert.match(await failing.send("a@d.test"), /^deferred 4\.7\.5: the TLSA lookup for mx\.test failed/);
  assert.deepEqual(failing.results(), ["d.test tlsa dnssec-invalid"]);
  const unusable = by([{ ...tlsaOf(good), usage: 1 }]);
  assert.match(await unusable.send("a@d.test"), /^delivered tls: encrypted/);
  assert.deepEqual(unusable.results(), ["d.test tlsa tlsa-invalid"]);
  peer.manner.pair = null;
  const stripped = by([tlsaOf(selfSigned)]);
  assert.match(await stripped.send("a@d.test"), /^deferred 4\.7\.4: mx\.test does not offer STARTTLS/);
  assert.ok(keptSilence(peer));
});

test("TLSA records without DNSSEC, or switched off, count for nothing", async (t) => {
  const peer = await tlsPeer(t, { pair: good });
  const zone = signed(peer.port, [tlsaOf(selfSigned)]);
  const forged = Object.fromEntries(
    Object.entries(zone).map(([name, entry]) => [name, { ...Object(entry), secure: false }]),
  );
  assert.match(await sender(t, peer, { zone: forged }).send("a@d.test"), /^delivered tls: opportunistic/);
  assert.match(await sender(t, peer, { zone, dane: false }).send("a@d.test"), /^delivered tls: opportunistic/);
  const routes = [{ match: "*", via: { kind: "mx" }, tls: "dane" }] as const;
  const mandatory = sender(t, peer, { zone: forged, routes });
  assert.match(await mandatory.send("a@d.test"), /^deferred 4\.7\.5: route "\*" demands DANE/);
  assert.deepEqual(mandatory.results(), ["d.test tlsa dane-required"]);
});

test("a configured host can be held to its TLSA records, and is no matter of reports (RFC 7672 §2.2.2)", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const via = { kind: "smtp", host: "mx.test", port: peer.port } as const;
  const routes = [{ match: "*", via, tls: "dane" }] as const;
  const { send, results } = sender(t, peer, { zone: signed(peer.port, [tlsaOf(selfSigned)]), routes });
  assert.match(await send("a@d.test"), /^delivered tls: dane/);
  assert.deepEqual(results(), []);
  const wrong = sender(t, peer, { zone: signed(peer.port, [tlsaOf(good)]), routes });
  assert.match(await wrong.send("a@d.test"), /^deferred 4\.7\.5/);
});

test("a route's pins, own authorities and client certificate are used", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const pin = new X509Certificate(selfSigned.certificate).publicKey.export({ type: "spki", format: "der" });
  const pins = [createHash("sha256").update(pin).digest("hex")];
  const route = { match: "*", via: { kind: "mx" }, tls: "verified" } as const;
  const by = (change: object) => sender(t, peer, { routes: [{ ...route, ...change }], ca: [] });
  assert.match(await by({ pins, clientCertificate: good }).send("a@loose.test"), /^delivered tls: verified/);
  assert.match(await by({}).send("a@loose.test"), /^deferred 4\.7\.5/);
  peer.manner.pair = good;
  assert.match(await by({ ca: [authority.certificate] }).send("a@loose.test"), /^delivered tls: verified/);
  peer.manner.maxVersion = "TLSv1.2";
  assert.match(await by({ ca: [authority.certificate] }).send("a@loose.test"), /^delivered tls: verified/);
  const newer = by({ ca: [authority.certificate], minVersion: "TLSv1.3" });
  assert.match(await newer.send("a@loose.test"), /^deferred 4\.7\.5: the TLS handshake with mx\.test failed/);
});

function memoryAt(clock: ReturnType<typeof fakeClock>): HostMemory {
  return createHostMemory({ file: new DatabaseSync(":memory:"), clock: clock.clock, hold: DAY });
}

test("a host that offered TLS and no longer does is held to it for the set time, told in the log, and then believed", async (t) => {
  const time = fakeClock(instant(Date.now()));
  const warned: (readonly [string, unknown])[] = [];
  const log: Log = { ...silentLog, child: () => log, warn: (event, fields) => void warned.push([event, fields]) };
  const peer = await tlsPeer(t, { pair: selfSigned });
  const memory = memoryAt(time);
  const setup = { memory, log, clearTextAfterTlsFailure: true, poolOptions: { maxTransactions: 1 } };
  const { send } = sender(t, peer, setup);
  assert.match(await send("a@loose.test"), /^delivered tls: opportunistic/);
  assert.match(await send("a@loose.test"), /^delivered tls: encrypted \(held to what it proved last on .*: TLSv1\.3;/);
  peer.manner.pair = null;
  const until = new Date(time.clock.now() + DAY).toISOString();
  const deferred = await send("a@loose.test");
  assert.match(deferred, /^deferred 4\.7\.4: mx\.test does not offer STARTTLS.*held to what it proved/);
  assert.ok(deferred.endsWith(`until ${until}`));
  assert.deepEqual(
    warned.map(([event, fields]) => [event, Object(fields).host, Object(fields).until]),
    [["delivery.downgrade.held", "mx.test", until]],
  );
  time.advance(DAY - HOUR);
  assert.match(await send("a@loose.test"), /^deferred/);
  assert.ok(keptSilence(peer));
  time.advance(2 * HOUR);
  assert.match(await send("a@loose.test"), /^delivered clear: opportunistic/);
  peer.manner.pair = selfSigned;
  assert.match(await send("a@loose.test"), /^delivered tls: opportunistic/);
});

test("a host is held for one domain's mail alone, and TLS-Required: No is not held at all", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const memory = memoryAt(fakeClock(instant(Date.now())));
  const { send } = sender(t, peer, { memory, poolOptions: { maxTransactions: 1 } });
  assert.match(await send("a@loose.test"), /^delivered tls/);
  peer.manner.pair = null;
  assert.match(await send("a@testing.test"), /^delivered clear/);
  assert.match(await send("a@loose.test", { tlsOptional: true }), /^delivered clear: opportunistic \(TLS-Required: No/);
  assert.match(await send("a@loose.test"), /^deferred 4\.7\.4/);
});

test("a policy under test that was met is nothing a host is held to later", async (t) => {
  const peer = await tlsPeer(t, { pair: good });
  const memory = memoryAt(fakeClock(instant(Date.now())));
  const { send } = sender(t, peer, { memory, poolOptions: { maxTransactions: 1 } });
  assert.match(await send("a@testing.test"), /^delivered tls/);
  peer.manner.pair = selfSigned;
  assert.match(await send("a@testing.test"), /^delivered tls/);
});

test("TLS-Required: No: no policy stops the message, what it broke is told, and the route's level stands (RFC 8689 §4.2.2)", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const { send, results } = sender(t, peer);
  assert.match(await send("a@strict.test", { tlsOptional: true }), /^delivered tls: opportunistic \(TLS-Required: No/);
  assert.deepEqual(results(), ["strict.test sts certificate-not-trusted"]);
  const routes = [{ match: "*", via: { kind: "mx" }, tls: "verified" }] as const;
  assert.match(await sender(t, peer, { routes }).send("a@strict.test", { tlsOptional: true }), /^deferred 4\.7\.5/);
  peer.manner.pair = null;
  assert.match(await sender(t, peer).send("a@strict.test", { tlsOptional: true }), /^delivered clear/);
  // Both: REQUIRETLS counts, and the field is ignored (RFC 8689 §4.1).
  const both = await sender(t, peer).send("a@strict.test", { tlsOptional: true, requireTls: true });
  assert.match(both, /^failed 5\.7\.10/);
});

test("the mail that carries a TLS report passes what it may tell of, and its session is in no report (RFC 8460 §3)", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned });
  const { send, results } = sender(t, peer, { poolOptions: { maxTransactions: 1 } });
  assert.match(await send("a@strict.test", { tlsOptional: true }, "local"), /^delivered tls/);
  assert.deepEqual(results(), []);
  assert.match(await send("a@strict.test", {}, "local"), /^deferred 4\.7\.5/);
  assert.equal(results().length, 1);
});

test("TLS-Required: No goes on in clear text after a broken handshake, whatever the setting", async (t) => {
  const broken = makeCertificate({ names: ["mx.test"], keyType: "ed25519" });
  const peer = await tlsPeer(t, { pair: broken, maxVersion: "TLSv1.2" });
  const routes = [{ match: "*", via: { kind: "mx" }, minVersion: "TLSv1.3" }] as const;
  assert.match(await sender(t, peer, { routes }).send("a@loose.test"), /^deferred 4\.7\.5/);
  const sent = await sender(t, peer, { routes }).send("a@loose.test", { tlsOptional: true });
  assert.match(sent, /^delivered clear: clear text after a failed handshake/);
});

test("REQUIRETLS goes only where the name is proven and the host promises the same (RFC 8689 §4.2.1)", async (t) => {
  const peer = await tlsPeer(t, { pair: good, requireTls: true });
  const { send } = sender(t, peer);
  const demand = { requireTls: true };
  assert.match(await send("a@strict.test", demand), /^delivered tls: verified \(REQUIRETLS of the message/);
  assert.ok(peer.connections.some(({ secure }) => secure.some((line) => /^MAIL .*REQUIRETLS/.test(line))));
  assert.match(await send("a@testing.test", demand), /^failed 5\.7\.30/);
  assert.match(await send("a@loose.test", demand), /^failed 5\.7\.30/);
  const zone = signed(peer.port, [tlsaOf(good)]);
  assert.match(await sender(t, peer, { zone }).send("a@d.test", demand), /^delivered tls: dane/);
  peer.manner.requireTls = false;
  assert.match(
    await sender(t, peer).send("a@strict.test", demand),
    /^failed 5\.7\.30: mx\.test does not offer REQUIRETLS/,
  );
  peer.manner.pair = selfSigned;
  assert.match(await sender(t, peer).send("a@strict.test", demand), /^failed 5\.7\.10/);
  assert.ok(keptSilence(peer));
});

test("a host that hangs up on the large ClientHello is asked again with classical groups, remembered, and its policy stands", async (t) => {
  const peer = await tlsPeer(t, { pair: selfSigned, smallHelloOnly: true });
  const memory = memoryAt(fakeClock(instant(Date.now())));
  const setup = { memory, poolOptions: { maxTransactions: 1 } };
  const zone = signed(peer.port, [tlsaOf(selfSigned)]);
  const { send, results } = sender(t, peer, { ...setup, zone });
  assert.match(await send("a@d.test"), /^delivered tls: dane/);
  assert.equal(peer.connections.length, 2);
  assert.deepEqual(results(), ["d.test tlsa success"]);
  assert.ok(memory.classicalOnly("mx.test"));
  assert.match(await send("a@d.test"), /^delivered tls: dane/);
  assert.equal(peer.connections.length, 3);
  const other = sender(t, peer, { ...setup, zone: signed(peer.port, [tlsaOf(good)]) });
  assert.match(await other.send("a@d.test"), /^deferred 4\.7\.5/);
  assert.ok(keptSilence(peer));
});

test("TLS sessions are resumed under the same demand, and not when that is switched off", async (t) => {
  for (const [tlsResumption, expected] of [
    [true, true],
    [false, false],
  ] as const) {
    const peer = await tlsPeer(t, { pair: good, maxVersion: "TLSv1.2" });
    const { send } = sender(t, peer, { tlsResumption, poolOptions: { maxTransactions: 1 } });
    for (const recipient of ["a@strict.test", "a@strict.test", "a@loose.test"]) {
      assert.match(await send(recipient), /^delivered tls/);
    }
    assert.deepEqual(
      peer.connections.map(({ resumed }) => resumed),
      [false, expected, false],
    );
  }
});
