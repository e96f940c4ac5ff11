import assert from "node:assert/strict";
import { concatBytes } from "../../../src/base/index.ts";
import { Downgrader, MessageSurvey, type Survey } from "../../../src/message/downgrade.ts";
import { cutsOf } from "../cuts.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

/** The conversion for a next hop without 8BITMIME: 7-bit whatever goes in, and the same content for whoever decodes it. */
export const downgrade: Target = {
  name: "downgrade",
  words: [
    ...[
      "Subject: hi\r\n",
      "MIME-Version: 1.0\r\n",
      "Content-Type: text/plain; charset=utf-8\r\n",
      "\r\n",
      "caf\xc3\xa9",
      "\xff",
    ],
    ...[
      "Content-Transfer-Encoding: 8bit\r\n",
      "Content-Transfer-Encoding: 7bit\r\n",
      "Content-Transfer-Encoding: base64\r\n",
    ],
    ...[
      "Content-Type: multipart/mixed; boundary=b\r\n",
      'Content-Type: multipart/signed; boundary="b c"\r\n',
      "--b\r\n",
      "--b--\r\n",
    ],
    ...[
      "--b c\r\n",
      "Content-Type: message/rfc822\r\n",
      "Content-Type: application/octet-stream\r\n",
      "Content-Type: multipart/digest;\r\n boundary=d\r\n",
    ],
    ...[
      "--d\r\n",
      "text = text \r\n",
      "\t\r\n",
      ".\r\n",
      "-",
      "=",
      " ",
      "\r",
      "\n",
      "\0",
      "x".repeat(75),
      "y".repeat(998),
      "z".repeat(999),
    ],
    ...[
      "Content-Type: message/global\r\n",
      "Content-Type: (a (nested) comment) text/html\r\n",
      "Content-Transfer-Encoding: binary\r\n",
    ],
  ],
  openings: [
    "Subject: hi\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n",
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n--b\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n\xe9\r\n--b--\r\n",
    "Subject: none\r\n\r\n\xe9\x80",
  ],
  check(octets) {
    const surveys = cutsOf(octets).map(survey);
    for (const other of surveys) assert.deepEqual(other, surveys[0]);
    const [found] = surveys;
    assert.ok(found !== undefined);
    if (!found.downgrade.ok) return;
    const changes = found.downgrade.value;
    const outputs = cutsOf(octets).map((cut) => {
      const downgrader = new Downgrader(changes);
      return latin1(concatBytes([...cut.flatMap((piece) => downgrader.push(piece)), ...downgrader.end()]));
    });
    for (const other of outputs) assert.equal(other, outputs[0], "the same however it is cut");
    const output = outputs[0] ?? "";
    if (changes.every((change) => change === "keep"))
      assert.equal(output, latin1(octets), "nothing to do is nothing done");
    assert.ok(!/[\x80-\xff\0]|\r(?!\n)|(?<!\r)\n|[^\n]{1000}/.test(output), "7bit, RFC 2045 §2.7");
    const again = survey([octetsOf(output)]);
    assert.ok(again.content === "7bit" && again.downgrade.ok && !again.eightBitHeader);
    if (changes.length === 1) sameContent(latin1(octets), output, changes[0] ?? "keep");
  },
};

function survey(cut: readonly Uint8Array[]): Survey {
  const surveyor = new MessageSurvey();
  for (const piece of cut) surveyor.push(piece);
  return surveyor.finish();
}

/** A message of one part means the same before and after. */
function sameContent(before: string, after: string, change: string): void {
  const body = bodyOf(after);
  const decoded =
    change === "base64"
      ? Buffer.from(body, "base64").toString("latin1")
      : change === "quoted-printable"
        ? body
            .replace(/=\r\n/g, "")
            .replace(/=([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
        : body;
  assert.equal(decoded, bodyOf(before));
  assert.ok(change === "keep" || change === "relabel" || !/[^\n]{78}/.test(body), "lines of at most 76 octets");
}

function bodyOf(message: string): string {
  const end = `\r\n${message}`.indexOf("\r\n\r\n");
  return end === -1 ? "" : message.slice(end + 2);
}
