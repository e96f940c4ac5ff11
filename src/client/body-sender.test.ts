import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, unwrap } from "../base/index.ts";
import type { ClearStream } from "../net/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { memoryStreamPair } from "../testing/index.ts";
import { openSession } from "./index.ts";

/** A server that takes any body by DATA, and by BDAT where it offers that; gives what came of bodies. */
function takingPeer(stream: ClearStream, chunking: boolean): () => string {
  const said = [
    "250-mx\r\n250-PIPELINING\r\n",
    chunking ? "250-CHUNKING\r\n250-BINARYMIME\r\n250 HELP\r\n" : "250 HELP\r\n",
  ].join("");
  let [input, body, wanted, last, data] = ["", "", 0, false, false];
  const line = (text: string): string => {
    const bdat = /^BDAT (\d+)( LAST)?$/.exec(text);
    wanted = Number(bdat?.[1] ?? 0);
    last = bdat?.[2] !== undefined;
    data = text === "DATA";
    if (bdat !== null) return "";
    return text.startsWith("EHLO") ? said : data ? "354 go\r\n" : "250 ok\r\n";
  };
  stream.attach({
    data(bytes) {
      input += decodeUtf8Lenient(bytes);
      for (;;) {
        if (data) {
          if (!input.endsWith("\r\n.\r\n")) return;
          [body, input, data] = [input.slice(0, -3), "", false];
          stream.write(encodeUtf8("250 queued\r\n"));
        } else if (wanted > 0) {
          if (input.length < wanted) return;
          body += input.slice(0, wanted);
          [input, wanted] = [input.slice(wanted), 0];
          stream.write(encodeUtf8(last ? "250 queued\r\n" : "250 ok\r\n"));
        } else {
          const end = input.indexOf("\r\n");
          if (end < 0) return;
          const reply = line(input.slice(0, end));
          input = input.slice(end + 2);
          if (reply !== "") stream.write(encodeUtf8(reply));
        }
      }
    },
    drained() {},
    ended() {},
    closed() {},
  });
  stream.write(encodeUtf8("220 mx\r\n"));
  return () => body;
}

for (const chunking of [false, true]) {
  for (const octets of [5000, 30_000, 130_000]) {
    test(`pieces of ${octets} octets are given back, spoilt, and all arrives (${chunking ? "BDAT" : "DATA"})`, async () => {
      const [ours, theirs] = memoryStreamPair({ highWater: 16_384 });
      const body = takingPeer(theirs, chunking);
      const session = unwrap(await openSession({ stream: ours, hello: "client.test", tls: { kind: "none" } }));
      const texts = Array.from({ length: 40 }, (_, at) => `${String.fromCharCode(65 + at).repeat(octets - 2)}\r\n`);
      let [given, most] = [0, 0];
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (const text of texts) {
          most = Math.max(most, ++given);
          yield encodeUtf8(text);
        }
      };
      const release = (chunk: Uint8Array): void => {
        chunk.fill(0x21);
        given--;
      };
      const mailbox = unwrap(parseMailbox("a@x.test"));
      const [result] = await session.send({
        reversePath: null,
        parameters: chunking ? { body: "BINARYMIME" } : {},
        recipients: [{ mailbox, parameters: {} }],
        body: { size: texts.length * octets, chunks, release },
      });
      assert.equal(result?.kind, "accepted", JSON.stringify(result));
      assert.ok(body() === texts.join(""), "what came is not what was sent");
      assert.ok(most * octets <= 4 * Math.max(octets, 65_536), `${most} pieces of the body were held`);
    });
  }
}

test("a large body waits for the peer and arrives whole, dots stuffed", async () => {
  const [ours, theirs] = memoryStreamPair({ highWater: 16_384 });
  let text = "";
  let body = false;
  theirs.attach({
    data(bytes) {
      text += decodeUtf8Lenient(bytes);
      if (body) {
        if (text.endsWith("\r\n.\r\n")) theirs.write(encodeUtf8("250 queued\r\n"));
      } else if (text.endsWith("DATA\r\n")) {
        text = "";
        body = true;
        theirs.write(encodeUtf8("250 ok\r\n250 ok\r\n354 go\r\n"));
      } else theirs.write(encodeUtf8("250-mx\r\n250 PIPELINING\r\n"));
    },
    drained() {},
    ended() {},
    closed() {},
  });
  theirs.write(encodeUtf8("220 mx\r\n"));
  const session = unwrap(await openSession({ stream: ours, hello: "client.test", tls: { kind: "none" } }));
  const line = `.${"x".repeat(1022)}\r\n`;
  let ahead = 0;
  const chunks = function* (): Generator<Uint8Array> {
    for (let count = 0; count < 1000; count++) {
      ahead = Math.max(ahead, ours.unsent);
      yield encodeUtf8(line);
    }
  };
  const mailbox = unwrap(parseMailbox("a@x.test"));
  const [result] = await session.send({
    reversePath: null,
    parameters: {},
    recipients: [{ mailbox, parameters: {} }],
    body: { size: 1000 * line.length, chunks },
  });
  assert.equal(result?.kind, "accepted");
  assert.equal(text, `${`.${line}`.repeat(1000)}.\r\n`);
  assert.ok(ahead < 16_384, `the source was read ${ahead} octets ahead of the peer`);
});
