import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8 } from "../base/index.ts";
import { memoryStreamPair } from "../testing/index.ts";
import { openSession } from "./open-session.ts";

test("the name in EHLO is ASCII: what a server can is not known yet", async () => {
  const names = [
    ["client.b\u00fccher.test", "client.xn--bcher-kva.test"],
    ["under_score.test", "under_score.test"],
    ["[192.0.2.1]", "[192.0.2.1]"],
  ] as const;
  for (const [written, sent] of names) {
    const [ours, theirs] = memoryStreamPair();
    let said = "";
    theirs.attach({
      data: (octets) => {
        said += decodeUtf8Lenient(octets);
        theirs.write(encodeUtf8("250 mx.test\r\n"));
      },
      drained() {},
      ended() {},
      closed() {},
    });
    theirs.write(encodeUtf8("220 mx.test\r\n"));
    assert.equal((await openSession({ stream: ours, hello: written, tls: { kind: "none" } })).ok, true);
    assert.equal(said, `EHLO ${sent}\r\n`);
  }
});
