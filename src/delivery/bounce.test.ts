import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, concatBytes, decodeUtf8, encodeUtf8, instant, unwrap } from "../base/index.ts";
import type { Body, Outcome, QueuedMessage, QueueId, Reporter } from "../queue/index.ts";
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
  createReporter({ hostname: "mail.test", clock, nextId: () => "00000000ABC" as QueueId, lifetime: 1000 });

const body = (text: string, chunk = 7): Body => {
  const octets = encodeUtf8(text);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < octets.length; at += chunk) chunks.push(octets.subarray(at, at + chunk));
  return { size: octets.length, chunks: () => chunks };
};

async function reportOn(message: QueuedMessage, text = "Subject: x\r\nTo: y\r\n\r\nsecret body\r\n") {
  const failed = message.recipients.map((recipient) => ({ recipient, outcome: FAILED }));
  return await reporter().report(message, body(text), failed);
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

test("none for a null reverse-path, and none for who did not want one", async () => {
  assert.equal(await reportOn({ ...fixtureMessage(["b@there.test"]), reversePath: null }), null);
  const message = fixtureMessage(["b@there.test", "c@there.test", "d@there.test"]);
  const notify = [["NEVER"], ["SUCCESS", "DELAY"], ["SUCCESS", "FAILURE"]] as const;
  const recipients = message.recipients.map((one, i) => ({ ...one, parameters: { notify: notify[i] ?? ["NEVER"] } }));
  const report = await reportOn({ ...message, recipients });
  assert.deepEqual(textOf(report).match(/^Final-Recipient: .*$/gm), ["Final-Recipient: rfc822;d@there.test"]);
  assert.equal(await reportOn({ ...message, recipients: recipients.slice(0, 2) }), null);
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
  const failed = message.recipients.map((recipient) => ({ recipient, outcome: expired }));
  const report = await reporter().report(message, body("Subject: x\r\n\r\n"), failed);
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
