import assert from "node:assert/strict";
import { bytesEqual, concatBytes, decodeUtf8, instant, unwrap } from "../../../src/base/index.ts";
import { parseAddressList } from "../../../src/message/address-list.ts";
import { HeaderScanner } from "../../../src/message/header.ts";
import { type Mending, mendHeader } from "../../../src/message/mending.ts";
import { formatMailbox, parseMailbox } from "../../../src/smtp/index.ts";
import type { Target } from "../target.ts";

const ADDRESS_WORDS = [
  ...["ann", "ann@here.test", "<bob@there.test>", "Ann <ann>", '"Lee, Ann"', '"a\\"b"', "(a (b) c)", "(", ")", '"'],
  ...[",", ";", ":", "<", ">", "@", ".", "\\", " ", "\r\n ", "\t", "team:", "[192.0.2.1]", "[", "@a.test:", "..", "\0"],
  ...["=?utf-8?q?J=C3=BC?=", "j\xc3\xbcrgen", "b\xc3\xbccher.test", "\xff", "\r", "\n", "x".repeat(70)],
];

/** Address lists of users: a value or a problem, no mailbox that SMTP could not carry, and places that are places. */
const addressList: Target = {
  name: "address-list",
  words: ADDRESS_WORDS,
  openings: ["Ann <ann@here.test>, bob", "A Group:Ed <c@a.test>,joe;, x", "(c) ann (d) @ (e) here.test"],
  check(octets) {
    const text = decodeUtf8(octets);
    if (text === null) return;
    const list = parseAddressList(text);
    if (!list.ok) {
      assert.ok(list.error.at >= 0 && list.error.at <= text.length);
      return;
    }
    for (const address of list.value) {
      if (address.kind === "bare") {
        assert.ok(address.end > 0 && address.end <= text.length);
        const completed = parseAddressList(`${text.slice(0, address.end)}@here.test${text.slice(address.end)}`);
        assert.ok(completed.ok, "a bare address with a domain is an address");
        assert.equal(completed.value.length, list.value.length);
        continue;
      }
      const written = formatMailbox(address.mailbox);
      assert.deepEqual(unwrap(parseMailbox(written)), address.mailbox);
      const again = parseAddressList(written);
      assert.ok(again.ok && again.value[0]?.kind === "mailbox");
      assert.deepEqual(again.value[0].mailbox, address.mailbox, "read as it is written");
    }
  },
};

const OWN = unwrap(parseMailbox("ann@here.test"));
const TOUCHED = new Set([
  ...["bcc", "resent-bcc", "date", "message-id", "from", "sender", "reply-to", "to", "cc"],
  ...["resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc"],
]);

/** What an MSA makes of a header section: untouched fields as they came, no Bcc, no author but the user, and nothing left to mend. */
const mending: Target = {
  name: "mending",
  words: [
    ...["From: ", "Sender: ", "To: ", "Cc: ", "Bcc: ", "bCC :", "Resent-Bcc: ", "Date: ", "Message-ID: ", "Subject: "],
    ...[
      "DKIM-Signature: v=1; h=from:bcc; b=x\r\n",
      "h=to : date;",
      "X-Other:",
      "\r\n",
      "\r\n ",
      "<a@b>",
      "ann",
      "boss@here.test",
    ],
    ...ADDRESS_WORDS,
    "y".repeat(998),
  ],
  openings: [
    "From: ann@here.test\r\nTo: bob\r\nBcc: c@d.test\r\nX: y\r\n",
    "From: boss@here.test\r\nSender: ann\r\n",
    "DKIM-Signature: h=from:to\r\nFrom: ann@here.test\r\nSubject: x\r\n",
  ],
  check(octets) {
    for (const sender of ["enforce", "correct", "any"] as const) checkMending(octets, sender);
  },
};

function checkMending(octets: Uint8Array, sender: Mending["sender"]): void {
  const rules: Mending = {
    reversePath: OWN,
    smtputf8: octets.length % 2 === 0,
    own: OWN,
    sender,
    mayUse: (mailbox) => formatMailbox(mailbox) === "ann@here.test",
    qualify: (localPart) => (localPart === "nobody" ? null : { ...OWN, localPart }),
    at: instant(0),
    messageId: "1@mx.test",
  };
  const fields = fieldsOf(octets);
  const result = mendHeader(fields, rules);
  if (!result.ok) return;
  const plain = fields.filter(({ name }) => !TOUCHED.has(name)).map((field) => field.octets);
  assert.deepEqual(
    result.value.filter((piece) => plain.includes(piece)),
    plain,
    "other fields are the very octets, in their order",
  );
  const mended = fieldsOf(concatBytes(result.value));
  assert.ok(!mended.some(({ name }) => name === "bcc" || name === "resent-bcc"), "nobody sees Bcc");
  for (const needed of ["from", "date"]) assert.equal(mended.filter(({ name }) => name === needed).length, 1, needed);
  const told = mended.find(({ name }) => name === (sender === "enforce" ? "from" : "sender")) ?? mended.find(isFrom);
  if (sender !== "any") assert.ok(told !== undefined && isOwn(told), "the user is told");
  const again = mendHeader(mended, rules);
  assert.ok(again.ok && bytesEqual(concatBytes(again.value), concatBytes(result.value)), "mended once is mended");
}

function isFrom({ name }: { readonly name: string }): boolean {
  return name === "from";
}

function isOwn({ octets, valueAt }: { readonly octets: Uint8Array; readonly valueAt: number }): boolean {
  const list = parseAddressList(decodeUtf8(octets.subarray(valueAt)) ?? "");
  if (!list.ok || list.value.length === 0) return false;
  return list.value.every(
    (address) => address.kind === "mailbox" && formatMailbox(address.mailbox) === "ann@here.test",
  );
}

function fieldsOf(octets: Uint8Array) {
  const scanner = new HeaderScanner();
  scanner.push(octets);
  scanner.end();
  return scanner.fields();
}

export const submission: readonly Target[] = [addressList, mending];
