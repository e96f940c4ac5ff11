import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, concatBytes, decodeUtf8, encodeUtf8, instant, unwrap } from "../base/index.ts";
import type { Body, Outcome, QueuedMessage, QueueId, Reporter, ReportItem } from "../queue/index.ts";
import { parseMailbox, reply } from "../smtp/index.ts";
import { createReporter } from "./bounce.ts";
import { fixtureMessage } from "./fixtures.test.ts";

const clock: Clock = { now: () => instant(1_795_312_800_000), after: () => ({ cancel() {} }) };
const FAILED: Outcome = {
  kind: "failed",
  scope: "recipient",
  problem: { text: "mx.test said: 550 no", reply: reply(550, "5.1.1", "no"), status: "5.1.1" },
  hop: { host: "mx.test", address: "192.0.2.1", port: 25, tls: null, rule: "opportunistic" },
};

// An id is what the queue names a message by; any text will do here.
const reporter = (): Reporter =>
  createReporter({ hostname: "mail.test", clock, nextId: () => "00000000ABC" as QueueId, lifetime: () => 1000 });

const body = (text: string, chunk = 7): Body => {
  const octets = encodeUtf8(text);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < octets.length; at += chunk) chunks.push(octets.subarray(at, at + chunk));
  return { size: octets.length, chunks: () => chunks };
};

const items = (message: QueuedMessage, outcome: Outcome, action: ReportItem["action"] = "failed"): ReportItem[] =>
  message.recipients.map((recipient) => ({ recipient, outcome, action }));

async function reportOn(message: QueuedMessage, text = "Subject: x\r\nTo: y\r\n\r\nsecret body\r\n") {
  return await reporter().report(message, body(text), items(message, FAILED));
}

const textOf = (report: Awaited<ReturnType<typeof reportOn>>): string =>
  decodeUtf8(concatBytes(report?.body ?? [])) ?? assert.fail("not UTF-8");

test("a report goes to the reverse-path, from nobody, and says how large it is", async () => {
  const report = await reportOn(fixtureMessage(["b@there.test", "c@there.test"]));
  assert.ok(report !== null);
  const { message } = report;
  assert.equal(message.reversePath, null);
  assert.deepEqual(
    message.recipients.map(({ mailbox }) => mailbox),
    [unwrap(parseMailbox("ann@here.test"))],
  );
  assert.equal(message.origin.service, "bounce");
  assert.equal(message.expiresAt - message.receivedAt, 1000);
  assert.equal(message.size, textOf(report).length);
  assert.equal(textOf(report).match(/^Final-Recipient:/gm)?.length, 2);
  assert.match(textOf(report), /\r\nRemote-MTA: dns; mx\.test\r\n/);
});

test("a message that nobody sent has no report", async () => {
  await assert.rejects(reportOn({ ...fixtureMessage(["b@there.test"]), reversePath: null }));
});

test("a success names no trouble, a delay says until when, and neither returns the body", async () => {
  const message = fixtureMessage(["b@there.test"], { ret: "FULL" });
  const hop = { host: "maildir", address: null, port: null, tls: null, rule: "written" };
  const here = await reporter().report(
    message,
    body("Subject: x\r\n\r\nsecret"),
    items(message, { kind: "delivered", reply: null, hop }, "delivered"),
  );
  assert.match(textOf(here), /\r\nAction: delivered\r\nStatus: 2\.0\.0\r\n/);
  assert.doesNotMatch(textOf(here), /Remote-MTA|Last-Attempt-Date|Will-Retry-Until|secret/);
  const onward = { dsn: false, deliverBy: false };
  const relayed: Outcome = { kind: "delivered", reply: reply(250, "2.0.0", "queued"), hop: FAILED.hop ?? hop, onward };
  const passed = await reporter().report(message, body("Subject: x\r\n\r\nsecret"), items(message, relayed, "relayed"));
  assert.match(
    textOf(passed),
    /\r\nAction: relayed\r\nStatus: 2\.0\.0\r\nRemote-MTA: dns; mx\.test\r\nDiagnostic-Code: smtp; 250/,
  );
  const deferred: Outcome = { ...FAILED, kind: "deferred" };
  const late = await reporter().report(message, body("Subject: x\r\n\r\nsecret"), items(message, deferred, "delayed"));
  assert.match(textOf(late), /\r\nAction: delayed\r\n[\s\S]*\r\nWill-Retry-Until: .* 2026 /);
  assert.doesNotMatch(textOf(late), /secret/);
});

test("a report is as urgent as its message, and tells what was asked of time", async () => {
  const by = { seconds: 60, mode: "N", trace: false } as const;
  const message = fixtureMessage(["b@there.test"], { priority: 4, by, hold: { for: 5 } });
  const report = await reporter().report(
    message,
    body("Subject: x\r\n\r\n"),
    items(message, { ...FAILED, kind: "deferred" }, "delayed"),
  );
  assert.equal(report.message.parameters.priority, 4);
  assert.match(textOf(report), /\r\nDeliver-By-Date: .*\r\nFuture-Release-Request: for;5\r\n/);
  // RFC 2852 §4.1.3: the time to notify at is over.
  assert.match(textOf(report), /\r\nStatus: 4\.4\.7\r\n/);
});

test("the header section comes back, the body only where it was asked for and may be", async () => {
  const message = fixtureMessage(["b@there.test"]);
  const headers = textOf(await reportOn(message));
  assert.match(headers, /\r\n\r\nSubject: x\r\nTo: y\r\n\r\n--/);
  assert.doesNotMatch(headers, /secret/);
  const full = { ...message, parameters: { ret: "FULL" as const } };
  assert.match(textOf(await reportOn(full)), /message\/rfc822[\s\S]*secret body/);
  const large = `Subject: x\r\n\r\n${"secret\r\n".repeat(40_000)}`;
  assert.doesNotMatch(textOf(await reportOn(full, large)), /secret/);
  // RFC 8689 §5
  const protectedMessage = { ...message, parameters: { ret: "FULL" as const, requireTls: true as const } };
  const redacted = await reportOn(protectedMessage);
  assert.doesNotMatch(textOf(redacted), /secret/);
  assert.equal(redacted?.message.parameters.requireTls, true);
});

test("a message without a header section, or with an endless one, returns no body", async () => {
  const message = fixtureMessage(["b@there.test"]);
  assert.doesNotMatch(textOf(await reportOn(message, "secret\r\nno header\r\n")), /secret/);
  const endless = `${"X-Field: value\r\n".repeat(20_000)}\r\nsecret`;
  const text = textOf(await reportOn(message, endless));
  assert.ok(text.length < 80_000);
  assert.match(text, /X-Field: value\r\n\r\n--=/);
});

test("a recipient given up without an attempt has no remote host and no time of attempt", async () => {
  const expired: Outcome = {
    kind: "failed",
    scope: "recipient",
    problem: { text: "waited too long", reply: null, status: "4.4.7" },
    hop: null,
  };
  const message = fixtureMessage(["b@there.test"]);
  const report = await reporter().report(message, body("Subject: x\r\n\r\n"), items(message, expired));
  assert.doesNotMatch(textOf(report), /Remote-MTA|Last-Attempt-Date/);
  assert.match(textOf(report), /\r\nStatus: 4\.4\.7\r\n/);
});

test("a report is stored in bounded pieces, and asks for what it needs on its way", async () => {
  const message = fixtureMessage(["b@there.test"]);
  const full = { ...message, parameters: { ret: "FULL" as const } };
  const report = await reportOn(full, `Subject: x\r\n\r\n${"\u00e9\r\n".repeat(50_000)}`);
  assert.ok(report !== null && report.body.length > 3);
  assert.ok(report.body.every(({ length }) => length <= 65_536));
  assert.equal(report.message.parameters.body, "8BITMIME");
});
