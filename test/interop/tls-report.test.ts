// A day's TLS report, from the trust file of one server to the Maildir of another, as another program reads it; and the commands.
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { instant, unwrap } from "../../src/base/index.ts";
import { loadConfig, queueFile } from "../../src/config/index.ts";
import { createTlsReporting, openTrust } from "../../src/daemon/trust.ts";
import { systemClock } from "../../src/net/index.ts";
import { openSqliteStore } from "../../src/queue/index.ts";
import { fakeClock, fakeResolver } from "../../src/testing/index.ts";
import type { TlsResult } from "../../src/trust/index.ts";
import { type Node, startNode } from "../node.ts";
import { needs, program } from "./peers.ts";

const DAY = 86_400_000;

const READER = `
import email, email.policy, gzip, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
text, report = message.iter_parts()
print(json.dumps({
  "type": message.get_content_type(), "kind": message.get_param("report-type"),
  "defects": [str(d) for part in message.walk() for d in part.defects],
  "fields": {k: " ".join(str(message[k]).split()) for k in ("From", "Return-Path", "Subject", "TLS-Report-Domain", "TLS-Report-Submitter", "TLS-Required")},
  "parts": [text.get_content_type(), report.get_content_type()],
  "file": report.get_filename(),
  "report": json.loads(gzip.decompress(report.get_content())),
}))`;

const RESULT: TlsResult = {
  domain: "there.test",
  policy: {
    type: "sts",
    strings: ["version: STSv1", "mode: enforce", "mx: mx.there.test"],
    mxHosts: ["mx.there.test"],
  },
  type: "success",
  host: "mx.there.test",
  sendingAddress: "192.0.2.1",
  receivingAddress: "198.51.100.1",
  reason: null,
};

/** Counts sessions of a day in a server's trust file, as its daemon does. */
function count(node: Node, day: number, results: readonly TlsResult[]): void {
  const config = unwrap(loadConfig(node.config));
  const { clock } = fakeClock(instant(day));
  const trust = unwrap(openTrust(config, { hold: DAY, clock }));
  for (const result of results) trust.results.add(result);
  trust.memory.proved("there.test", "mx.there.test", { tls: true, version: "TLSv1.3", authenticated: "name" });
  trust.memory.proved("else.test", "mx.else.test", { tls: true, version: "TLSv1.2", authenticated: "no" });
  trust.close();
}

/** Runs the reports of a stopped server once; its queue is the server's. */
async function report(node: Node): Promise<number> {
  const config = unwrap(loadConfig(node.config));
  const trust = unwrap(openTrust(config, { hold: DAY }));
  const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  const store = await openSqliteStore({ path: queueFile(config), clock: systemClock, log, onDeath: () => {} });
  const resolver = fakeResolver({ "_smtp._tls.there.test": { txt: ["v=TLSRPTv1; rua=mailto:tls@there.test"] } });
  const reports = createTlsReporting({ config, trust, resolver, store, runner: { poke() {} }, ca: () => null, log });
  const left = await reports.run();
  await reports.close();
  trust.close();
  await store.close();
  return left;
}

test("a report reaches the domain's mailbox once, and Python reads it", await needs("python3"), async () => {
  await using there = await startNode({ hostname: "mx.there.test", domains: ["there.test"] });
  await using here = await startNode({
    hostname: "mail.here.test",
    config: `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${there.ports.mx}"\n[tls_report]\norganization = "Here & Co"`,
  });
  await here.kill("SIGTERM");
  const yesterday = Math.floor(Date.now() / DAY) * DAY - DAY;
  count(here, yesterday + 1000, [RESULT, RESULT, { ...RESULT, type: "certificate-expired", reason: "expired" }]);
  assert.equal(await report(here), 0);
  assert.equal(await report(here), 0);
  await here.start();
  const [mail = "", ...more] = await there.mailArrives("tls", 1);
  assert.deepEqual(more, []);

  const run = await program("python3", ["-c", READER], mail);
  assert.equal(run.code, 0, run.stderr);
  const read = JSON.parse(run.stdout);
  const date = new Date(yesterday).toISOString().slice(0, 10);
  assert.deepEqual([read.type, read.kind, read.defects], ["multipart/report", "tlsrpt", []]);
  assert.deepEqual(read.parts, ["text/plain", "application/tlsrpt+gzip"]);
  assert.deepEqual(read.fields, {
    From: "postmaster@mail.here.test",
    "Return-Path": "<postmaster@mail.here.test>",
    Subject: `Report Domain: there.test Submitter: mail.here.test Report-ID: <${date}.there.test@mail.here.test>`,
    "TLS-Report-Domain": "there.test",
    "TLS-Report-Submitter": "mail.here.test",
    "TLS-Required": "No",
  });
  assert.equal(read.file, `mail.here.test!there.test!${yesterday / 1000}!${(yesterday + DAY) / 1000 - 1}.json.gz`);
  assert.equal(read.report["organization-name"], "Here & Co");
  assert.deepEqual(read.report.policies[0].summary, {
    "total-successful-session-count": 2,
    "total-failure-session-count": 1,
  });
  assert.equal(read.report.policies[0]["failure-details"][0]["result-type"], "certificate-expired");
});

test("the commands print results and memory of a running server, and clear what it remembers", async () => {
  await using node = await startNode({ hostname: "mail.here.test" });
  const now = Date.now();
  count(node, now, [RESULT, { ...RESULT, type: "starttls-not-supported", reason: "no STARTTLS" }]);
  const date = new Date(now).toISOString().slice(0, 10);

  const shown = await node.command("tls-report", "show", "--day", date, "--json");
  assert.equal(shown.code, 0, shown.stderr);
  const [there] = JSON.parse(shown.stdout);
  assert.deepEqual([there.domain, there.day, there.results.length], ["there.test", date, 2]);
  const text = await node.command("tls-report", "show", "--day", date, "--domain", "There.Test.");
  assert.match(text.stdout, /sts: 1 succeeded, 1 failed/);
  assert.match(text.stdout, /starttls-not-supported +mx\.there\.test/);
  const none = await node.command("tls-report", "show", "--day", date, "--domain", "nobody.test", "--json");
  assert.deepEqual([none.code, JSON.parse(none.stdout)], [0, []]);

  const listed = await node.command("tls-memory", "list", "--json");
  const { hosts } = JSON.parse(listed.stdout);
  assert.deepEqual(
    hosts.map(({ host, authenticated, fellAt }: Record<string, unknown>) => [host, authenticated, fellAt]),
    [
      ["mx.else.test", "no", null],
      ["mx.there.test", "name", null],
    ],
  );
  const cleared = await node.command("tls-memory", "clear", "mx.there.test");
  assert.equal(cleared.code, 0, cleared.stderr);
  const rest = await node.command("tls-memory", "list");
  assert.match(rest.stdout, /mx\.else\.test/);
  assert.doesNotMatch(rest.stdout, /mx\.there\.test/);
  assert.equal((await node.command("tls-memory", "clear", "mx.there.test")).code, 1);
  assert.equal((await node.command("tls-memory", "clear")).code, 2);
  const all = await node.command("tls-memory", "clear", "--all", "--json");
  assert.deepEqual(JSON.parse(all.stdout), { cleared: 1 });
});

test("a trust file that is damaged is named, with what to do, by the daemon and by the commands", async () => {
  await using node = await startNode({ hostname: "mail.here.test" });
  await node.kill("SIGTERM");
  const config = unwrap(loadConfig(node.config));
  const path = join(config.dataDir, "trust.sqlite");
  await Promise.all(["-wal", "-shm"].map((ending) => rm(`${path}${ending}`, { force: true })));
  await writeFile(path, "this is no database, and it is long enough to look like one that was damaged by somebody");
  for (const args of [["tls-memory", "list"], ["serve"]]) {
    const { code, stderr } = await node.command(...args);
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(path) && stderr.includes("delete it"), stderr);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  }
});
