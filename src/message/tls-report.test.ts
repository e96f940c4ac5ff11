import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8, instant, unwrap } from "../base/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { formatTlsReport, type TlsReportMail } from "./tls-report.ts";

const MAIL: TlsReportMail = {
  id: "0SA5K06CR00",
  hostname: "mail.sender.example",
  from: unwrap(parseMailbox("postmaster@mail.sender.example")),
  to: unwrap(parseMailbox("tlsrpt@example.net")),
  at: instant(Date.UTC(2026, 10, 22, 1, 2, 3)),
  domain: "example.net",
  submitter: "mail.sender.example",
  reportId: "2026-11-21.example.net@mail.sender.example",
  day: "2026-11-21",
  fileName: "mail.sender.example!example.net!1795219200!1795305599.json.gz",
  gzip: Uint8Array.from({ length: 1000 }, (_, at) => at % 251),
};

/** Unfolded fields of a header section by name, and the rest. */
function split(text: string): readonly [Map<string, string>, string] {
  const end = text.indexOf("\r\n\r\n");
  const lines = text
    .slice(0, end)
    .replaceAll(/\r\n[ \t]/g, " ")
    .split("\r\n");
  const fields = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  return [fields, text.slice(end + 4)];
}

test("a mailed report has the fields and parts of RFC 8460 §5.3", () => {
  const text = decodeUtf8(formatTlsReport(MAIL)) ?? "";
  const [fields, body] = split(text);
  assert.equal(fields.get("TLS-Report-Domain"), "example.net");
  assert.equal(fields.get("TLS-Report-Submitter"), "mail.sender.example");
  assert.equal(
    fields.get("Subject"),
    "Report Domain: example.net Submitter: mail.sender.example Report-ID: <2026-11-21.example.net@mail.sender.example>",
  );
  assert.equal(fields.get("TLS-Required"), "No");
  assert.equal(fields.get("Auto-Submitted"), "auto-generated");
  assert.equal(fields.get("Content-Type"), 'multipart/report; report-type="tlsrpt"; boundary="=_0SA5K06CR00.tlsrpt"');
  const [, first = "", second = "", last] = `\r\n${body}`.split("\r\n--=_0SA5K06CR00.tlsrpt");
  assert.equal(last, "--\r\n");
  assert.equal(split(first.slice(2))[0].get("Content-Type"), "text/plain; charset=us-ascii");
  const [part, base64] = split(second.slice(2));
  assert.equal(part.get("Content-Type"), "application/tlsrpt+gzip");
  assert.equal(part.get("Content-Disposition"), `attachment; filename="${MAIL.fileName}"`);
  assert.deepEqual(new Uint8Array(Buffer.from(base64, "base64")), MAIL.gzip);
});

test("its lines are ASCII and short, also for the longest names", () => {
  const label = "a".repeat(63);
  const long = `${label}.${label}.${label}.example`;
  const text = decodeUtf8(
    formatTlsReport({
      ...MAIL,
      domain: long,
      submitter: long,
      reportId: `2026-11-21.${long}@${long}`,
      fileName: `${long}!${long}!1!2.json.gz`,
    }),
  );
  const lines = (text ?? "").split("\r\n");
  assert.ok(lines.every((line) => /^[\t\x20-\x7e]*$/.test(line) && line.length <= 998));
});

test("an address in UTF-8 stands in the header section as it is", () => {
  const mailbox = unwrap(parseMailbox("jörg@example.net"));
  const text = decodeUtf8(formatTlsReport({ ...MAIL, to: mailbox })) ?? "";
  const [fields] = split(text);
  assert.equal(fields.get("To"), "<jörg@example.net>");
  assert.equal(fields.get("Content-Transfer-Encoding"), "8bit");
});
