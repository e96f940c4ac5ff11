import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, decodeUtf8, encodeUtf8, instant, unwrap } from "../base/index.ts";
import { type Mailbox, parseMailbox } from "../smtp/index.ts";
import { HeaderScanner } from "./header.ts";
import { type Mending, mendHeader } from "./mending.ts";

const mailbox = (text: string): Mailbox => unwrap(parseMailbox(text));

const MENDING: Mending = {
  reversePath: mailbox("ann@here.test"),
  smtputf8: false,
  own: mailbox("ann@here.test"),
  sender: "enforce",
  mayUse: ({ localPart, domain }) => localPart === "ann" && domain === "here.test",
  qualify: (localPart) => (localPart === "nobody" ? null : { localPart, domain: mailbox("x@here.test").domain }),
  at: instant(Date.UTC(2026, 10, 22, 10, 0, 0)),
  messageId: "1234@mx.here.test",
};

const DATE = "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n";
const ID = "Message-ID: <1234@mx.here.test>\r\n";
/** What a message needs beside the fields in question. */
const REST = "Date: Sat, 21 Nov 2026 09:00:00 +0100\r\nMessage-ID: <a@b.test>\r\n";
const WHOLE = `From: Ann <ann@here.test>\r\n${REST}`;

function fieldsOf(header: string | Uint8Array) {
  const scanner = new HeaderScanner();
  scanner.push(typeof header === "string" ? encodeUtf8(header) : header);
  scanner.end();
  return scanner.fields();
}

function mended(header: string | Uint8Array, differs: Partial<Mending> = {}): string {
  const result = mendHeader(fieldsOf(header), { ...MENDING, ...differs });
  if (!result.ok) return assert.fail(JSON.stringify(result.error));
  return decodeUtf8(concatBytes(result.value)) ?? assert.fail("not UTF-8");
}

function fault(header: string | Uint8Array, differs: Partial<Mending> = {}): string {
  const result = mendHeader(fieldsOf(header), { ...MENDING, ...differs });
  return result.ok ? "none" : `${result.error.kind} ${result.error.field}`;
}

test("a message that lacks nothing leaves as it came, view by view", () => {
  const fields = fieldsOf(`Received: x\r\nX-Odd : \t y \r\n${WHOLE}Subject:\r\n  folded\r\n\tlines \r\n`);
  const result = unwrap(mendHeader(fields, MENDING));
  assert.deepEqual(
    result,
    fields.map(({ octets }) => octets),
  );
  for (const [i, { octets }] of fields.entries()) assert.equal(result[i], octets, "the same view, not a copy");
});

test("Date, From and Message-ID are added where missing, in front (RFC 6409 §8)", () => {
  assert.equal(mended("Subject: x\r\n"), `${DATE}From: ann@here.test\r\n${ID}Subject: x\r\n`);
  assert.equal(mended(""), `${DATE}From: ann@here.test\r\n${ID}`);
});

test("an empty Date and a Message-ID that is none are replaced where they stand", () => {
  const header = (date: string, id: string) =>
    `From: ann@here.test\r\nDate:${date}\r\nX: y\r\nMessage-Id:${id}\r\nZ: z\r\n`;
  assert.equal(mended(header(" ", " 17")), `From: ann@here.test\r\n${DATE}X: y\r\n${ID}Z: z\r\n`);
  for (const id of [" <>", " <a b@c>", " a@b", " <a@b> <c@d>", " <a>", ""]) {
    assert.equal(mended(header(" yesterday", id)), `From: ann@here.test\r\nDate: yesterday\r\nX: y\r\n${ID}Z: z\r\n`);
  }
  for (const id of [" <a@b>", " (c) <a@b> (d)", "\r\n <a.b=c@[d]>", ' <"a b"@c>']) {
    const whole = header(" Sat, 21 Nov 2026 09:00:00 EST", id);
    assert.equal(mended(whole), whole);
  }
});

test("without a reverse-path the user's own address writes, and without that nobody", () => {
  assert.match(mended("X: y\r\n", { reversePath: null }), /^Date.*\r\nFrom: ann@here\.test\r\n/);
  assert.equal(fault("X: y\r\n", { reversePath: null, own: null }), "noAddress from");
  const own = mailbox("jürgen@here.test");
  assert.equal(fault("X: y\r\n", { reversePath: null, own }), "noAddress from");
  const any = { reversePath: null, own, smtputf8: true, mayUse: () => true };
  assert.match(mended("X: y\r\n", any), /\r\nFrom: jürgen@here\.test\r\n/);
});

test("Bcc is taken out, however it is written and how often", () => {
  const blind = "Bcc: a@b.test,\r\n c@d.test\r\nbCC : \r\nResent-Bcc: e@f.test\r\n";
  assert.equal(mended(`${blind}${WHOLE}BCC:x@y.test`), WHOLE);
});

test("bare addresses get their domain, and nothing else of the field changes", () => {
  assert.equal(
    mended(`From: Ann (the one) <ann>\t\r\nTo: bob ,\r\n "Carl" < carl (him) >, d@e.test\r\ncc:team: eve;\r\n${REST}`),
    `From: Ann (the one) <ann@here.test>\t\r\nTo: bob@here.test ,\r\n "Carl" < carl@here.test (him) >, d@e.test\r\ncc:team: eve@here.test;\r\n${REST}`,
  );
  assert.equal(fault(`${WHOLE}To: nobody\r\n`), "unqualified to");
  assert.equal(fault(`From: nobody\r\n${REST}`), "unqualified from");
  assert.equal(fault(`${WHOLE}To: ${"b,".repeat(400)}b\r\n`), "longLine to");
});

test("a From or Sender that cannot be read is refused, other address fields stand as they are", () => {
  for (const from of ["Ann Lee", "<>", "ann@here.test <boss@there.test>", '"ann@here.test'])
    assert.equal(fault(`From: ${from}\r\n${REST}`), "badAddress from");
  assert.equal(fault(`From:\r\n${REST}`), "noAddress from");
  assert.equal(fault(`From: nobody:;\r\n${REST}`), "noAddress from");
  assert.equal(fault(`${WHOLE}Sender: ann@here.test, ann@here.test\r\n`), "noAddress sender");
  const odd = `${WHOLE}To: Undisclosed Recipients\r\nCc: <>\r\nReply-To: x <\r\n`;
  assert.equal(mended(odd), odd);
});

test("fields that may stand once stand once (RFC 5322 §3.6)", () => {
  for (const name of [
    "Date",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "From",
  ]) {
    const line = `${name}: ann@here.test\r\n`;
    assert.equal(fault(`${line}X: y\r\n${line.toUpperCase()}`), `repeated ${name.toLowerCase()}`);
  }
  const many = `${WHOLE}Received: a\r\nReceived: b\r\nComments: a\r\nComments: b\r\nKeywords: a\r\nKeywords: b\r\n`;
  assert.equal(mended(many), many);
});

test("octets outside of ASCII need SMTPUTF8, and UTF-8 then", () => {
  assert.equal(fault(`${WHOLE}Subject: café\r\n`), "eightBit subject");
  assert.equal(mended(`${WHOLE}Subject: café\r\n`, { smtputf8: true }), `${WHOLE}Subject: café\r\n`);
  const latin1 = concatBytes([encodeUtf8(`${WHOLE}Subject: caf`), Uint8Array.of(0xe9, 0x0d, 0x0a)]);
  assert.equal(fault(latin1), "eightBit subject");
  assert.equal(fault(latin1, { smtputf8: true }), "notUtf8 subject");
});

test("lines end with CRLF, hold no NUL and 998 octets at most", () => {
  for (const bad of ["a\rBcc: b", "a\nX: b", "a\u0000b", "a\r"])
    assert.equal(fault(`${WHOLE}Subject: ${bad}\r\n`).split(" ")[0], "control", JSON.stringify(bad));
  assert.equal(fault(`${WHOLE}Subject: x\r`), "control subject");
  assert.equal(mended(`${WHOLE}X: ${"y".repeat(995)}\r\n`).length, WHOLE.length + 1000);
  assert.equal(fault(`${WHOLE}X: ${"y".repeat(996)}\r\n`), "longLine x");
  assert.equal(fault(`${WHOLE}X: ${"y".repeat(996)}`), "longLine x");
  const folded = `${WHOLE}X: ${"y".repeat(900)}\r\n ${"y".repeat(900)}\r\n`;
  assert.equal(mended(folded), folded);
});

test("enforce: From and Sender are the user's", () => {
  assert.equal(fault(`From: boss@here.test\r\n${REST}`), "notYours from");
  assert.equal(fault(`From: ann@here.test, boss@here.test\r\n${REST}`), "notYours from");
  assert.equal(fault(`From: ann\r\n${REST}`), "none");
  assert.equal(fault(`From: boss\r\n${REST}`), "notYours from");
  assert.equal(fault(`${WHOLE}Sender: boss@here.test\r\n`), "notYours sender");
  assert.equal(fault(`${WHOLE}Sender: ann@here.test\r\n`), "none");
  assert.equal(fault(`From: boss@here.test\r\nSender: ann@here.test\r\n${REST}`), "notYours from");
});

test("correct: a Sender tells who sent what somebody else wrote (RFC 6409 §8.1)", () => {
  const correct = { sender: "correct" } as const;
  const boss = `From: boss@here.test\r\n${REST}`;
  assert.equal(mended(boss, correct), `Sender: ann@here.test\r\n${boss}`);
  assert.equal(mended(`Sender: carl@here.test\r\n${boss}`, correct), `Sender: ann@here.test\r\n${boss}`);
  assert.equal(mended(`Sender: ann@here.test\r\n${boss}`, correct), `Sender: ann@here.test\r\n${boss}`);
  assert.equal(mended(WHOLE, correct), WHOLE);
  const elsewhere = { ...correct, reversePath: null };
  assert.equal(mended(boss, elsewhere), `Sender: ann@here.test\r\n${boss}`);
  assert.equal(fault(boss, { ...elsewhere, own: null }), "notYours from");
  assert.equal(fault(`${WHOLE}Sender: boss@here.test\r\n`, { ...elsewhere, own: null }), "notYours sender");
});

test("any: all stands, and several authors still need a Sender (RFC 5322 §3.6.2)", () => {
  const any = { sender: "any", reversePath: mailbox("list@there.test") } as const;
  assert.equal(
    mended(`From: boss@there.test\r\nSender: carl@there.test\r\n${REST}`, any).startsWith("From: boss"),
    true,
  );
  const two = `From: boss@there.test, carl@there.test\r\n${REST}`;
  assert.equal(mended(two, any), `Sender: list@there.test\r\n${two}`);
  assert.equal(fault(two, { ...any, reversePath: null, own: null }), "noAddress sender");
});

const signature = (names: string) =>
  `DKIM-Signature: v=1; a=rsa-sha256; d=here.test;\r\n\th=${names};\r\n\tb=abc=; bh=x\r\n`;

test("what a signature covers is not changed: the message is refused", () => {
  assert.equal(fault(`${signature("From:Date : BCC")}${WHOLE}Bcc: a@b.test\r\n`), "signed bcc");
  assert.equal(fault(`${signature("from:to")}${WHOLE}To: bob\r\n`), "signed to");
  assert.equal(fault(`${signature("from")}Subject: x\r\n`), "signed from");
  assert.equal(fault(`${signature("from:date")}From: ann@here.test\r\n`), "signed date");
  assert.equal(
    fault(`${signature("from:sender")}From: boss@here.test\r\n${REST}`, { sender: "correct" }),
    "signed sender",
  );
  assert.equal(fault(`${signature("from").replace("DKIM-Signature", "ARC-Message-Signature")}X: y\r\n`), "signed from");
});

test("what no signature covers is mended beside it, and a Message-ID is left off where its absence is signed", () => {
  const signed = `${signature("from:\r\n\t subject")}From: ann@here.test\r\n`;
  assert.equal(mended(`${signed}Bcc: a@b.test\r\nTo: bob\r\n`), `${DATE}${ID}${signed}To: bob@here.test\r\n`);
  const sealed = `${signature("from:message-id")}From: ann@here.test\r\nDate: x\r\n`;
  assert.equal(mended(sealed), sealed);
});

test("fields that are not named here are the same octets in the same order, whatever stands around them", () => {
  const untouched = fc
    .tuple(
      fc.stringMatching(/^X-[A-Za-z0-9]{1,9} ?$/),
      fc.stringMatching(/^[\x20-\x7e\t]{0,60}(\r\n[ \t][\x20-\x7e]{1,40}){0,3}$/),
    )
    .map(([name, value]) => `${name}:${value}\r\n`);
  const touched = fc.constantFrom(
    "Bcc: a@b.test\r\n",
    "To: bob\r\n",
    "Date:\r\n",
    "Message-ID: x\r\n",
    "From: ann\r\n",
  );
  fc.assert(
    fc.property(fc.array(untouched, { maxLength: 8 }), fc.uniqueArray(touched), fc.nat(), (plain, others, seed) => {
      const all = [...plain];
      for (const [i, other] of others.entries()) all.splice((seed + i) % (all.length + 1), 0, other);
      const fields = fieldsOf(all.join(""));
      const result = mendHeader(fields, MENDING);
      assert.ok(result.ok);
      const wanted = fields.filter(({ name }) => name.startsWith("x-")).map(({ octets }) => octets);
      const left = result.value.filter((octets) => wanted.includes(octets));
      assert.deepEqual(left, wanted);
      assert.equal(left.length, plain.length);
      const again = unwrap(mendHeader(fieldsOf(concatBytes(result.value)), MENDING));
      assert.deepEqual(concatBytes(again), concatBytes(result.value), "mended once, nothing is left to mend");
    }),
  );
});
