// The commands that look and send nothing, run as an operator runs them against a running daemon and a DNS server of the test's own.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { type DnsEntry, type DnsServer, dnsServer, makeCertificate } from "../../src/testing/index.ts";
import { type CommandResult, freePorts, type Node, postern, startNode } from "../node.ts";

const HOST = "mx.here.test";
const DOMAIN = "here.test";

let dns: DnsServer;
let node: Node;
let deadPort = 0;

before(async () => {
  dns = await dnsServer({
    [HOST]: { a: ["127.0.0.1"], secure: true },
    [DOMAIN]: { mx: [{ preference: 10, exchange: HOST }], secure: true },
    "there.test": { mx: [{ preference: 10, exchange: "mx.there.test" }], secure: true },
    "mx.there.test": { a: ["127.0.0.1"], secure: true },
    "null.test": { mx: [{ preference: 0, exchange: "" }] },
    "broken.test": "servfail",
  });
  [deadPort = 0] = await freePorts(1);
  node = await startNode({
    hostname: HOST,
    domains: [DOMAIN],
    config: `[dns]\nservers = ["${dns.address}"]\ntrust_ad = true\n[delivery]\nport = ${deadPort}\n`,
  });
});

after(async () => {
  await node?.[Symbol.asyncDispose]();
  await dns?.close();
});

/** What a command printed as JSON; its keys are told in docs/inspection.md. */
function json(result: CommandResult): Record<string, unknown> {
  const value: unknown = JSON.parse(result.stdout);
  assert.ok(typeof value === "object" && value !== null, result.stderr);
  return { ...value };
}

function list(value: unknown): readonly Record<string, unknown>[] {
  assert.ok(Array.isArray(value));
  return value;
}

/** A printed record as the DNS server of the test takes it. */
function published(record: Readonly<Record<string, unknown>>): DnsEntry {
  const words = String(record.data).split(" ");
  const target = String(words.at(-1)).replace(/\.$/, "");
  switch (record.type) {
    case "MX":
      return { mx: [{ preference: Number(words[0]), exchange: target }] };
    case "TXT":
      return { txt: [String(record.data).replace(/^"|"$/g, "")] };
    case "SRV":
      return { srv: [{ priority: Number(words[0]), weight: Number(words[1]), port: Number(words[2]), target }] };
    case "TLSA":
      return { tlsa: [tlsaOf(String(words[3]))] };
    default:
      throw new Error(`an unexpected record: ${String(record.type)}`);
  }
}

function tlsaOf(hex: string) {
  return { usage: 3, selector: 1, matchingType: 1, data: Uint8Array.from(Buffer.from(hex, "hex")) };
}

test("dns prints records which, once published, pass its check; another key in their place does not", async () => {
  const printed = await node.command("dns", "--json");
  assert.equal(printed.code, 0, printed.stderr);
  const records = list(json(printed).records);
  assert.deepEqual(
    [...new Set(records.map(({ purpose }) => purpose))],
    ["address", "spfHost", "dane", "mx", "spf", "tlsReports", "submission"],
  );
  const early = await node.command("dns", "--check");
  assert.equal(early.code, 1);
  assert.match(early.stdout, /^missing +SRV/m);

  const entries = new Map<string, DnsEntry>([[HOST, { a: ["127.0.0.1"] }]]);
  for (const record of records.filter(({ data }) => data !== null)) {
    const name = String(record.name);
    entries.set(name, { ...entries.get(name), ...published(record), secure: true });
  }
  // What the resolver of each command asks is asked anew: every run is a process of its own.
  for (const [name, entry] of entries) dns.set(name, { ...entry, secure: true });
  const checked = await node.command("dns", "--check", "--json");
  assert.equal(checked.code, 0, checked.stdout);
  assert.equal(json(checked).ok, true);

  const owner = `_25._tcp.${HOST}`;
  const before = entries.get(owner);
  dns.set(owner, { tlsa: [tlsaOf("00".repeat(32))], secure: true });
  const wrong = await node.command("dns", "--check");
  assert.deepEqual([wrong.code, /^different +TLSA/m.test(wrong.stdout)], [1, true]);
  dns.set(owner, { ...before, secure: false });
  const unsigned = await node.command("dns", "--check");
  assert.deepEqual([unsigned.code, /^unsigned +TLSA/m.test(unsigned.stdout)], [1, true]);
});

test("dns lists the next key beside the one in use, and says which file it cannot read", async () => {
  const next = makeCertificate({ names: [HOST] });
  await writeFile(`${node.folder}/next.pem`, next.privateKey);
  const both = await node.command("dns", "--next-key", `${node.folder}/next.pem`);
  assert.equal(both.stdout.match(/ TLSA +3 1 1 [0-9a-f]{64}$/gm)?.length, 2, both.stdout);
  const none = await node.command("dns", "--next-key", `${node.folder}/absent.pem`);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^postern: .*absent\.pem.*$/m);
  assert.equal(none.stderr.trim().split("\n").length, 1);
});

test("probe of a domain: a certificate of nobody's is a warning, a TLSA match makes it good, a mismatch fails", async () => {
  const port = String(node.ports.mx);
  const probe = () => node.command("probe", DOMAIN, "--port", port, "--json");
  const owner = `_${port}._tcp.${HOST}`;
  const plain = await probe();
  assert.deepEqual([plain.code, Reflect.get(Object(json(plain).verdict), "status")], [0, "warning"], plain.stdout);
  const [host] = list(json(plain).hosts);
  const [certificate] = list(host?.certificates);
  const spki = String(certificate?.spki256);

  dns.set(owner, { tlsa: [tlsaOf(spki)], secure: true });
  const matched = await probe();
  assert.deepEqual([matched.code, Reflect.get(Object(json(matched).verdict), "status")], [0, "ok"], matched.stdout);
  dns.set(owner, { tlsa: [tlsaOf("11".repeat(32))], secure: true });
  const other = await probe();
  assert.deepEqual([other.code, Reflect.get(Object(json(other).verdict), "status")], [1, "failed"]);
  const text = await node.command("probe", DOMAIN, "--port", port);
  assert.deepEqual([text.code, /^failed: here\.test: /m.test(text.stdout)], [1, true]);
  dns.set(owner, null);
});

test("probe of a host: by its port, by implicit TLS, trusted by a file; nobody there is a failure in time", async () => {
  const ca = `${node.folder}/cert.pem`;
  const trusted = await postern(["probe", `localhost:${node.ports.mx}`, "--ca", ca]);
  assert.deepEqual(
    [trusted.code, /^ok: localhost: /m.test(trusted.stdout)],
    [0, true],
    trusted.stdout + trusted.stderr,
  );
  const implicit = await postern(["probe", `localhost:${node.ports.submissions}`, "--implicit", "--ca", ca]);
  assert.deepEqual([implicit.code, /inside TLS/.test(implicit.stdout)], [0, true], implicit.stdout);
  const nobody = await postern(["probe", `127.0.0.1:${deadPort}`]);
  assert.deepEqual([nobody.code, /reachable/.test(nobody.stdout)], [1, true]);
  const wrong = await postern(["probe", "localhost:25", "--port", "26"]);
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
});

test("explain tells the line of the decision, and exits with 1 where mail could not be delivered", async () => {
  const remote = await node.command("explain", "bob@there.test", "--json");
  assert.equal(remote.code, 0, remote.stdout);
  const report = json(remote);
  assert.equal(report.deliverable, true);
  const [host] = list(report.hosts);
  assert.deepEqual([host?.host, host?.port], ["mx.there.test", deadPort]);
  const types = list(report.lookups).map(({ type, name }) => `${String(type)} ${String(name)}`);
  for (const asked of ["MX there.test", "A mx.there.test", `TLSA _${deadPort}._tcp.mx.there.test`]) {
    assert.ok(types.includes(asked), types.join("; "));
  }
  const local = json(await node.command("explain", "ann@here.test", "--json"));
  assert.equal(Reflect.get(Object(local.local), "place"), `${node.folder}/data/mail/ann`);
  assert.equal(typeof Reflect.get(Object(local.route), "line"), "number");
  for (const address of ["bob@null.test", "bob@broken.test", "bob@nowhere.test", "not an address"]) {
    const refused = await node.command("explain", address);
    assert.equal(refused.code, 1, address);
    assert.doesNotMatch(refused.stderr, / {4}at /);
    const final = address === "bob@null.test" || address === "bob@nowhere.test";
    assert.equal(refused.stdout.includes("comes back at once"), final, refused.stdout);
  }
});

test("a node that serves its policy: dns tells its records, and probe holds the host to the policy that it fetches", async () => {
  const [web = 0] = await freePorts(1);
  const domain = "strict.test";
  const host = "mx.strict.test";
  const pair = makeCertificate({ names: [host, `mta-sts.${domain}`], ip: ["127.0.0.1"] });
  const config = (mx: string) =>
    `[dns]\nservers = ["${dns.address}"]\ntrust_ad = true\n[delivery]\nca = ["cert.pem"]\n` +
    `[[web]]\naddress = "127.0.0.1:${web}"\n` +
    `[mta_sts]\nmode = "enforce"\nmx = ["${mx}"]\nfetch_port = ${web}\nfetch_networks = ["127.0.0.0/8"]\n`;
  const files = { "cert.pem": pair.certificate, "key.pem": pair.privateKey };
  for (const [mx, code, status] of [
    [host, 0, "ok"],
    ["mx.elsewhere.test", 1, "failed"],
  ] as const) {
    await using strict = await startNode({ hostname: host, domains: [domain], config: config(mx), files });
    const records = list(json(await strict.command("dns", "--json")).records);
    const record = records.find(({ purpose }) => purpose === "mtaSts");
    assert.equal(records.find(({ purpose }) => purpose === "mtaStsHost")?.name, `mta-sts.${domain}`);
    dns.set(`_mta-sts.${domain}`, published(record ?? {}));
    dns.set(`mta-sts.${domain}`, { cname: host });
    dns.set(host, { a: ["127.0.0.1"] });
    dns.set(domain, { mx: [{ preference: 10, exchange: host }] });
    const probed = await strict.command("probe", domain, "--port", String(strict.ports.mx), "--json");
    const report = json(probed);
    assert.equal(Reflect.get(Object(report.mtaSts), "mode"), "enforce", probed.stdout);
    assert.deepEqual([probed.code, Reflect.get(Object(report.verdict), "status")], [code, status], probed.stdout);
  }
});
