import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TlsaRecord } from "../net/index.ts";
import { type DnsZone, fakeResolver } from "../testing/index.ts";
import { type DaneHost, findDane } from "./dane.ts";
import type { DaneFinding } from "./model.ts";

const record = (usage: number, matchingType = 1, octets = 32): TlsaRecord => ({
  usage,
  selector: 1,
  matchingType,
  data: new Uint8Array(octets).fill(usage),
});

const secureHost: DaneHost = { name: "mx.test", canonical: "mx.test", secure: true };
const secureAlias: DaneHost = { name: "mx.test", canonical: "host.test", secure: true };
const unsignedTail: DaneHost = { name: "mx.test", canonical: "host.test", secure: false };

interface Given {
  readonly host?: DaneHost;
  readonly nextHop?: string | null;
  readonly port?: number;
}

async function find(zone: DnsZone, given: Given = {}): Promise<{ finding: DaneFinding; asked: readonly string[] }> {
  const resolver = fakeResolver(zone);
  const { host = secureHost, nextHop = null, port = 25 } = given;
  const finding = await findDane({ resolver, host, nextHop, port });
  return { finding, asked: resolver.asked };
}

const mxTlsa = "_25._tcp.mx.test";
const hostTlsa = "_25._tcp.host.test";

describe("a host that is no alias", () => {
  test("its usable records are given, and only they", async () => {
    const { finding, asked } = await find({
      [mxTlsa]: { tlsa: [record(3), record(1), record(3, 2, 64)], secure: true },
    });
    assert.deepEqual(finding, {
      kind: "records",
      owner: mxTlsa,
      base: "mx.test",
      names: ["mx.test"],
      records: [record(3), record(3, 2, 64)],
    });
    assert.deepEqual(asked, [`tlsa ${mxTlsa}`]);
  });

  test("the port that will be connected to is the one asked for", async () => {
    const { asked } = await find({}, { port: 2525 });
    assert.deepEqual(asked, ["tlsa _2525._tcp.mx.test"]);
  });

  test("whose addresses are not validated is not asked for TLSA, and for nothing else", async () => {
    const { finding, asked } = await find(
      { [mxTlsa]: { tlsa: [record(3)], secure: true } },
      { host: { ...secureHost, secure: false } },
    );
    assert.equal(finding.kind, "none");
    assert.deepEqual(asked, []);
  });

  test("none: the name is absent, has no such record, or the records are not validated", async () => {
    const zones: DnsZone[] = [
      {},
      { [mxTlsa]: { absent: true, secure: true } },
      { [mxTlsa]: { secure: true } },
      { [mxTlsa]: {} },
      { [mxTlsa]: { tlsa: [record(3)] } },
    ];
    for (const zone of zones) assert.equal((await find(zone)).finding.kind, "none", JSON.stringify(zone));
  });

  test("a lookup that fails in whatever way is a failure, never an absence", async () => {
    for (const failure of ["servfail", "timeout", "refused"] as const) {
      const { finding } = await find({ [mxTlsa]: failure });
      assert.equal(finding.kind, "failed", failure);
      assert.ok(finding.kind === "failed" && finding.detail.includes(mxTlsa));
    }
  });

  test("unusable: usages 0 and 1, unknown parameters, digests of the wrong length", async () => {
    for (const tlsa of [
      record(0),
      record(1),
      record(4),
      { ...record(3), selector: 2 },
      record(3, 3),
      record(3, 1, 31),
    ]) {
      const { finding } = await find({ [mxTlsa]: { tlsa: [tlsa], secure: true } });
      assert.equal(finding.kind, "unusable", JSON.stringify(tlsa));
      assert.ok(finding.kind === "unusable" && finding.owner === mxTlsa && finding.base === "mx.test");
    }
  });

  test("an alias in place of the TLSA record leads to it, and does not change the base", async () => {
    const shared = { "tlsa._dane.test": { tlsa: [record(2)], secure: true } };
    const { finding } = await find({ [mxTlsa]: { cname: "tlsa._dane.test", secure: true }, ...shared });
    assert.ok(finding.kind === "records");
    assert.deepEqual([finding.owner, finding.base, finding.names], [mxTlsa, "mx.test", ["mx.test"]]);
    const unsigned = await find({ [mxTlsa]: { cname: "tlsa._dane.test" }, ...shared });
    assert.equal(unsigned.finding.kind, "none");
    const broken = await find({ [mxTlsa]: { cname: "tlsa._dane.test", secure: true }, "tlsa._dane.test": "servfail" });
    assert.equal(broken.finding.kind, "failed");
  });

  test("an address has no TLSA records", async () => {
    for (const name of ["[192.0.2.1]", "192.0.2.1", "2001:db8::1", "[IPv6:2001:db8::1]"]) {
      const { finding, asked } = await find({}, { host: { name, canonical: name, secure: true } });
      assert.equal(finding.kind, "none", name);
      assert.deepEqual(asked, [], name);
    }
  });
});

describe("a host that is an alias", () => {
  test("validated throughout: the last name first, and then the first one", async () => {
    const both = await find(
      { [hostTlsa]: { tlsa: [record(3)], secure: true }, [mxTlsa]: { tlsa: [record(3)], secure: true } },
      { host: secureAlias },
    );
    assert.ok(both.finding.kind === "records" && both.finding.base === "host.test");
    assert.deepEqual(both.asked, [`tlsa ${hostTlsa}`]);
    for (const expanded of [{ absent: true, secure: true }, { secure: true }, { tlsa: [record(3)] }]) {
      const { finding, asked } = await find(
        { [hostTlsa]: expanded, [mxTlsa]: { tlsa: [record(3)], secure: true } },
        { host: secureAlias },
      );
      assert.ok(finding.kind === "records" && finding.base === "mx.test");
      assert.deepEqual(asked, [`tlsa ${hostTlsa}`, `tlsa ${mxTlsa}`]);
    }
    assert.equal((await find({}, { host: secureAlias })).finding.kind, "none");
  });

  test("the first validated set decides, usable or not", async () => {
    const { finding } = await find(
      { [hostTlsa]: { tlsa: [record(0)], secure: true }, [mxTlsa]: { tlsa: [record(3)], secure: true } },
      { host: secureAlias },
    );
    assert.ok(finding.kind === "unusable" && finding.base === "host.test");
  });

  test("a failure at either name is a failure", async () => {
    const first = await find(
      { [hostTlsa]: "servfail", [mxTlsa]: { tlsa: [record(3)], secure: true } },
      { host: secureAlias },
    );
    assert.equal(first.finding.kind, "failed");
    const second = await find({ [mxTlsa]: "timeout" }, { host: secureAlias });
    assert.equal(second.finding.kind, "failed");
  });

  test("signed itself, with an unsigned end: the first name alone can have records", async () => {
    const { finding, asked } = await find(
      {
        "mx.test": { cname: "host.test", secure: true },
        [hostTlsa]: { tlsa: [record(3)], secure: true },
        [mxTlsa]: { tlsa: [record(3)], secure: true },
      },
      { host: unsignedTail },
    );
    assert.ok(finding.kind === "records" && finding.base === "mx.test");
    assert.deepEqual(asked, ["cname mx.test", `tlsa ${mxTlsa}`]);
  });

  test("not signed: no TLSA is asked for; not to be had: a failure", async () => {
    const tlsa = { [mxTlsa]: { tlsa: [record(3)], secure: true } };
    const unsigned = await find({ "mx.test": { cname: "host.test" }, ...tlsa }, { host: unsignedTail });
    assert.equal(unsigned.finding.kind, "none");
    assert.deepEqual(unsigned.asked, ["cname mx.test"]);
    const gone = await find({ "mx.test": { secure: true }, ...tlsa }, { host: unsignedTail });
    assert.equal(gone.finding.kind, "none");
    const broken = await find({ "mx.test": "servfail", ...tlsa }, { host: unsignedTail });
    assert.equal(broken.finding.kind, "failed");
  });
});

describe("names that a certificate under a trust anchor may bear", () => {
  const names = async (zone: DnsZone, given: Given): Promise<readonly string[]> => {
    const { finding } = await find(zone, given);
    assert.ok(finding.kind === "records");
    return finding.names;
  };
  const anchor = { tlsa: [record(2)], secure: true };
  const exchange = { mx: [{ preference: 10, exchange: "mx.test" }], secure: true };

  test("the base and the domain whose MX named the host", async () => {
    const zone = { [mxTlsa]: anchor, "example.test": exchange };
    assert.deepEqual(await names(zone, { nextHop: "example.test" }), ["mx.test", "example.test"]);
  });

  test("and what that domain is an alias for, where that is validated", async () => {
    const zone = { [mxTlsa]: anchor, "example.test": exchange, "alias.test": { cname: "example.test", secure: true } };
    assert.deepEqual(await names(zone, { nextHop: "alias.test" }), ["mx.test", "alias.test", "example.test"]);
    const unsigned = { ...zone, "alias.test": { cname: "example.test" } };
    assert.deepEqual(await names(unsigned, { nextHop: "alias.test" }), ["mx.test", "alias.test"]);
    const broken = { ...zone, "alias.test": "servfail" } as const;
    assert.deepEqual(await names(broken, { nextHop: "alias.test" }), ["mx.test", "alias.test"]);
  });

  test("not the host's name before its aliases, where MX named it", async () => {
    const zone = { [hostTlsa]: anchor, "example.test": exchange };
    assert.deepEqual(await names(zone, { host: secureAlias, nextHop: "example.test" }), ["host.test", "example.test"]);
  });

  test("but that too, where no MX named it", async () => {
    assert.deepEqual(await names({ [hostTlsa]: anchor }, { host: secureAlias, nextHop: "mx.test" }), [
      "host.test",
      "mx.test",
    ]);
    assert.deepEqual(await names({ [hostTlsa]: anchor }, { host: secureAlias }), ["host.test", "mx.test"]);
    assert.deepEqual(await names({ [mxTlsa]: anchor }, {}), ["mx.test"]);
  });

  test("no MX is asked for where every record names the host's own key", async () => {
    const { asked } = await find({ [mxTlsa]: { tlsa: [record(3)], secure: true } }, { nextHop: "example.test" });
    assert.deepEqual(asked, [`tlsa ${mxTlsa}`]);
  });
});
