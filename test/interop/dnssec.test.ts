// Zones that a real Knot signs, validated by a real Unbound: what our resolver makes of it, and what DANE makes of that.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createResolver, type DnsAnswer, type Resolver } from "../../src/net/index.ts";
import { type DaneFinding, findDane } from "../../src/trust/index.ts";
import { type Dnssec, startDnssec } from "./dnssec.ts";
import { needs } from "./peers.ts";

const DIGEST = "ab".repeat(32);
const options = await needs("dnssec");

const signed = [
  "@ IN MX 10 mx",
  '@ IN TXT "v=spf1 -all"',
  "mx IN A 192.0.2.1",
  "mx IN AAAA 2001:db8::1",
  `_25._tcp.mx IN TLSA 3 1 1 ${DIGEST}`,
  "anchored IN A 192.0.2.2",
  `_25._tcp.anchored IN TLSA 2 0 1 ${DIGEST}`,
  "pkix IN A 192.0.2.3",
  `_25._tcp.pkix IN TLSA 1 1 1 ${DIGEST}`,
  "bare IN A 192.0.2.4",
  "broken IN A 192.0.2.5",
  "_25._tcp.broken IN CNAME tlsa.bogus.test.",
  "shared IN A 192.0.2.6",
  "_25._tcp.shared IN CNAME tlsa",
  `tlsa IN TLSA 3 1 1 ${DIGEST}`,
  // Aliases: to a host with records, to one without, and out of what is signed.
  "alias IN CNAME mx",
  "toplain IN CNAME mx.plain.test.",
  `_25._tcp.toplain IN TLSA 3 1 1 ${DIGEST}`,
  "tobare IN CNAME bare",
  `_25._tcp.tobare IN TLSA 3 1 1 ${DIGEST}`,
  "www IN CNAME signed.test.",
  "*.wild IN A 192.0.2.7",
  `*._tcp.mx.wild IN TLSA 3 1 1 ${DIGEST}`,
  "mx.wild IN A 192.0.2.8",
  "_submissions._tcp IN SRV 0 1 465 mx",
  // More than one datagram holds.
  ...Array.from({ length: 40 }, (_, at) => `large IN TXT "${at} ${"x".repeat(200)}"`),
];
const plain = [
  "@ IN MX 10 mx",
  "mx IN A 192.0.2.20",
  `_25._tcp.mx IN TLSA 3 1 1 ${DIGEST}`,
  "tosigned IN CNAME mx.signed.test.",
];
const bogus = ["@ IN MX 10 mx", "mx IN A 192.0.2.30", `tlsa IN TLSA 3 1 1 ${DIGEST}`];

describe("real DNSSEC", options, () => {
  let dnssec: Dnssec;
  let dns: Resolver;

  before(async () => {
    dnssec = await startDnssec({
      zones: {
        "signed.test": { trust: "anchored", lines: signed },
        "plain.test": { trust: "insecure", lines: plain },
        "bogus.test": { trust: "bogus", lines: bogus },
      },
    });
    dns = createResolver({ servers: [dnssec.address], trustAd: true });
  });
  after(() => dnssec?.[Symbol.asyncDispose]());

  const brief = (answer: DnsAnswer<unknown>): string =>
    answer.kind === "failed" ? answer.reason : `${answer.kind} ${answer.secure ? "secure" : "insecure"}`;

  test("a signed zone: records of each kind are validated", async () => {
    const answers = await Promise.all([
      dns.mx("signed.test"),
      dns.addresses("mx.signed.test", 4),
      dns.addresses("mx.signed.test", 6),
      dns.txt("signed.test"),
      dns.tlsa("_25._tcp.mx.signed.test"),
      dns.srv("_submissions._tcp.signed.test"),
      dns.cname("alias.signed.test"),
    ]);
    assert.deepEqual(
      answers.map((answer) => [brief(answer), answer.kind === "found" && answer.records.length]),
      answers.map(() => ["found secure", 1]),
    );
    const [, , , , tlsa] = answers;
    assert.deepEqual(tlsa.kind === "found" && tlsa.records, [
      { usage: 3, selector: 1, matchingType: 1, data: new Uint8Array(32).fill(0xab) },
    ]);
  });

  test("absences are validated too", async () => {
    assert.equal(brief(await dns.mx("nowhere.signed.test")), "noName secure");
    assert.equal(brief(await dns.mx("mx.signed.test")), "noData secure");
    assert.equal(brief(await dns.tlsa("_25._tcp.bare.signed.test")), "noName secure");
    assert.equal(brief(await dns.cname("mx.signed.test")), "noData secure");
  });

  test("an unsigned zone is insecure, and no failure", async () => {
    assert.equal(brief(await dns.mx("plain.test")), "found insecure");
    assert.equal(brief(await dns.tlsa("_25._tcp.mx.plain.test")), "found insecure");
    assert.equal(brief(await dns.mx("nowhere.plain.test")), "noName insecure");
    assert.equal(brief(await dns.addresses("plain.test", 4)), "noData insecure");
  });

  test("a zone signed by another key is a failure for what is there and for what is not", async () => {
    assert.equal(brief(await dns.mx("bogus.test")), "servfail");
    assert.equal(brief(await dns.addresses("mx.bogus.test", 4)), "servfail");
    assert.equal(brief(await dns.mx("nowhere.bogus.test")), "servfail");
    assert.equal(brief(await dns.tlsa("_25._tcp.mx.bogus.test")), "servfail");
  });

  test("what nobody answers for is a failure", async () => {
    assert.equal(brief(await dns.mx("elsewhere.example")), "servfail");
  });

  test("a chain is as secure as its weakest link, and its first link can be asked for alone", async () => {
    const alias = await dns.addresses("alias.signed.test", 4);
    assert.deepEqual([brief(alias), alias.kind === "found" && alias.name], ["found secure", "mx.signed.test"]);
    assert.equal(brief(await dns.mx("www.signed.test")), "found secure");
    assert.equal(brief(await dns.addresses("toplain.signed.test", 4)), "found insecure");
    assert.equal(brief(await dns.cname("toplain.signed.test")), "found secure");
    assert.equal(brief(await dns.addresses("tosigned.plain.test", 4)), "found insecure");
    assert.equal(brief(await dns.tlsa("_25._tcp.broken.signed.test")), "servfail");
  });

  test("a wildcard is validated with the proof that there is nothing nearer", async () => {
    assert.equal(brief(await dns.addresses("any.wild.signed.test", 4)), "found secure");
    assert.equal(brief(await dns.addresses("any.wild.signed.test", 6)), "noData secure");
    assert.equal(brief(await dns.tlsa("_25._tcp.mx.wild.signed.test")), "found secure");
  });

  test("an answer beyond one datagram comes by TCP, validated", async () => {
    const large = await dns.txt("large.signed.test");
    assert.deepEqual([brief(large), large.kind === "found" && large.records.length], ["found secure", 40]);
  });

  test("without trust in AD nothing is secure, and a bogus zone fails all the same", async () => {
    const wary = createResolver({ servers: [dnssec.address] });
    assert.equal(brief(await wary.mx("signed.test")), "found insecure");
    assert.equal(brief(await wary.mx("nowhere.signed.test")), "noName insecure");
    assert.equal(brief(await wary.mx("bogus.test")), "servfail");
  });

  async function dane(name: string, nextHop: string | null = null): Promise<DaneFinding> {
    const four = await dns.addresses(name, 4);
    assert.ok(four.kind === "found", name);
    return await findDane({
      resolver: dns,
      host: { name, canonical: four.name, secure: four.secure },
      nextHop,
      port: 25,
    });
  }

  test("DANE: usage 3, usage 2 with its names, unusable, none, and a failure", async () => {
    const ee = await dane("mx.signed.test", "signed.test");
    assert.ok(ee.kind === "records");
    assert.deepEqual([ee.base, ee.records.map(({ usage }) => usage)], ["mx.signed.test", [3]]);
    const ta = await dane("anchored.signed.test", "www.signed.test");
    assert.ok(ta.kind === "records");
    assert.deepEqual(ta.names, ["anchored.signed.test", "www.signed.test", "signed.test"]);
    assert.equal((await dane("pkix.signed.test")).kind, "unusable");
    assert.equal((await dane("bare.signed.test")).kind, "none");
    assert.equal((await dane("mx.plain.test")).kind, "none");
    assert.equal((await dane("broken.signed.test")).kind, "failed");
  });

  test("DANE: the base is the last name of a validated chain, else the first, and an alias of TLSA changes nothing", async () => {
    const base = async (name: string): Promise<string> => {
      const finding = await dane(name);
      return finding.kind === "records" ? finding.base : finding.kind;
    };
    assert.equal(await base("alias.signed.test"), "mx.signed.test");
    assert.equal(await base("tobare.signed.test"), "tobare.signed.test");
    assert.equal(await base("toplain.signed.test"), "toplain.signed.test");
    assert.equal(await base("tosigned.plain.test"), "none");
    assert.equal(await base("shared.signed.test"), "shared.signed.test");
    assert.equal(await base("mx.wild.signed.test"), "mx.wild.signed.test");
  });
});
