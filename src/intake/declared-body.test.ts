import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, decodeUtf8Lenient, encodeUtf8, instant, silentLog, unwrap } from "../base/index.ts";
import { type AcceptedMessage, createMemoryStore } from "../queue/index.ts";
import type { Client, Transaction } from "../server/index.ts";
import { type MailParameters, parseMailbox } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { createReceiver } from "./receive.ts";

const CLIENT: Client = {
  sessionId: "s1",
  peer: { address: "192.0.2.1", port: 40_000 },
  local: { address: "192.0.2.25", port: 25 },
  tls: null,
};

async function taken(parameters: MailParameters, to: string, ...chunks: readonly string[]): Promise<AcceptedMessage> {
  const { clock } = fakeClock(instant(Date.UTC(2026, 10, 22)));
  const offered: AcceptedMessage[] = [];
  const receive = createReceiver({
    hostname: "mx.test",
    store: createMemoryStore({ clock }),
    offer: (accepted) => offered.push(accepted),
    freeSpace: () => 2 ** 40,
    clock,
    log: silentLog,
    limits: { hops: 3, header: 1000, giveUpAfter: DAY, freeSpaceFloor: 0 },
  });
  const transaction: Transaction = {
    hello: { verb: "EHLO", name: "client.test" },
    identity: null,
    reversePath: null,
    parameters,
    recipients: [{ recipient: unwrap(parseMailbox(to)), parameters: {} }],
  };
  const verdict = await receive(CLIENT, transaction, "mx", { mayRaise: false });
  if (verdict.kind !== "accept") return assert.fail("refused");
  for (const chunk of chunks) await verdict.sink.write(encodeUtf8(chunk));
  await verdict.sink.finish();
  return offered[0] ?? assert.fail("not offered");
}

test("8-bit content that was not declared is queued as 8BITMIME; what was declared stays", async () => {
  const cases: readonly (readonly [MailParameters, readonly string[], MailParameters])[] = [
    [{}, ["Subject: x\r\n\r\n", "plain\r\n"], {}],
    [{}, ["Subject: x\r\n\r\n", "plain\r\n", "ü\r\n", "plain\r\n"], { body: "8BITMIME" }],
    [{}, ["Subject: ü\r\n\r\n"], { body: "8BITMIME" }],
    [{ body: "7BIT" }, ["Subject: x\r\n\r\nü\r\n"], { body: "8BITMIME" }],
    [{ body: "7BIT" }, ["Subject: x\r\n\r\nx\r\n"], { body: "7BIT" }],
    [{ body: "8BITMIME" }, ["Subject: x\r\n\r\nx\r\n"], { body: "8BITMIME" }],
    [{ body: "BINARYMIME" }, ["Subject: x\r\n\r\nü\r\n"], { body: "BINARYMIME" }],
  ];
  for (const [declared, chunks, kept] of cases) {
    assert.deepEqual((await taken(declared, "b@mx.test", ...chunks)).message.parameters, kept);
  }
});

test("the trace field does not make an ASCII message an internationalized one", async () => {
  for (const [to, named] of [
    ["b@mx.test", true],
    ["b@m\u00fcnchen.test", false],
    ["\u00fc@mx.test", false],
  ] as const) {
    const { body } = await taken({ smtputf8: true }, to, "Subject: x\r\n\r\n");
    let text = "";
    for await (const chunk of body.chunks()) text += decodeUtf8Lenient(chunk);
    assert.match(text, /^[\u0000-\u007f]*$/);
    assert.equal(/ for </.test(text), named);
  }
});
