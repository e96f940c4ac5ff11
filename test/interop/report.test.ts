// A report as another program's mail parser reads it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { encodeUtf8, instant, unwrap } from "../../src/base/index.ts";
import { formatReport } from "../../src/message/index.ts";
import { parseMailbox, reply } from "../../src/smtp/index.ts";

const PYTHON = spawnSync("python3", ["--version"]).status === 0;

const READER = `
import email, email.policy, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(message.iter_parts())
print(json.dumps({
  "type": message.get_content_type(), "report": message.get_param("report-type"),
  "defects": [str(d) for part in message.walk() for d in part.defects],
  "parts": [part.get_content_type() for part in parts],
  "fields": [[[k, str(v)] for k, v in group.items()] for group in parts[1].get_payload()],
  "returned": parts[2].get_payload(0)["Subject"] if parts[2].is_multipart() else parts[2].get_content(),
}))`;

test("Python's email package reads a report's parts and fields", { skip: !PYTHON && "no python3" }, () => {
  const at = instant(Date.UTC(2026, 0, 2));
  const shared = { original: null, lastAttempt: at, action: "failed", retryUntil: null } as const;
  const { octets } = formatReport({
    id: "0SA5K06CR00",
    hostname: "mx.test",
    to: unwrap(parseMailbox("ada@here.test")),
    at,
    arrived: at,
    envelopeId: "QQ314159",
    deliverBy: null,
    futureRelease: null,
    recipients: [
      {
        ...shared,
        mailbox: unwrap(parseMailbox("bob@there.test")),
        status: "5.1.1",
        text: "mx.there.test said at RCPT TO: 550 5.1.1 no such user",
        remoteHost: "mx.there.test",
        reply: reply(550, "5.1.1", `no such user ${"and so on ".repeat(120)}`),
      },
      {
        ...shared,
        mailbox: unwrap(parseMailbox('"eve smith"@there.test')),
        status: "4.4.7",
        text: "delivery time expired",
        remoteHost: null,
        reply: null,
      },
    ],
    returned: {
      kind: "full",
      octets: encodeUtf8("Subject: waits\r\nFrom: ada@here.test\r\n\r\n--=_0SA5K06CR00.0\r\n"),
    },
    international: false,
  });
  const run = spawnSync("python3", ["-c", READER], { input: octets, encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const read = JSON.parse(run.stdout);
  assert.deepEqual([read.type, read.report, read.defects], ["multipart/report", "delivery-status", []]);
  assert.deepEqual(read.parts, ["text/plain", "message/delivery-status", "message/rfc822"]);
  const [message, bob, eve] = read.fields.map((group: [string, string][]) => new Map(group));
  assert.equal(message.get("Reporting-MTA"), "dns; mx.test");
  assert.equal(message.get("Original-Envelope-Id"), "QQ314159");
  assert.match(bob.get("Final-Recipient"), /^rfc822; ?bob@there\.test$/);
  assert.deepEqual([bob.get("Action"), bob.get("Status")], ["failed", "5.1.1"]);
  assert.equal(bob.get("Remote-MTA"), "dns; mx.there.test");
  assert.match(bob.get("Diagnostic-Code"), /^smtp; 550/);
  assert.match(eve.get("Final-Recipient"), /^rfc822; ?"eve smith"@there\.test$/);
  assert.deepEqual([eve.get("Status"), eve.get("Remote-MTA")], ["4.4.7", undefined]);
  assert.equal(read.fields.length, 3);
  assert.equal(read.returned, "waits");
});
