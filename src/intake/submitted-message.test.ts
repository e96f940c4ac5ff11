import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeUtf8, encodeUtf8, instant, unwrap } from "../base/index.ts";
import { formatStatus, parseMailbox, type Reply, reply } from "../smtp/index.ts";
import type { ReceiverSink } from "./receive.ts";
import { SubmittedMessage } from "./submitted-message.ts";

const own = unwrap(parseMailbox("ann@here.test"));
const GIVEN = "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nFrom: ann@here.test\r\nMessage-ID: <1@here.test>\r\n";

/** Puts a message through in pieces; gives what is stored of it, or the refusal. */
async function submit(chunks: readonly Uint8Array[], slow = false, headerLimit = 2000): Promise<string> {
  const stored: Uint8Array[] = [];
  let refusal: Reply | null = null;
  const sink: ReceiverSink = {
    write(chunk) {
      if (refusal === null) stored.push(chunk);
      return slow ? new Promise((resolve) => setImmediate(resolve)) : undefined;
    },
    async refuse(why) {
      assert.equal(refusal, null, "refused once");
      assert.equal(stored.length, 0, "nothing is stored of what is refused");
      refusal = why;
    },
    finish: () => refusal ?? reply(250, "2.0.0", "Ok"),
    abort: () => {},
  };
  const message = new SubmittedMessage({
    sink,
    headerLimit,
    mending: {
      reversePath: own,
      smtputf8: false,
      own,
      sender: "enforce",
      mayUse: ({ localPart }) => localPart === "ann",
      qualify: (localPart) => ({ ...own, localPart }),
      at: instant(Date.UTC(2026, 10, 22, 10)),
      messageId: "1@here.test",
    },
  });
  for (const chunk of chunks) await message.write(chunk);
  const end = await message.finish();
  assert.ok("code" in end);
  if (end.code !== 250) return `${end.code} ${end.status === null ? "" : formatStatus(end.status)}`;
  return decodeUtf8(concatBytes(stored)) ?? assert.fail("not UTF-8");
}

/** However it is cut and however slow the store is, the same comes out. */
async function everyWay(text: string, wanted: string): Promise<void> {
  const octets = encodeUtf8(text);
  assert.equal(await submit([octets]), wanted);
  assert.equal(await submit(Array.from(octets, (octet) => Uint8Array.of(octet))), wanted, "octet by octet");
  for (let at = 1; at < octets.length; at++)
    assert.equal(await submit([octets.subarray(0, at), octets.subarray(at)], at % 7 === 0), wanted, `cut at ${at}`);
}

test("fields are put in front and the body passes as it came", async () => {
  const body = "\r\nBcc: not a field\r\nTo: bob\r\n.\r\n\u00e9\r\n";
  await everyWay(`Subject: x\r\n${body}`, `${GIVEN}Subject: x\r\n${body}`);
});

test("Bcc is gone wherever it stood, and To is completed", async () => {
  await everyWay(
    `Bcc: a@b.test\r\nTo: bob\r\nBcc: c@d.test,\r\n e@f.test\r\n\r\nbody\r\n`,
    `${GIVEN}To: bob@here.test\r\n\r\nbody\r\n`,
  );
});

test("a message may end within or behind its header section", async () => {
  await everyWay("Subject: x\r\n", `${GIVEN}Subject: x\r\n`);
  await everyWay("Subject: x", `${GIVEN}Subject: x`);
  await everyWay("\r\n", `${GIVEN}\r\n`);
  assert.equal(await submit([]), GIVEN);
});

test("a text without a header section gets one, and its empty line", async () => {
  await everyWay("Hello Ann,\r\nhow are you?\r\n", `${GIVEN}\r\nHello Ann,\r\nhow are you?\r\n`);
  await everyWay("\r\nHello\r\n", `${GIVEN}\r\nHello\r\n`);
});

test("a line that is no field among those that are would show Bcc as text, and is refused", async () => {
  await everyWay("Subject: x\r\nhello\r\nBcc: a@b.test\r\n\r\n", "554 5.6.0");
  await everyWay("From ann Sun Nov 22 10:00:00 2026\r\nBcc: a@b.test\r\n\r\n", "554 5.6.0");
  await everyWay(">From ann Sun Nov 22 10:00:00 2026\r\nBcc: a@b.test\r\n\r\n", "554 5.6.0");
});

test("what cannot be mended is refused before anything is stored", async () => {
  await everyWay("From: boss@here.test\r\n\r\nbody\r\n", "550 5.7.1");
  await everyWay("From: ann@here.test\r\nFrom: ann@here.test\r\n\r\n", "554 5.6.0");
  await everyWay("Subject: caf\u00e9\r\n\r\n", "554 5.6.0");
  await everyWay("DKIM-Signature: h=from:bcc\r\nBcc: a@b.test\r\n\r\n", "554 5.6.0");
});

test("a header section beyond the limit is refused", async () => {
  assert.equal(await submit([encodeUtf8(`X: ${"y".repeat(90)}\r\n`.repeat(30))]), "552 5.3.4");
});
