import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeUtf8, instant, unwrap } from "../base/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { formatDate, formatField } from "./field.ts";
import { HeaderScanner } from "./header.ts";
import { formatReceived, formatReturnPath, type TraceFacts } from "./trace.ts";

const AT = instant(Date.UTC(2026, 10, 2, 1, 57, 48));
const FACTS: TraceFacts = {
  hello: { verb: "EHLO", name: "client.test" },
  client: { address: "192.0.2.1", name: null },
  hostname: "mx.test",
  tls: { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" },
  authenticated: false,
  smtputf8: false,
  id: "01HZX3V5K7M",
  recipient: null,
  at: AT,
};

/** The value of the one field in `bytes`, which must be well formed: one field, and lines of at most 998 octets. */
function fieldValue(bytes: Uint8Array, name: string): string {
  const text = decodeUtf8(bytes) ?? assert.fail("not UTF-8");
  assert.match(text, /^[^\r\n]+(\r\n\t[^\r\n]+)*\r\n$/);
  for (const line of text.split("\r\n")) assert.ok(Buffer.byteLength(line) <= 998);
  const scanner = new HeaderScanner();
  scanner.push(bytes);
  scanner.end();
  assert.equal(scanner.size, bytes.length);
  return scanner.first(name)?.replace(/\t/g, " ") ?? assert.fail("no such field");
}

const received = (facts: Partial<TraceFacts>): string => fieldValue(formatReceived({ ...FACTS, ...facts }), "Received");

test("a priority is traced behind the recipient (RFC 6710 §4.1, §7)", () => {
  const recipient = unwrap(parseMailbox("b@mx.test"));
  assert.match(received({ priority: -3, recipient }), / for <b@mx\.test> +PRIORITY -3; +Mon, /);
  assert.match(received({ priority: 9 }), / id 01HZX3V5K7M +PRIORITY 9; +Mon, /);
});

test("a client that is hidden leaves no from clause, and TLS and AUTH are told all the same", () => {
  const hidden = received({ client: null, authenticated: true, hello: { verb: "EHLO", name: "adas-laptop.lan" } });
  assert.match(hidden, /^\(using TLSv1\.3 with cipher [A-Z0-9_]+\) +by mx\.test +with ESMTPSA id 01HZX3V5K7M; +Mon, /);
});

test("dates are RFC 5322 in Universal Time", () => {
  assert.equal(formatDate(AT), "Mon, 02 Nov 2026 01:57:48 +0000");
  assert.equal(formatDate(instant(0)), "Thu, 01 Jan 1970 00:00:00 +0000");
});

test("a Received field tells client, TLS, host, protocol, id, recipient and date", () => {
  const recipient = unwrap(parseMailbox('"a b"@mx.test'));
  const bytes = formatReceived({ ...FACTS, recipient, client: { address: "192.0.2.1", name: "out.client.test" } });
  assert.equal(
    fieldValue(bytes, "Received"),
    "from client.test (out.client.test [192.0.2.1]) (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384) " +
      'by mx.test with ESMTPS id 01HZX3V5K7M for <"a b"@mx.test>; Mon, 02 Nov 2026 01:57:48 +0000',
  );
  for (const line of (decodeUtf8(bytes) ?? "").split("\r\n")) assert.ok(line.length <= 78, line);
});

test("a certificate that is known is told in a comment between TLS and host, and cannot leave it", () => {
  const at = / cipher TLS_AES_256_GCM_SHA384\) \(client certificate "([^\s();"\\]+)" verified\) by mx\.test with /;
  assert.equal(at.exec(received({ certificate: "partner-1.example" }))?.[1], "partner-1.example");
  assert.doesNotMatch(received({ certificate: null }), /certificate/);
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 64 }), (certificate) =>
      assert.match(received({ certificate }), at),
    ),
  );
});

test("the protocol keyword follows RFC 3848 and RFC 6531", () => {
  const keyword = (verb: "EHLO" | "HELO" | "LHLO", tls: boolean, authenticated: boolean, smtputf8: boolean): string => {
    const facts = { hello: { verb, name: "c.test" }, authenticated, smtputf8, tls: tls ? FACTS.tls : null };
    return / with ([A-Z0-9]+) id /.exec(received(facts))?.[1] ?? "";
  };
  assert.equal(keyword("HELO", false, false, false), "SMTP");
  assert.equal(keyword("HELO", true, false, false), "SMTP");
  for (const [verb, plain, utf8] of [
    ["EHLO", "ESMTP", "UTF8SMTP"],
    ["LHLO", "LMTP", "UTF8LMTP"],
  ] as const) {
    for (const [smtputf8, base] of [
      [false, plain],
      [true, utf8],
    ] as const) {
      assert.equal(keyword(verb, false, false, smtputf8), base);
      assert.equal(keyword(verb, true, false, smtputf8), `${base}S`);
      assert.equal(keyword(verb, false, true, smtputf8), `${base}A`);
      assert.equal(keyword(verb, true, true, smtputf8), `${base}SA`);
    }
  }
});

test("addresses are written as RFC 5321 address literals", () => {
  const literal = (address: string): string =>
    /\((.*?)\)/.exec(received({ client: { address, name: null } }))?.[1] ?? "";
  assert.equal(literal("192.0.2.1"), "[192.0.2.1]");
  assert.equal(literal("2001:db8::1"), "[IPv6:2001:db8::1]");
  assert.equal(literal("fe80::1%eth0"), "[IPv6:fe80::1]");
  assert.equal(literal("::ffff:192.0.2.1"), "[192.0.2.1]");
  assert.equal(literal("/run/socket"), "[unknown]");
});

test("an internationalized recipient is named only where the message is internationalized", () => {
  const recipient = unwrap(parseMailbox("jos\u00e9@mx.test"));
  assert.match(received({ recipient, smtputf8: true }), / for <jos\u00e9@mx\.test>; /);
  assert.doesNotMatch(received({ recipient, smtputf8: false }), / for /);
  assert.match(
    received({ hello: { verb: "EHLO", name: "b\u00fccher.test" }, smtputf8: true }),
    /^from b\u00fccher\.test \(/,
  );
  assert.match(received({ hello: { verb: "EHLO", name: "b\u00fccher.test" } }), /^from b\?cher\.test \(/);
});

test("no EHLO name can leave its place in the field", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 400 }),
    fc
      .array(fc.constantFrom("\r", "\n", "\0", ")", "(", ";", " ", "\\", '"', "\u2028", "a"), { maxLength: 20 })
      .map((p) => p.join("")),
  );
  fc.assert(
    fc.property(hostile, hostile, fc.boolean(), (name, reverse, smtputf8) => {
      const value = received({
        hello: { verb: "EHLO", name },
        client: { address: "192.0.2.1", name: reverse },
        smtputf8,
      });
      assert.match(value, /^from [^\s();"\\]+ \([^\s();"\\]+ \[192\.0\.2\.1\]\) \(using TLSv1\.3 /);
    }),
  );
});

test("fields are folded between clauses, then between words, and refuse controls", () => {
  const folded = decodeUtf8(
    formatField("X-Test", [["a".repeat(60)], ["b".repeat(10), "c".repeat(10)], ["d".repeat(70), "e".repeat(70)]]),
  );
  assert.equal(
    folded,
    `X-Test: ${"a".repeat(60)}\r\n\t${"b".repeat(10)} ${"c".repeat(10)}\r\n\t${"d".repeat(70)}\r\n\t${"e".repeat(70)}\r\n`,
  );
  for (const bad of ["\r", "\n", "\0", "\u007f", "x\r\nBcc: y"]) assert.throws(() => formatField("X-Test", [[bad]]));
  for (const bad of ["", "X Test", "X:", "X\r\n", "\u00e9"]) assert.throws(() => formatField(bad, [["x"]]));
  assert.throws(() => formatField("X-Test", [["x".repeat(1000)]]));
});

test("a Return-Path holds the reverse-path, also the null one", () => {
  assert.equal(decodeUtf8(formatReturnPath(null)), "Return-Path: <>\r\n");
  assert.equal(decodeUtf8(formatReturnPath(unwrap(parseMailbox("a@b.test")))), "Return-Path: <a@b.test>\r\n");
});
