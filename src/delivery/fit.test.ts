import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeUtf8Lenient, encodeUtf8, instant, unwrap } from "../base/index.ts";
import { formatReport } from "../message/index.ts";
import type { Body } from "../queue/index.ts";
import { type MailParameters, parseMailbox } from "../smtp/index.ts";
import { type EightBit, fitMessage, fits } from "./fit.ts";

const HEAD = "Content-Type: text/plain; charset=utf-8\r\n\r\n";

const ANN = unwrap(parseMailbox("ann@here.test"));

async function fitted(
  text: string,
  parameters: MailParameters,
  offered: string,
  eightBit: EightBit = "convert",
  reversePath: typeof ANN | null = ANN,
) {
  const octets = encodeUtf8(text);
  const body: Body = { size: octets.length, chunks: () => [octets.subarray(0, 10), octets.subarray(10)] };
  const extensions = new Map(offered.split(" ").map((keyword) => [keyword, []]));
  const fit = await fitMessage({ reversePath, parameters, body }, extensions, eightBit);
  const chunks: Uint8Array[] = [];
  for await (const chunk of fit.body.chunks()) chunks.push(chunk);
  return { parameters: fit.parameters, size: fit.body.size, text: decodeUtf8Lenient(concatBytes(chunks)) };
}

test("what the server offers, or the message does not declare, needs no look", () => {
  const offers = new Map([["8BITMIME", []]]);
  assert.equal(fits({ body: "8BITMIME" }, offers), true);
  assert.equal(fits({ body: "7BIT" }, new Map()), true);
  assert.equal(fits({}, new Map()), true);
  assert.equal(fits({ body: "8BITMIME" }, new Map()), false);
  assert.equal(fits({ body: "BINARYMIME" }, new Map([["BINARYMIME", []]])), false);
  assert.equal(fits({ smtputf8: true }, offers), false);
});

test("8BITMIME that is ASCII goes as 7-bit mail, untouched, whatever the setting", async () => {
  for (const setting of ["bounce", "convert"] as const) {
    const fit = await fitted(`${HEAD}plain\r\n`, { body: "8BITMIME", ret: "HDRS" }, "SIZE", setting);
    assert.deepEqual(fit.parameters, { ret: "HDRS" });
    assert.equal(fit.text, `${HEAD}plain\r\n`);
  }
});

test("8-bit mail is converted where the operator says so, else left for the client to refuse", async () => {
  const converted = await fitted(`${HEAD}ü\r\n`, { body: "8BITMIME" }, "SIZE");
  assert.deepEqual(converted.parameters, {});
  assert.equal(converted.size, null);
  assert.match(converted.text, /quoted-printable\r\n\r\n=C3=BC\r\n$/);
  const kept = await fitted(`${HEAD}ü\r\n`, { body: "8BITMIME" }, "SIZE", "bounce");
  assert.deepEqual(kept.parameters, { body: "8BITMIME" });
  assert.equal(kept.text, `${HEAD}ü\r\n`);
});

test("what cannot be converted is left for the client to refuse", async () => {
  const { parameters } = await fitted("Subject: ü\r\n\r\nü\r\n", { body: "8BITMIME" }, "SIZE");
  assert.deepEqual(parameters, { body: "8BITMIME" });
});

test("BINARYMIME is declared as what it is where that is enough, else converted", async () => {
  const lines = await fitted(`${HEAD}ü\r\n`, { body: "BINARYMIME" }, "8BITMIME", "bounce");
  assert.deepEqual(lines.parameters, { body: "8BITMIME" });
  const ascii = await fitted(`${HEAD}x\r\n`, { body: "BINARYMIME" }, "BINARYMIME", "bounce");
  assert.deepEqual(ascii.parameters, {});
  const binary = await fitted(`${HEAD}a\nb`, { body: "BINARYMIME" }, "8BITMIME CHUNKING");
  assert.deepEqual(binary.parameters, {});
  assert.match(binary.text, /a=0Ab=\r\n$/);
});

test("SMTPUTF8 that the header section does not need is dropped, and only then", async () => {
  const { parameters } = await fitted(`${HEAD}ü\r\n`, { smtputf8: true, body: "8BITMIME" }, "8BITMIME");
  assert.deepEqual(parameters, { body: "8BITMIME" });
  for (const offered of ["8BITMIME", "SIZE"]) {
    const kept = await fitted("Subject: ü\r\n\r\nx\r\n", { smtputf8: true }, offered);
    assert.deepEqual(kept.parameters, { smtputf8: true });
  }
});

for (const kind of ["headers", "full"] as const) {
  test(`a report on 8-bit mail reaches a sender whose server takes 7 bits only (${kind})`, async () => {
    const header = "From: ann@here.test\r\nMIME-Version: 1.0\r\n";
    const returned = kind === "headers" ? `Subject: \u00fc\r\n${header}` : `${header}${HEAD}gr\u00fc\u00dfe\r\n`;
    const { octets, eightBit } = formatReport({
      id: "00000000ABC",
      hostname: "here.test",
      to: ANN,
      at: instant(0),
      arrived: instant(0),
      deliverBy: null,
      futureRelease: null,
      envelopeId: null,
      recipients: [],
      returned: { kind, octets: encodeUtf8(returned) },
      international: false,
    });
    assert.equal(eightBit, true);
    const report = decodeUtf8Lenient(octets);
    const fit = await fitted(report, { body: "8BITMIME" }, "SIZE", "bounce", null);
    assert.deepEqual(fit.parameters, {});
    assert.match(fit.text, /^[\t\r\n\x20-\x7e]*$/);
    assert.match(fit.text, kind === "headers" ? /\r\nSubject: =C3=BC\r\n/ : /\r\ngr=C3=BC=C3=9Fe\r\n/);
  });
}
