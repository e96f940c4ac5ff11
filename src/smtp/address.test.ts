import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { unwrap } from "../base/index.ts";
import {
  formatMailbox,
  formatPath,
  type Mailbox,
  needsSmtpUtf8,
  parseAddressLiteral,
  parseDomain,
  parseMailbox,
  sameMailbox,
} from "./index.ts";
import { scanForwardPath, scanReversePath } from "./path.ts";
import { utf8Length } from "./text.ts";

const mailbox = (text: string): Mailbox => unwrap(parseMailbox(text));

test("local parts: the value has no quotes, the written form as few as can be", () => {
  for (const [text, localPart, written] of [
    ["a.b+c@x.y", "a.b+c", "a.b+c@x.y"],
    ["!#$%&'*+-/=?^_`{|}~@x.y", "!#$%&'*+-/=?^_`{|}~", "!#$%&'*+-/=?^_`{|}~@x.y"],
    ['"a"@x.y', "a", "a@x.y"],
    ['"a b"@x.y', "a b", '"a b"@x.y'],
    ['"a\\b\\"\\\\"@x.y', 'ab"\\', '"ab\\"\\\\"@x.y'],
    ['"a@b"@x.y', "a@b", '"a@b"@x.y'],
    ['".a"@x.y', ".a", '".a"@x.y'],
    ['""@x.y', "", '""@x.y'],
    ["Ünïcode@bücher.example", "Ünïcode", "Ünïcode@bücher.example"],
    ["a@[IPv6:::1]", "a", "a@[IPv6:::1]"],
  ] as const) {
    assert.equal(mailbox(text).localPart, localPart);
    assert.equal(formatMailbox(mailbox(text)), written);
  }
});

test("what is no mailbox is refused", () => {
  for (const text of [
    "",
    "@",
    "a",
    "a@",
    "@b",
    "a@b@c",
    ".a@b",
    "a.@b",
    "a..b@c",
    "a b@c",
    "a,b@c",
    "<a@b>",
    "a@b ",
    " a@b",
    '"a@b',
    '"a"b@c',
    'a"b"@c',
    '"a\\"@b',
    '"a\tb"@c',
    '"a\r\nRSET"@c',
    '"a\\\u00fc"@c',
    "a\0@b",
    "a\u0085@b",
    "a\u2028@b",
    "\ud800@b",
    "a@[1.2.3]",
    "a@[1.2.3.4]x",
    "a@b\n",
  ]) {
    assert.equal(parseMailbox(text).ok, false, JSON.stringify(text));
  }
});

test("a local part of more than 64 octets is taken, as SRS and VERP write them", () => {
  for (const text of [
    `SRS1=HHHH=first-forwarder.example==HHHH=TT=sender.example=${"somebody-with-a-long-name".repeat(2)}@forwarder.example`,
    `list-owner+bounces-12345-${"recipient=".repeat(8)}elsewhere.example@lists.example`,
  ]) {
    assert.ok(text.indexOf("@") > 64);
    assert.equal(formatMailbox(mailbox(text)), text);
    const path = scanReversePath(`<${text}>`, 0);
    assert.ok(path.ok && path.value.path !== null);
  }
});

test("a mailbox may be at a domain with underscores, as hosts in the wild are", () => {
  for (const domain of ["my_host.example", "_tenant.mail.example", "a.b_", "x_y.b\u00fccher.example"]) {
    assert.equal(mailbox(`a@${domain}`).domain, domain);
    assert.ok(scanForwardPath(`<@hop_1.example:a@${domain}>`, 0).ok);
  }
  assert.equal(parseMailbox("a@b_.-c").ok, false);
});

test("limits count octets: 252 for a local part, 256 for a path", () => {
  assert.equal(parseMailbox(`${"a".repeat(252)}@b`).ok, true);
  assert.equal(scanReversePath(`<${"a".repeat(252)}@b>`, 0).ok, true);
  const tooLong = { ok: false, error: { kind: "tooLong", part: "localPart", limit: 252 } };
  assert.deepEqual(scanReversePath(`<${"a".repeat(253)}@b>`, 0), tooLong);
  assert.equal(parseMailbox(`${"ü".repeat(126)}@b`).ok, true);
  assert.deepEqual(scanReversePath(`<${"ü".repeat(127)}@b>`, 0), tooLong);
  assert.deepEqual(scanReversePath(`<"${"a".repeat(251)}"@b>`, 0), tooLong);
  const domain = `${"d".repeat(63)}.${"d".repeat(63)}.${"d".repeat(61)}`;
  assert.equal(parseMailbox(`${"a".repeat(64)}@${domain}`).ok, true);
  assert.deepEqual(parseMailbox(`${"a".repeat(64)}@${domain}d`), {
    ok: false,
    error: { kind: "tooLong", part: "path", limit: 256 },
  });
  assert.equal(scanForwardPath(`<${"a".repeat(64)}@${domain}>`, 0).ok, true);
  assert.equal(scanForwardPath(`<@r:${"a".repeat(61)}@${domain}>`, 0).ok, true);
  assert.equal(scanForwardPath(`<@r:${"a".repeat(62)}@${domain}>`, 0).ok, false);
});

test("a syntax problem tells where it is", () => {
  const at = (text: string) => {
    const result = parseMailbox(text);
    return !result.ok && result.error.kind === "syntax" ? result.error.at : null;
  };
  assert.equal(at("a b@c"), 1);
  assert.equal(at("a@b..c"), 4);
  assert.equal(at("a@b.1"), 4);
  assert.equal(at('"a@b'), 0);
});

test("paths: null, postmaster, source routes, and where they end", () => {
  const at = "xx".length;
  assert.deepEqual(scanReversePath("xx<> SIZE=1", at), { ok: true, value: { path: null, next: 4 } });
  assert.deepEqual(scanForwardPath("xx<pOSTMASTER>", at), { ok: true, value: { path: "postmaster", next: 14 } });
  assert.equal(scanReversePath("xx<postmaster>", at).ok, false);
  assert.equal(scanForwardPath("xx<>", at).ok, false);
  for (const text of ["<@a,@b.c:u@d>", "<@a:u@d>", "<u@d>"]) {
    assert.deepEqual(scanForwardPath(text, 0), { ok: true, value: { path: mailbox("u@d"), next: text.length } });
  }
  for (const text of ['<"a>b"@c>', "<a@[tag:>]>"]) {
    assert.equal(unwrap(scanForwardPath(text, 0)).next, text.length);
  }
  const refused = [
    "u@d",
    "<u@d",
    "<@a u@d>",
    "<@a,b:u@d>",
    "<@a,:u@d>",
    "<@:u@d>",
    "<@a:>",
    "<u@d >",
    "< u@d>",
    "<a@[b>]>",
  ];
  for (const text of refused) assert.equal(scanForwardPath(text, 0).ok, false, text);
  assert.equal(formatPath(null), "<>");
  assert.equal(formatPath(mailbox('"a b"@c')), '<"a b"@c>');
});

test("SMTPUTF8 is needed for any character beyond ASCII", () => {
  assert.equal(needsSmtpUtf8(mailbox("a@b")), false);
  assert.equal(needsSmtpUtf8(mailbox("ä@b")), true);
  assert.equal(needsSmtpUtf8(mailbox("a@ä")), true);
});

test("the same mailbox: domains without case, local parts with, but for postmaster", () => {
  assert.equal(sameMailbox(mailbox("a@B.c"), mailbox('"a"@b.C')), true);
  assert.equal(sameMailbox(mailbox("A@b"), mailbox("a@b")), false);
  assert.equal(sameMailbox(mailbox("PostMaster@b"), mailbox("postmaster@b")), true);
  assert.equal(sameMailbox(mailbox("po\u017ftmaster@b"), mailbox("postmaster@b")), false);
  assert.equal(sameMailbox(mailbox("a@b"), mailbox("a@c")), false);
  assert.equal(sameMailbox(mailbox("postmaster@b"), mailbox("a@b")), false);
  assert.equal(sameMailbox(mailbox("a@b"), mailbox("postmaster@b")), false);
});

const character = fc.oneof(
  fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  fc.constantFrom("ü", "例", "😀", '"', "\\", ".", "@", " "),
);
const localPart = fc
  .array(character, { maxLength: 20 })
  .map((characters) => characters.join(""))
  .filter((text) => utf8Length(text.replace(/["\\]/g, "\\$&")) <= 62);
const label = fc.stringMatching(/^[a-z0-9ü][a-z0-9-]{0,10}[a-z0-9ü]$/);
const domain = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => `${labels.join(".")}.x`),
  fc.ipV4().map((address) => `[${address}]`),
  fc.ipV6().map((address) => `[IPv6:${address}]`),
);

test("a mailbox that is formatted parses to itself", () => {
  fc.assert(
    fc.property(localPart, domain, (local, name) => {
      const parsed = name.startsWith("[") ? unwrap(parseAddressLiteral(name)) : unwrap(parseDomain(name));
      const value: Mailbox = { localPart: local, domain: parsed };
      assert.deepEqual(unwrap(parseMailbox(formatMailbox(value))), value);
      const path = formatPath(value);
      assert.deepEqual(unwrap(scanReversePath(`${path} X`, 0)), { path: value, next: path.length });
    }),
  );
});

test("no text makes a mailbox with controls, and what parses, parses again from its format", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom("", "@b", "@ü.b"), (text, tail) => {
      const parsed = parseMailbox(text + tail);
      if (!parsed.ok) return;
      const written = formatMailbox(parsed.value);
      assert.doesNotMatch(written, /[\u0000-\u001f\u007f-\u009f]/);
      assert.deepEqual(parseMailbox(written), parsed);
    }),
  );
});
