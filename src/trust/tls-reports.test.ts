import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { DAY, HOUR, instant, type LogFields, seededRandom, silentLog } from "../base/index.ts";
import { type DnsZone, fakeClock, fakeResolver, makeAuthority, makeCertificate } from "../testing/index.ts";
import type { TlsResult } from "./model.ts";
import { createTlsReports, type MailedTlsReport } from "./tls-reports.ts";
import { createTlsResults } from "./tls-results.ts";

const NOON = instant(Date.UTC(2030, 4, 1, 12));
const RECORD = "v=TLSRPTv1; rua=mailto:tls@example.org";

const authority = makeAuthority();
const pair = makeCertificate({ names: ["reports.example"], issuer: authority });
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

function result(domain = "example.org", type: TlsResult["type"] = "success"): TlsResult {
  const policy = { type: "no-policy-found", strings: [], mxHosts: [] } as const;
  const reason = type === "success" ? null : "why";
  return { domain, policy, type, host: "mx", sendingAddress: null, receivingAddress: null, reason };
}

function setUp(zone: DnsZone = { "_smtp._tls.example.org": { txt: [RECORD] } }) {
  const file = new DatabaseSync(":memory:");
  const time = fakeClock(NOON);
  const lines: [string, LogFields][] = [];
  const note = (event: string, fields: LogFields = {}): void => void lines.push([event, fields]);
  const log = { ...silentLog, info: note, warn: note, error: note };
  const mails: MailedTlsReport[] = [];
  const trouble: { mail: string | null } = { mail: null };
  const results = createTlsResults({ file, clock: time.clock, log });
  const resolver = fakeResolver({
    "reports.example": { a: ["127.0.0.1"] },
    "inside.example": { a: ["10.0.0.1"] },
    ...zone,
  });
  const open = () =>
    createTlsReports({
      file,
      results,
      resolver,
      https: () => ({ resolver, networks: ["127.0.0.0/8"], ca: [authority.certificate] }),
      submitter: { organization: "Us", contact: "postmaster@us.example" },
      mail: async (report) => {
        if (trouble.mail !== null) throw new Error(trouble.mail);
        mails.push(report);
      },
      clock: time.clock,
      random: seededRandom(1),
      log,
    });
  const told = (event: string) => lines.filter(([name]) => name === event).map(([, fields]) => fields);
  return { file, time, mails, trouble, results, resolver, reports: open(), open, told };
}

/** A reporting host on loopback: what was POSTed, and a status to answer with. */
async function receiver() {
  const posts: { path: string; type: string; report: Record<string, unknown> }[] = [];
  const answer = { status: 201 };
  const { certificate: cert, privateKey: key } = await pair;
  const server = createServer({ cert, key }, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const report = JSON.parse(gunzipSync(Buffer.concat(chunks)).toString());
    posts.push({ path: `${request.method} ${request.url}`, type: request.headers["content-type"] ?? "", report });
    response.writeHead(answer.status, { location: "https://reports.example/" }).end();
  }).listen(0, "127.0.0.1");
  closing.push(() => void server.close().closeAllConnections());
  await once(server, "listening");
  const address = server.address();
  return { posts, answer, port: typeof address === "object" && address !== null ? address.port : 0 };
}

test("a day that is over is reported once to the domain that asks, and today is not", async () => {
  const { time, mails, results, reports, open } = setUp();
  results.add(result());
  results.add(result("example.org", "certificate-expired"));
  results.add(result("quiet.example"));
  assert.equal(await reports.run(), 0);
  assert.equal(mails.length, 0);
  time.advance(DAY);
  results.add(result());
  assert.equal(await reports.run(), 0);
  assert.equal(await reports.run(), 0);
  assert.equal(await open().run(), 0, "a new process knows what was sent");
  assert.equal(mails.length, 1);
  const [mail] = mails;
  assert.ok(mail !== undefined);
  const { gzip, ...facts } = mail;
  assert.deepEqual(facts, {
    to: { localPart: "tls", domain: "example.org" },
    domain: "example.org",
    submitter: "us.example",
    reportId: "2030-05-01.example.org@us.example",
    day: "2030-05-01",
    fileName: "us.example!example.org!1903824000!1903910399.json.gz",
  });
  const report = JSON.parse(gunzipSync(gzip).toString());
  assert.deepEqual(report.policies[0].summary, {
    "total-successful-session-count": 1,
    "total-failure-session-count": 1,
  });
  time.advance(DAY);
  await reports.run();
  assert.equal(mails.length, 2);
});

test("a report goes by POST to a host that proves its name, within the networks that are allowed", async () => {
  const { posts, answer, port } = await receiver();
  const url = `https://reports.example:${port}/v1/tlsrpt?x=1`;
  const { time, results, reports, told } = setUp({
    "_smtp._tls.example.org": { txt: [`v=TLSRPTv1;rua=${url}`] },
    "_smtp._tls.inside.example": { txt: ["v=TLSRPTv1;rua=https://inside.example/"] },
  });
  results.add(result());
  results.add(result("inside.example"));
  time.advance(DAY);
  answer.status = 302;
  assert.equal(await reports.run(), 2);
  answer.status = 500;
  assert.equal(await reports.run(), 2);
  answer.status = 202;
  assert.equal(await reports.run(), 1);
  assert.equal(await reports.run(), 1);
  assert.equal(posts.length, 3, "an answer of 2xx is the end of it, and a redirect is not followed");
  assert.equal(posts[2]?.path, "POST /v1/tlsrpt?x=1");
  assert.equal(posts[2]?.type, "application/tlsrpt+gzip");
  assert.equal(posts[2]?.report["report-id"], "2030-05-01.example.org@us.example");
  assert.deepEqual(
    told("trust.report.sent").map(({ to }) => to),
    [url],
  );
  assert.ok(told("trust.report.failed").some(({ domain }) => domain === "inside.example"));
});

test("each destination gets its own, and one that has it does not get it again with the other's next try", async () => {
  const { port } = await receiver();
  const { time, mails, results, reports, trouble } = setUp({
    "_smtp._tls.example.org": { txt: [`${RECORD},https://reports.example:${port}/,mailto:two@example.org`] },
  });
  results.add(result());
  time.advance(DAY);
  trouble.mail = "the disk is full";
  assert.equal(await reports.run(), 1);
  trouble.mail = null;
  assert.equal(await reports.run(), 0);
  assert.deepEqual(
    mails.map(({ to }) => to.localPart),
    ["tls", "two"],
  );
});

test("what fails is tried again for a day from the first try on, then given up", async () => {
  const { time, resolver, results, reports, told } = setUp({ "_smtp._tls.example.org": "servfail" });
  results.add(result());
  time.advance(DAY);
  assert.equal(await reports.run(), 1);
  time.advance(23 * HOUR);
  assert.equal(await reports.run(), 1);
  time.advance(HOUR);
  assert.equal(await reports.run(), 0);
  const asked = resolver.asked.length;
  assert.equal(await reports.run(), 0);
  assert.equal(resolver.asked.length, asked);
  assert.deepEqual(
    told("trust.report.failed").map(({ final }) => final),
    [false, false, true],
  );
});

test("a record that cannot be used is told of once, and a name that is none is not looked up", async () => {
  const { time, mails, resolver, results, reports, told } = setUp({
    "_smtp._tls.example.org": { txt: ["v=TLSRPTv1; rua=ftp://example.org"] },
  });
  results.add(result());
  results.add(result("[192.0.2.1]"));
  results.add(result('x"\r\nBcc: y'));
  time.advance(DAY);
  assert.equal(await reports.run(), 0);
  assert.equal(await reports.run(), 0);
  assert.equal(told("trust.report.record-refused").length, 1);
  assert.deepEqual(resolver.asked, ["txt _smtp._tls.example.org"]);
  assert.equal(mails.length, 0);
});

test("reports go out within four hours behind midnight, and what was missed soon after a start", async () => {
  const { time, mails, results, reports, open } = setUp();
  results.add(result());
  reports.start();
  await time.run(11 * HOUR);
  assert.equal(mails.length, 0);
  await time.run(5 * HOUR);
  await reports.run();
  assert.equal(mails.length, 1);
  await reports.close();
  results.add(result());
  time.advance(2 * DAY - 8 * HOUR);
  const second = open();
  second.start();
  await time.run(11 * 60_000);
  await second.run();
  assert.equal(mails.length, 2);
  await second.close();
  assert.equal(time.pending, 0);
});

test("what is left is tried within two hours", async () => {
  const { time, mails, trouble, results, reports } = setUp();
  results.add(result());
  time.advance(DAY);
  trouble.mail = "not now";
  reports.start();
  await time.run(11 * 60_000);
  await reports.run();
  trouble.mail = null;
  for (let minutes = 0; minutes < 120; minutes += 10) await time.run(10 * 60_000);
  await reports.run();
  assert.equal(mails.length, 1);
  await reports.close();
});

test("a file that fails stops nothing", async () => {
  const { file, time, results, reports, told } = setUp();
  results.add(result());
  time.advance(DAY);
  file.exec("DROP TABLE tls_report");
  assert.equal(await reports.run(), 1);
  assert.equal(told("trust.report.broke").length, 1);
});
