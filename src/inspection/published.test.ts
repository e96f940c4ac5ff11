import assert from "node:assert/strict";
import { test } from "node:test";
import { type DnsEntry, type DnsFailure, fakeResolver } from "../testing/index.ts";
import { checkRecord } from "./published.ts";
import { type PublicNode, type RecordPurpose, wantedRecords } from "./records.ts";

const KEY = "a1".repeat(32);
const NEXT = "b2".repeat(32);
const HOST = "mail.here.test";
const DOMAIN = "here.test";
const TLSA = `_25._tcp.${HOST}`;

const node: PublicNode = {
  hostname: HOST,
  domains: [DOMAIN],
  exchanger: true,
  keys: [KEY],
  nextKey: NEXT,
  submission: [
    { port: 465, implicit: true },
    { port: 587, implicit: false },
  ],
  access: [
    { kind: "imap", implicit: true, host: "imap.here.test", port: 993 },
    { kind: "pop3", implicit: false, host: "pop.here.test", port: 110 },
  ],
  servesSettings: true,
  policyId: () => "20261122",
  servesPolicies: true,
};

const tlsa = (hex: string) => ({
  usage: 3,
  selector: 1,
  matchingType: 1,
  data: Uint8Array.from(Buffer.from(hex, "hex")),
});

/** All in order. */
const published: Readonly<Record<string, DnsEntry>> = {
  [HOST]: { a: ["192.0.2.1"], aaaa: ["2001:db8::1"], txt: ["v=spf1 a -all"], secure: true },
  [DOMAIN]: { mx: [{ preference: 10, exchange: HOST }], txt: ["something else", "v=spf1 mx ~all"], secure: true },
  [TLSA]: { tlsa: [tlsa(KEY), tlsa(NEXT)], secure: true },
  [`_mta-sts.${DOMAIN}`]: { txt: ["v=STSv1; id=20261122;"] },
  [`mta-sts.${DOMAIN}`]: { cname: HOST },
  [`_smtp._tls.${DOMAIN}`]: { txt: ["v=TLSRPTv1; rua=https://reports.test/"] },
  [`_submissions._tcp.${DOMAIN}`]: { srv: [{ priority: 5, weight: 0, port: 465, target: HOST }] },
  [`_submission._tcp.${DOMAIN}`]: { srv: [{ priority: 0, weight: 1, port: 587, target: HOST }] },
  [`_imaps._tcp.${DOMAIN}`]: { srv: [{ priority: 0, weight: 1, port: 993, target: "imap.here.test" }] },
  [`_pop3._tcp.${DOMAIN}`]: { srv: [{ priority: 10, weight: 1, port: 110, target: "pop.here.test" }] },
  [`autoconfig.${DOMAIN}`]: { cname: HOST },
};

/** The results for all records of one purpose, with the zone changed. */
async function checked(purpose: RecordPurpose, changes: Readonly<Record<string, DnsEntry | DnsFailure | null>> = {}) {
  const resolver = fakeResolver(published);
  for (const [name, entry] of Object.entries(changes)) resolver.set(name, entry);
  const wanted = wantedRecords(node).filter((record) => record.purpose === purpose);
  const results = await Promise.all(wanted.map((record) => checkRecord(record, { resolver, node, trustAd: true })));
  assert.ok(results.length > 0);
  return results;
}

async function statuses(purpose: RecordPurpose, changes: Readonly<Record<string, DnsEntry | DnsFailure | null>>) {
  return (await checked(purpose, changes)).map(({ status }) => status);
}

test("a node whose records are all published is found in order, record by record", async () => {
  const purposes = [...new Set(wantedRecords(node).map(({ purpose }) => purpose))];
  assert.equal(purposes.length, 12);
  for (const purpose of purposes) {
    for (const result of await checked(purpose)) {
      assert.deepEqual([result.status, result.failure], ["ok", false], purpose);
      assert.ok(result.found.length > 0, purpose);
    }
  }
});

test("nothing published is missing, and a failed lookup is not an absence", async () => {
  const empty = Object.fromEntries(Object.keys(published).map((name) => [name, null]));
  const silent = Object.fromEntries(Object.keys(published).map((name) => [name, "servfail" as const]));
  for (const purpose of [
    "address",
    "mx",
    "spf",
    "mtaSts",
    "mtaStsHost",
    "tlsReports",
    "submission",
    "access",
  ] as const) {
    for (const status of await statuses(purpose, empty)) assert.equal(status, "missing", purpose);
    for (const result of await checked(purpose, silent)) {
      assert.deepEqual([result.status, result.failure], ["failed", true], purpose);
    }
  }
});

test("TLSA records: each key must be there; without DNSSEC they are useless", async () => {
  const both = { [TLSA]: { tlsa: [tlsa(KEY)], secure: true } };
  assert.deepEqual(await statuses("dane", both), ["ok"]);
  assert.deepEqual(await statuses("daneNext", both), ["different"]);
  const [unsigned] = await checked("dane", { [TLSA]: { tlsa: [tlsa(KEY)], secure: false } });
  assert.deepEqual([unsigned?.status, unsigned?.failure], ["unsigned", true]);
  // An unsigned zone without TLSA leads nobody astray.
  const [none] = await checked("dane", { [TLSA]: { secure: false } });
  assert.deepEqual([none?.status, none?.failure], ["unsigned", false]);
  assert.deepEqual(await statuses("dane", { [TLSA]: { secure: true } }), ["missing"]);
  assert.deepEqual(await statuses("dane", { [TLSA]: "servfail" }), ["failed"]);
});

test("MX must name this host, among others or alone", async () => {
  const other = { preference: 5, exchange: "mx.other.test" };
  const own = { preference: 10, exchange: HOST };
  assert.deepEqual(await statuses("mx", { [DOMAIN]: { mx: [other, own] } }), ["ok"]);
  assert.deepEqual(await statuses("mx", { [DOMAIN]: { mx: [other] } }), ["different"]);
  assert.deepEqual(await statuses("mx", { [DOMAIN]: { mx: [{ preference: 0, exchange: "" }] } }), ["different"]);
});

test("one SPF record that names this server in any of its ways; what it includes is not judged", async () => {
  const spf = async (...txt: string[]) => statuses("spf", { [DOMAIN]: { txt } });
  for (const terms of ["mx -all", `a:${HOST} -all`, "ip4:192.0.2.1 ~all", "+MX ?all", "ip6:2001:db8::1"]) {
    assert.deepEqual(await spf(`v=spf1 ${terms}`), ["ok"], terms);
  }
  assert.deepEqual(await spf("v=spf1 a:other.test -all"), ["different"]);
  assert.deepEqual(await spf("v=spf1 -all"), ["different"]);
  assert.deepEqual(await spf("v=spf1 mx", "v=spf1 mx"), ["different"]);
  assert.deepEqual(await spf("v=spf10 mx"), ["missing"]);
  const [included] = await checked("spf", { [DOMAIN]: { txt: ["v=spf1 include:_spf.other.test -all"] } });
  assert.equal(included?.status, "ok");
  assert.notEqual(included?.detail, null);
});

test("the announced id must be that of the policy, in exactly one record", async () => {
  const sts = (...txt: string[]) => statuses("mtaSts", { [`_mta-sts.${DOMAIN}`]: { txt } });
  assert.deepEqual(await sts("v=STSv1;id=20261122"), ["ok"]);
  assert.deepEqual(await sts("v=STSv1; id=20250101;"), ["different"]);
  assert.deepEqual(await sts("v=STSv1; id=20261122;", "v=STSv1; id=20261122;"), ["different"]);
  assert.deepEqual(await statuses("mtaStsHost", { [`mta-sts.${DOMAIN}`]: { a: ["192.0.2.1"] } }), ["ok"]);
  assert.deepEqual(await statuses("mtaStsHost", { [`mta-sts.${DOMAIN}`]: { a: ["192.0.2.9"] } }), ["different"]);
});

test("reports need an address; submission must lead to this server and port", async () => {
  assert.deepEqual(await statuses("tlsReports", { [`_smtp._tls.${DOMAIN}`]: { txt: ["v=TLSRPTv1;"] } }), ["different"]);
  const elsewhere = { srv: [{ priority: 0, weight: 1, port: 465, target: "mail.other.test" }] };
  assert.deepEqual(await statuses("submission", { [`_submissions._tcp.${DOMAIN}`]: elsewhere }), ["different", "ok"]);
});

test("where people read their mail has a record for each way, in the order of preference", async () => {
  const access = wantedRecords(node).filter(({ purpose }) => purpose === "access");
  assert.deepEqual(
    access.map(({ name, data }) => [name, data]),
    [
      [`_imaps._tcp.${DOMAIN}`, "0 1 993 imap.here.test."],
      [`_pop3._tcp.${DOMAIN}`, "10 1 110 pop.here.test."],
    ],
  );
  const elsewhere = { srv: [{ priority: 0, weight: 1, port: 993, target: HOST }] };
  assert.deepEqual(await statuses("access", { [`_imaps._tcp.${DOMAIN}`]: elsewhere }), ["different", "ok"]);
});

test("the host of settings leads here; without it people type more, and mail is no less safe", async () => {
  const name = `autoconfig.${DOMAIN}`;
  assert.deepEqual(await statuses("autoconfigHost", { [name]: { a: ["192.0.2.9"] } }), ["different"]);
  const [none] = await checked("autoconfigHost", { [name]: null });
  assert.deepEqual([none?.status, none?.failure], ["missing", false]);
  const [silent] = await checked("autoconfigHost", { [name]: "servfail" });
  assert.deepEqual([silent?.status, silent?.failure], ["failed", true]);
});

test("a node that takes no mail from others asks for no MX, TLSA or reports, and says what sends for its domains", () => {
  const records = wantedRecords({ ...node, exchanger: false });
  assert.deepEqual(
    records.map(({ purpose }) => purpose),
    ["address", "spfHost", "spf", "submission", "submission", "access", "access", "autoconfigHost"],
  );
  assert.equal(records.find(({ purpose }) => purpose === "spf")?.data, `"v=spf1 a:${HOST} ~all"`);
});

test("a server that has the name of its domain publishes one SPF record, for two would be an error (RFC 7208 §3.2)", () => {
  const records = wantedRecords({ ...node, domains: [HOST, DOMAIN] });
  const spf = records.filter(({ type, data }) => type === "TXT" && data?.includes("v=spf1") === true);
  assert.deepEqual(
    spf.map(({ name, data }) => [name, data]),
    [HOST, DOMAIN].map((name) => [name, '"v=spf1 mx ~all"']),
  );
});

test("a key that is shown already is not listed as the next one too", () => {
  const purposes = wantedRecords({ ...node, nextKey: KEY }).map(({ purpose }) => purpose);
  assert.equal(purposes.filter((purpose) => purpose === "dane").length, 1);
  assert.ok(!purposes.includes("daneNext"));
});
