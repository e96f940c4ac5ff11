import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeUtf8, unwrap } from "../base/index.ts";
import {
  formatMailParameters,
  formatRcptParameters,
  formatXtext,
  type MailParameters,
  parseCommand,
  parseMailbox,
  parseXtext,
  type RawParameter,
  type RcptParameters,
  readMailParameters,
  readRcptParameters,
} from "./index.ts";

const everything = new Set([
  ...["SIZE", "8BITMIME", "BINARYMIME", "SMTPUTF8", "AUTH", "DSN", "REQUIRETLS"],
  ...["DELIVERBY", "FUTURERELEASE", "MT-PRIORITY"],
]);

/** The parameters as the command parser leaves them. */
function raw(text: string): readonly RawParameter[] {
  const command = unwrap(parseCommand(encodeUtf8(`MAIL FROM:<>${text}`)));
  assert.ok(command.verb === "MAIL");
  return command.parameters;
}

const mail = (text: string, offered: ReadonlySet<string> = everything) => readMailParameters(raw(text), offered);
const rcpt = (text: string, offered: ReadonlySet<string> = everything) => readRcptParameters(raw(text), offered);

test("MAIL parameters", () => {
  const cases: readonly [string, MailParameters][] = [
    ["", {}],
    [" SIZE=0", { size: 0 }],
    [" SIZE=99999999999999999999", { size: Number.MAX_SAFE_INTEGER }],
    [" BODY=7bit", { body: "7BIT" }],
    [" body=BinaryMIME", { body: "BINARYMIME" }],
    [" SMTPUTF8", { smtputf8: true }],
    [" AUTH=<>", { auth: null }],
    [" AUTH=e+3Dmc2@example.com", { auth: unwrap(parseMailbox("e=mc2@example.com")) }],
    [" RET=hdrs ENVID=QQ+2B314", { ret: "HDRS", envid: "QQ+314" }],
    [" REQUIRETLS", { requireTls: true }],
    [" BY=120;R", { by: { seconds: 120, mode: "R", trace: false } }],
    [" by=-999999999;nt", { by: { seconds: -999_999_999, mode: "N", trace: true } }],
    [" BY=+0;N", { by: { seconds: 0, mode: "N", trace: false } }],
    [" BY=-0;N", { by: { seconds: 0, mode: "N", trace: false } }],
    [" HOLDFOR=999999999", { hold: { for: 999_999_999 } }],
    [" HOLDUNTIL=2028-02-29T23:59:59Z", { hold: { until: "2028-02-29T23:59:59Z" } }],
    [" HOLDUNTIL=2028-01-01T00:00:00.25z", { hold: { until: "2028-01-01T00:00:00.25z" } }],
    [" MT-PRIORITY=-9", { priority: -9 }],
    [" MT-PRIORITY=0", { priority: 0 }],
  ];
  for (const [text, parameters] of cases) assert.deepEqual(mail(text), { ok: true, value: parameters }, text);
});

test("RCPT parameters", () => {
  const cases: readonly [string, RcptParameters][] = [
    [" NOTIFY=never", { notify: ["NEVER"] }],
    [" NOTIFY=SUCCESS,Delay,success", { notify: ["SUCCESS", "DELAY"] }],
    [" ORCPT=RFC822;Bob+2Bx@example.org", { orcpt: { type: "rfc822", address: "Bob+x@example.org" } }],
    [" ORCPT=utf-8;j\\x{F6}e@x", { orcpt: { type: "utf-8", address: "jöe@x" } }],
    [" ORCPT=utf-8;jöe\\x{3D}@x", { orcpt: { type: "utf-8", address: "jöe=@x" } }],
  ];
  for (const [text, parameters] of cases) assert.deepEqual(rcpt(text), { ok: true, value: parameters }, text);
});

test("values of the wrong form", () => {
  for (const text of [
    " SIZE",
    " SIZE=1k",
    " SIZE=-1",
    " SIZE=123456789012345678901",
    " BODY",
    " BODY=9BIT",
    " SMTPUTF8=1",
    " AUTH",
    " AUTH=bad",
    " AUTH=a+0D+0AQUIT@b",
    " RET=ALL",
    " ENVID",
    " ENVID=a+0Ab",
    " ENVID=a+00",
    " ENVID=a+C3+A9",
    " ENVID=a+FF",
    " ENVID=a+2",
    " ENVID=a+2b",
    ` ENVID=${"a".repeat(101)}`,
    " REQUIRETLS=yes",
    " BY",
    " BY=1",
    " BY=0;R",
    " BY=-1;R",
    " BY=1;X",
    " BY=1;NTT",
    " BY=1.5;N",
    " BY=1000000000;N",
    " BY=;N",
    " HOLDFOR",
    " HOLDFOR=0",
    " HOLDFOR=-1",
    " HOLDFOR=1000000000",
    " HOLDUNTIL",
    " HOLDUNTIL=2027-02-29T00:00:00Z",
    " HOLDUNTIL=2027-01-01T24:00:00Z",
    " HOLDUNTIL=2027-01-01T00:00:00+01:00",
    " HOLDUNTIL=2027-01-01",
    " MT-PRIORITY",
    " MT-PRIORITY=10",
    " MT-PRIORITY=-0",
    " MT-PRIORITY=+1",
  ]) {
    const result = mail(text);
    assert.ok(!result.ok && result.error.kind === "badValue", text);
  }
  for (const text of [
    " NOTIFY",
    " NOTIFY=SOMETIMES",
    " NOTIFY=NEVER,SUCCESS",
    " NOTIFY=SUCCESS,",
    " ORCPT=a@b",
    " ORCPT=rfc822;",
    " ORCPT=;a@b",
    " ORCPT=rfc822;a+0D+0Ab",
    " ORCPT=rfc822;a+C3+A9",
    " ORCPT=rfc822;ö@b",
    " ORCPT=utf-8;a+2Bb",
    " ORCPT=utf-8;a\\x{0A}b",
    " ORCPT=utf-8;a\\x{D800}b",
    " ORCPT=utf-8;a\\x{110000}b",
    " ORCPT=utf-8;a\\b",
    ` ORCPT=rfc822;${"a".repeat(500)}`,
  ]) {
    const result = rcpt(text);
    assert.ok(!result.ok && result.error.kind === "badValue", text);
  }
});

test("unknown, not offered and repeated parameters", () => {
  assert.deepEqual(mail(" FOO=1"), { ok: false, error: { kind: "unknown", keyword: "FOO" } });
  assert.deepEqual(mail(" CONSTRUCTOR"), { ok: false, error: { kind: "unknown", keyword: "CONSTRUCTOR" } });
  assert.deepEqual(mail(" NOTIFY=NEVER"), { ok: false, error: { kind: "unknown", keyword: "NOTIFY" } });
  assert.deepEqual(rcpt(" SIZE=1"), { ok: false, error: { kind: "unknown", keyword: "SIZE" } });
  assert.deepEqual(mail(" SIZE=1 size=1"), { ok: false, error: { kind: "repeated", keyword: "SIZE" } });
  const twice = mail(" HOLDFOR=5 HOLDUNTIL=2030-01-01T00:00:00Z");
  assert.deepEqual(twice, { ok: false, error: { kind: "repeated", keyword: "HOLDUNTIL" } });
  for (const [text, keyword] of [
    [" BY=5;N", "BY"],
    [" HOLDFOR=5", "HOLDFOR"],
    [" MT-PRIORITY=1", "MT-PRIORITY"],
    [" SIZE=1", "SIZE"],
    [" RET=FULL", "RET"],
    [" REQUIRETLS", "REQUIRETLS"],
  ] as const) {
    assert.deepEqual(mail(text, new Set()), { ok: false, error: { kind: "unknown", keyword } });
  }
  const binary = mail(" BODY=BINARYMIME", new Set(["8BITMIME"]));
  assert.ok(!binary.ok && binary.error.kind === "badValue");
});

test("what is formatted is ASCII, in table order, and safe in a line", () => {
  const text = formatMailParameters({ envid: "a\r\nb", size: 3, auth: null });
  assert.equal(text, " SIZE=3 AUTH=<> ENVID=a+0D+0Ab");
  assert.equal(formatRcptParameters({ orcpt: { type: "utf-8", address: "ö\n" } }), " ORCPT=utf-8;\\x{F6}\\x{0A}");
});

const printableAscii = fc.stringMatching(/^[ -~]{1,20}$/);
const mailParameters: fc.Arbitrary<MailParameters> = fc.record(
  {
    size: fc.maxSafeNat(),
    body: fc.constantFrom("7BIT" as const, "8BITMIME" as const, "BINARYMIME" as const),
    smtputf8: fc.constant(true as const),
    auth: fc.constantFrom(null, unwrap(parseMailbox('"a b+="@x.y')), unwrap(parseMailbox("ü@x.y"))),
    ret: fc.constantFrom("FULL" as const, "HDRS" as const),
    envid: printableAscii,
    requireTls: fc.constant(true as const),
    by: fc.record(
      { seconds: fc.integer({ min: 1, max: 999_999_999 }), mode: fc.constantFrom("R", "N"), trace: fc.boolean() },
      { noNullPrototype: true },
    ),
    hold: fc.constantFrom({ for: 60 }, { until: "2030-01-01T00:00:00Z" }),
    priority: fc.integer({ min: -9, max: 9 }),
  },
  { requiredKeys: [], noNullPrototype: true },
);
const orcpt = fc.oneof(
  fc.record({ type: fc.constantFrom("rfc822", "x400"), address: printableAscii }, { noNullPrototype: true }),
  fc.record(
    { type: fc.constant("utf-8"), address: fc.stringMatching(/^[ -~ö例😀]{1,20}$/u) },
    { noNullPrototype: true },
  ),
);
const rcptParameters: fc.Arbitrary<RcptParameters> = fc.record(
  {
    notify: fc.constantFrom(["NEVER"] as const, ["FAILURE", "DELAY"] as const),
    orcpt,
  },
  { requiredKeys: [], noNullPrototype: true },
);

test("parameters that are formatted are read as they were", () => {
  fc.assert(
    fc.property(mailParameters, rcptParameters, (forMail, forRcpt) => {
      assert.deepEqual(unwrap(mail(formatMailParameters(forMail))), { ...forMail });
      assert.deepEqual(unwrap(rcpt(formatRcptParameters(forRcpt))), { ...forRcpt });
    }),
  );
});

test("xtext decodes what it encodes, and encodes to what may stand in a value", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const encoded = formatXtext(text);
      assert.match(encoded, /^[!-*,-<>-~+]*$/);
      assert.deepEqual(parseXtext(encoded), { ok: true, value: text });
    }),
  );
  for (const text of ["a b", "a=b", "+", "+4", "+4g", "+0a", "é", "\0"]) {
    assert.deepEqual(parseXtext(text), { ok: false, error: { kind: "syntax" } }, text);
  }
  assert.deepEqual(parseXtext("+C3"), { ok: false, error: { kind: "badOctets" } });
});
