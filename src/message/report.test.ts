import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, encodeUtf8, instant, unwrap } from "../base/index.ts";
import { parseMailbox, reply } from "../smtp/index.ts";
import { formatReport, type Report, type ReportedRecipient } from "./report.ts";

const RECIPIENT: ReportedRecipient = {
  action: "failed",
  mailbox: unwrap(parseMailbox("Bob@there.test")),
  original: null,
  status: "5.1.1",
  text: "mx.there.test said at RCPT TO: 550 5.1.1 no such user",
  remoteHost: "mx.there.test",
  reply: reply(550, "5.1.1", "no such user"),
  lastAttempt: instant(Date.UTC(2026, 10, 22, 2, 0, 0)),
  retryUntil: null,
};

const REPORT: Report = {
  id: "01HZX3V5K7M",
  hostname: "mail.here.test",
  to: unwrap(parseMailbox("ann@here.test")),
  at: instant(Date.UTC(2026, 10, 22, 2, 0, 1)),
  arrived: instant(Date.UTC(2026, 10, 22, 1, 59, 59)),
  deliverBy: null,
  futureRelease: null,
  envelopeId: null,
  recipients: [RECIPIENT],
  returned: { kind: "headers", octets: encodeUtf8("Subject: hello\r\n") },
  international: false,
};

type Fields = Map<string, string>;
interface Entity {
  readonly fields: Fields;
  readonly body: string;
}

/** A strict reader of one entity: unfolds its fields, and refuses lines that are neither a field nor folded. */
function parseEntity(text: string): Entity {
  const end = text.indexOf("\r\n\r\n");
  assert.notEqual(end, -1);
  return { fields: parseFields(text.slice(0, end + 2)), body: text.slice(end + 4) };
}

function parseFields(section: string): Fields {
  const fields: Fields = new Map();
  for (const line of section
    .replace(/\r\n[\t ]/g, " ")
    .split("\r\n")
    .slice(0, -1)) {
    const [, name = "", value = ""] = /^([!-9;-~]+): ?(.*)$/.exec(line) ?? assert.fail(`no field: ${line}`);
    assert.ok(!fields.has(name.toLowerCase()), `${name} stands twice`);
    fields.set(name.toLowerCase(), value);
  }
  return fields;
}

function parseReport(report: Report) {
  const formatted = formatReport(report);
  const text = decodeUtf8(formatted.octets) ?? assert.fail("not UTF-8");
  assert.doesNotMatch(text.replace(/\r\n/g, ""), /[\r\n\0]/);
  const message = parseEntity(text);
  const type = message.fields.get("content-type") ?? "";
  const boundary = /boundary="([^"]+)"/.exec(type)?.[1] ?? assert.fail("no boundary");
  const pieces = `\r\n${message.body}`.split(`\r\n--${boundary}`);
  assert.equal(pieces.length, 5);
  assert.equal(pieces.at(-1), "--\r\n");
  const [notice, status, returned] = pieces.slice(1, 4).map((piece) => parseEntity(piece.slice(2)));
  assert.ok(notice && status && returned);
  const groups = `${status.body}`
    .split("\r\n\r\n")
    .map((group) => parseFields(group.endsWith("\r\n") ? group : `${group}\r\n`));
  return { formatted, message, notice, status, returned, groups };
}

test("a report is a multipart/report that no robot answers, in three parts", () => {
  const { message, notice, status, returned, formatted } = parseReport(REPORT);
  assert.match(message.fields.get("content-type") ?? "", /^multipart\/report; report-type=delivery-status; boundary=/);
  assert.equal(message.fields.get("from"), '"Mail Delivery System" <MAILER-DAEMON@mail.here.test>');
  assert.equal(message.fields.get("to"), "<ann@here.test>");
  assert.equal(message.fields.get("auto-submitted"), "auto-replied");
  assert.equal(message.fields.get("message-id"), "<01HZX3V5K7M@mail.here.test>");
  assert.equal(message.fields.get("date"), "Sun, 22 Nov 2026 02:00:01 +0000");
  assert.equal(message.fields.get("mime-version"), "1.0");
  assert.equal(notice.fields.get("content-type"), "text/plain; charset=utf-8");
  assert.match(notice.body, /<Bob@there\.test>\r\n {4}mx\.there\.test said/);
  assert.equal(status.fields.get("content-type"), "message/delivery-status");
  assert.equal(returned.fields.get("content-type"), "text/rfc822-headers");
  assert.equal(returned.body, "Subject: hello\r\n");
  assert.deepEqual([formatted.eightBit, formatted.smtputf8], [false, false]);
  assert.equal(message.fields.get("content-transfer-encoding"), "7bit");
});

test("the fields for programs (RFC 3464 §2.2, §2.3)", () => {
  const original = { type: "rfc822", address: "Robert@there.test" };
  const silent = { ...RECIPIENT, mailbox: unwrap(parseMailbox('"a b"@x.test')), reply: null, remoteHost: null };
  const recipients = [
    { ...RECIPIENT, original },
    { ...silent, lastAttempt: null, text: "no answer", status: "4.4.7" },
  ];
  const { groups } = parseReport({ ...REPORT, envelopeId: "QQ314159", recipients });
  assert.deepEqual(
    groups.map((group) => Object.fromEntries(group)),
    [
      {
        "reporting-mta": "dns; mail.here.test",
        "original-envelope-id": "QQ314159",
        "arrival-date": "Sun, 22 Nov 2026 01:59:59 +0000",
      },
      {
        "original-recipient": "rfc822;Robert@there.test",
        "final-recipient": "rfc822;Bob@there.test",
        action: "failed",
        status: "5.1.1",
        "remote-mta": "dns; mx.there.test",
        "diagnostic-code": "smtp; 550 5.1.1 no such user",
        "last-attempt-date": "Sun, 22 Nov 2026 02:00:00 +0000",
      },
      {
        "final-recipient": 'rfc822;"a b"@x.test',
        action: "failed",
        status: "4.4.7",
        "diagnostic-code": "x-postern; no answer",
      },
    ],
  );
});

test("each recipient has its own action, and the worst is the subject", () => {
  const until = instant(Date.UTC(2026, 10, 27, 2, 0, 0));
  const recipients: ReportedRecipient[] = [
    { ...RECIPIENT, action: "delivered", status: "2.0.0", reply: null, remoteHost: null, lastAttempt: null },
    { ...RECIPIENT, action: "relayed", status: "2.0.0", reply: reply(250, "2.1.5", "taken") },
    { ...RECIPIENT, action: "delayed", status: "4.4.1", retryUntil: until },
  ];
  const { groups, message, notice } = parseReport({ ...REPORT, recipients });
  assert.equal(message.fields.get("subject"), "Your message is delayed");
  assert.deepEqual(
    groups.slice(1).map((group) => [group.get("action"), group.get("status"), group.get("will-retry-until")]),
    [
      ["delivered", "2.0.0", undefined],
      ["relayed", "2.0.0", undefined],
      ["delayed", "4.4.1", "Fri, 27 Nov 2026 02:00:00 +0000"],
    ],
  );
  assert.equal(groups[2]?.get("diagnostic-code"), "smtp; 250 2.1.5 taken");
  assert.equal(notice.body.match(/<Bob@there\.test>/g)?.length, 3);
  const failed = parseReport({ ...REPORT, recipients: [...recipients, RECIPIENT] });
  assert.equal(failed.message.fields.get("subject"), "Your message could not be delivered");
});

test("what was asked for in time is told (RFC 2852 §5, RFC 4865 §5.1.2)", () => {
  const deliverBy = instant(Date.UTC(2026, 10, 22, 3, 0, 0));
  const { groups } = parseReport({ ...REPORT, deliverBy, futureRelease: "for;3600" });
  assert.equal(groups[0]?.get("deliver-by-date"), "Sun, 22 Nov 2026 03:00:00 +0000");
  assert.equal(groups[0]?.get("future-release-request"), "for;3600");
});

test("a whole message comes back octet for octet", () => {
  const octets = encodeUtf8("Subject: x\r\n\r\nline\r\n--=_01HZX3V5K7M.0\r\n.\r\nno line end");
  const { returned } = parseReport({ ...REPORT, returned: { kind: "full", octets } });
  assert.equal(returned.fields.get("content-type"), "message/rfc822");
  assert.equal(returned.body, decodeUtf8(octets));
});

test("a boundary that the author of the message foresaw is not used", () => {
  const guesses = [0, 1, 2].map((n) => `\r\n--=_01HZX3V5K7M.${n}--\r\n`).join("");
  const octets = encodeUtf8(`Subject: x\r\n\r\n${guesses}`);
  assert.equal(parseReport({ ...REPORT, returned: { kind: "full", octets } }).returned.body, decodeUtf8(octets));
});

test("octets with the high bit are declared, part by part and above", () => {
  const octets = encodeUtf8("Subject: x\r\n\r\n\u00e9\r\n");
  const { message, notice, returned, formatted } = parseReport({ ...REPORT, returned: { kind: "full", octets } });
  assert.equal(message.fields.get("content-transfer-encoding"), "8bit");
  assert.equal(notice.fields.get("content-transfer-encoding"), "7bit");
  assert.equal(returned.fields.get("content-transfer-encoding"), "8bit");
  assert.deepEqual([formatted.eightBit, formatted.smtputf8], [true, false]);
});

test("an internationalized message is reported in the forms of RFC 6533", () => {
  const mailbox = unwrap(parseMailbox("jos\u00e9@there.test"));
  const to = unwrap(parseMailbox("zo\u00eb@here.test"));
  const report = { ...REPORT, to, international: true, recipients: [{ ...RECIPIENT, mailbox }] };
  const { status, returned, groups, formatted, message } = parseReport(report);
  assert.equal(status.fields.get("content-type"), "message/global-delivery-status");
  assert.equal(returned.fields.get("content-type"), "message/global-headers");
  assert.equal(groups[1]?.get("final-recipient"), "utf-8;jos\u00e9@there.test");
  assert.equal(message.fields.get("to"), "<zo\u00eb@here.test>");
  assert.deepEqual([formatted.eightBit, formatted.smtputf8], [true, true]);
});

test("where the message was not internationalized the fields for programs are ASCII", () => {
  const mailbox = unwrap(parseMailbox("jos\u00e9+a=b@there.test"));
  const said = reply(550, null, "kein Benutzer \u201ejos\u00e9\u201c");
  const { groups, status } = parseReport({ ...REPORT, recipients: [{ ...RECIPIENT, mailbox, reply: said }] });
  assert.equal(groups[1]?.get("final-recipient"), "utf-8;jos\\x{E9}\\x{2B}a\\x{3D}b@there.test");
  assert.match(status.body, /^[\r\n\t -~]*$/);
});

test("nothing that a peer or a sender says can leave its field", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 2000 }),
    fc
      .array(
        fc.constantFrom("\r\n", "\n", "\0", "\u2028", " ", "Action: delivered", "--=_01HZX3V5K7M.0", "x".repeat(999)),
      )
      .map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(hostile, hostile, fc.boolean(), (text, other, international) => {
      const original = { type: other, address: text };
      const recipients = [{ ...RECIPIENT, text, remoteHost: other, original }, RECIPIENT];
      const { groups, formatted } = parseReport({ ...REPORT, envelopeId: text, recipients, international });
      assert.equal(groups.length, 3);
      assert.equal(groups[1]?.get("action"), "failed");
      for (const line of (decodeUtf8(formatted.octets) ?? "").split("\r\n")) {
        assert.ok(encodeUtf8(line).length <= 998, "a line is too long");
      }
    }),
    { numRuns: 200 },
  );
});
