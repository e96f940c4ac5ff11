import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../base/index.ts";
import type { DnsAnswer, MxRecord, Resolver } from "../net/index.ts";
import { type DnsZone, fakeResolver } from "../testing/index.ts";
import { type HostLookupContext, interleave, lookUpExchangers, lookUpHost, MAX_HOSTS, orderRecords } from "./mx.ts";

type Zone = Record<string, { mx?: MxRecord[] | "servfail"; a?: string[] | "servfail"; aaaa?: string[] | "servfail" }>;

/** A resolver over a zone; a name that is missing does not exist. */
function resolver(zone: Zone, asked: string[] = []): Resolver {
  const answer = <T>(name: string, records: readonly T[] | "servfail" | undefined): DnsAnswer<T> => {
    if (records === "servfail") return { kind: "failed", reason: "servfail", detail: "told to" };
    if (!(name in zone)) return { kind: "noName", secure: false };
    if (records === undefined || records.length === 0) return { kind: "noData", secure: false };
    return { kind: "found", records, name, secure: false, ttl: 60 };
  };
  return {
    mx: async (name) => {
      asked.push(`mx ${name}`);
      return answer(name, zone[name]?.mx);
    },
    addresses: async (name, family) => {
      asked.push(`${family} ${name}`);
      return answer(name, family === 4 ? zone[name]?.a : zone[name]?.aaaa);
    },
    txt: async () => ({ kind: "noData", secure: false }),
    reverse: async () => ({ kind: "noData", secure: false }),
    tlsa: async () => ({ kind: "noData", secure: false }),
    cname: async () => ({ kind: "noData", secure: false }),
    srv: async () => ({ kind: "noData", secure: false }),
  };
}

function context(zone: Zone, self: readonly string[] = [], asked?: string[]): HostLookupContext {
  return {
    resolver: resolver(zone, asked),
    random: seededRandom(1),
    hostname: "me.test",
    port: 25,
    isSelf: (address, port) => self.includes(`${address} ${port}`),
  };
}

const mx = (preference: number, exchange: string): MxRecord => ({ preference, exchange });

async function names(zone: Zone, self?: readonly string[]): Promise<readonly string[]> {
  const lookup = await lookUpExchangers("d.test", context(zone, self));
  return lookup.kind === "hosts" ? lookup.hosts.map(({ name }) => name) : [`${lookup.kind} ${lookup.problem.status}`];
}

test("hosts come by preference, those without an address are passed over", async () => {
  const zone: Zone = {
    "d.test": { mx: [mx(20, "b.test"), mx(10, "a.test"), mx(5, "gone.test")] },
    "a.test": { a: ["192.0.2.1"], aaaa: ["2001:db8::1"] },
    "b.test": { a: ["192.0.2.2"] },
  };
  assert.deepEqual(await names(zone), ["a.test", "b.test"]);
  const lookup = await lookUpExchangers("d.test", context(zone));
  assert.deepEqual(lookup.kind === "hosts" && lookup.hosts[0]?.addresses, ["2001:db8::1", "192.0.2.1"]);
});

test("equals come in every order, and never before a better one", () => {
  const records = [mx(10, "a"), mx(10, "b"), mx(10, "c"), mx(1, "best"), mx(99, "a")];
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const order = orderRecords(records, seededRandom(seed)).map(({ exchange }) => exchange);
    assert.equal(order[0], "best");
    assert.equal(order.length, 4);
    seen.add(order.join());
  }
  assert.equal(seen.size, 6);
});

test("only the absence of MX makes the domain its own exchanger", async () => {
  assert.deepEqual(await names({ "d.test": { a: ["192.0.2.1"] } }), ["d.test"]);
  assert.deepEqual(await names({ "d.test": { aaaa: ["2001:db8::1"], a: "servfail" } }), ["d.test"]);
  assert.deepEqual(await names({ "d.test": {} }), ["failed 5.4.4"]);
  assert.deepEqual(await names({ "d.test": { a: "servfail" } }), ["deferred 4.4.3"]);
  assert.deepEqual(await names({}), ["failed 5.1.2"]);
  const asked: string[] = [];
  const failing = context({ "d.test": { mx: "servfail", a: ["192.0.2.1"] } }, [], asked);
  const lookup = await lookUpExchangers("d.test", failing);
  assert.equal(lookup.kind, "deferred");
  assert.deepEqual(asked, ["mx d.test"]);
});

test("a null MX counts only alone (RFC 7505 §3)", async () => {
  assert.deepEqual(await names({ "d.test": { mx: [mx(0, "")], a: ["192.0.2.1"] } }), ["failed 5.1.10"]);
  const beside: Zone = { "d.test": { mx: [mx(0, ""), mx(10, "a.test")] }, "a.test": { a: ["192.0.2.1"] } };
  assert.deepEqual(await names(beside), ["a.test"]);
});

test("unknown addresses defer, missing ones fail, and a host in doubt is remembered", async () => {
  const zone: Zone = {
    "d.test": { mx: [mx(1, "doubt.test"), mx(2, "a.test")] },
    "a.test": { a: ["192.0.2.1"] },
    "doubt.test": { a: "servfail" },
  };
  const lookup = await lookUpExchangers("d.test", context(zone));
  assert.deepEqual(lookup.kind === "hosts" && lookup.unresolved, ["doubt.test"]);
  assert.deepEqual(await names({ ...zone, "a.test": {} }), ["deferred 4.4.3"]);
  assert.deepEqual(await names({ ...zone, "a.test": {}, "doubt.test": {} }), ["failed 5.4.4"]);
});

test("this host's preference and worse ones are dropped (RFC 5321 §5.1)", async () => {
  const zone: Zone = {
    "d.test": { mx: [mx(1, "best.test"), mx(5, "me.test"), mx(5, "equal.test"), mx(9, "worse.test")] },
    "best.test": { a: ["192.0.2.1"] },
    "me.test": { a: ["192.0.2.9"] },
    "equal.test": { a: ["192.0.2.3"] },
    "worse.test": { a: ["192.0.2.4"] },
  };
  assert.deepEqual(await names(zone), ["best.test"]);
  assert.deepEqual(await names(zone, ["192.0.2.1 25"]), ["failed 5.4.6"]);
  assert.deepEqual(await names(zone, ["192.0.2.1 2525"]), ["best.test"]);
  assert.deepEqual(await names({ ...zone, "best.test": { a: "servfail" } }), ["deferred 4.4.3"]);
  assert.deepEqual(await names({ "d.test": { a: ["192.0.2.9"] } }, ["192.0.2.9 25"]), ["failed 5.4.6"]);
});

test("a hostile zone costs a bounded number of lookups", async () => {
  const records = Array.from({ length: 300 }, (_, i) => mx(i, `h${i}.test`));
  const zone: Zone = { "d.test": { mx: records } };
  for (const { exchange } of records) zone[exchange] = { a: Array.from({ length: 99 }, (_, i) => `192.0.2.${i}`) };
  const asked: string[] = [];
  const lookup = await lookUpExchangers("d.test", context(zone, [], asked));
  assert.equal(lookup.kind === "hosts" && lookup.hosts.length, MAX_HOSTS);
  assert.equal(asked.length, 1 + 2 * MAX_HOSTS);
  assert.ok(lookup.kind === "hosts" && lookup.hosts.every(({ addresses }) => addresses.length <= 8));
});

test("address literals are not looked up", async () => {
  const asked: string[] = [];
  const lookup = await lookUpExchangers("[IPv6:2001:db8::1]", context({}, [], asked));
  assert.deepEqual(lookup.kind === "hosts" && lookup.hosts, [
    { name: "[IPv6:2001:db8::1]", canonical: "[IPv6:2001:db8::1]", addresses: ["2001:db8::1"], secure: false },
  ]);
  assert.deepEqual(asked, []);
  assert.equal((await lookUpExchangers("[X:abc]", context({}))).kind, "failed");
  assert.equal((await lookUpExchangers("[192.0.2.1]", context({}, ["192.0.2.1 25"]))).kind, "failed");
});

test("a host is secure by the family that was had: breaking the other lookup does not hide that a zone is signed", async () => {
  const found = async (zone: DnsZone) => {
    const lookup = await lookUpExchangers("d.test", { ...context({}), resolver: fakeResolver(zone) });
    assert.ok(lookup.kind === "hosts");
    return [lookup.secure, ...lookup.hosts.map(({ name, canonical, secure }) => [name, canonical, secure])];
  };
  const d = { mx: [mx(1, "a.test")], secure: true };
  const signed = { secure: true, a: ["192.0.2.1"] };
  assert.deepEqual(await found({ "d.test": d, "a.test": signed }), [true, ["a.test", "a.test", true]]);
  const broken = { ...signed, aaaa: "servfail" } as const;
  assert.deepEqual(await found({ "d.test": d, "a.test": broken }), [true, ["a.test", "a.test", true]]);
  // An answer of the other family that says "none" without being validated names no address that would be connected to.
  const resolver = fakeResolver({ "d.test": d, "a.test": signed });
  const emptied: Resolver = {
    ...resolver,
    addresses: async (name, family) =>
      family === 6 ? { kind: "noData", secure: false } : await resolver.addresses(name, family),
  };
  const half = await lookUpExchangers("d.test", { ...context({}), resolver: emptied });
  assert.equal(half.kind === "hosts" && half.hosts[0]?.secure, true);
  const unsigned = { a: ["192.0.2.1"] };
  assert.deepEqual(await found({ "d.test": d, "a.test": unsigned }), [true, ["a.test", "a.test", false]]);
  const alias = { "d.test": d, "a.test": { cname: "b.test", secure: true }, "b.test": signed };
  assert.deepEqual(await found(alias), [true, ["a.test", "b.test", true]]);
  const own = { "d.test": { ...signed } };
  assert.deepEqual(await found(own), [true, ["d.test", "d.test", true]]);
  assert.deepEqual(await found({ "d.test": { ...d, secure: false }, "a.test": signed }), [
    false,
    ["a.test", "a.test", true],
  ]);
});

test("a configured host is taken as it is, and trouble with it never loses mail", async () => {
  const zone: Zone = { "relay.test": { a: ["192.0.2.1"], mx: [mx(1, "other.test")] } };
  const status = async (host: string, self?: readonly string[]): Promise<string> => {
    const lookup = await lookUpHost(host, context(zone, self));
    return lookup.kind === "hosts"
      ? (lookup.hosts[0]?.addresses.join() ?? "")
      : `${lookup.kind} ${lookup.problem.status}`;
  };
  assert.equal(await status("relay.test"), "192.0.2.1");
  assert.equal(await status("2001:db8::1"), "2001:db8::1");
  assert.equal(await status("missing.test"), "deferred 4.4.4");
  assert.equal(await status("relay.test", ["192.0.2.1 25"]), "deferred 4.3.5");
});

test("both families take turns", () => {
  assert.deepEqual(interleave(["a", "b", "c"], ["x"]), ["a", "x", "b", "c"]);
  assert.deepEqual(interleave([], ["x", "y"]), ["x", "y"]);
});
