import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, unwrap } from "../base/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { memoryStreamPair } from "../testing/index.ts";
import { openSession } from "./index.ts";

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
