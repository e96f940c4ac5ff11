import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, encodeUtf8, type Log, silentLog } from "../base/index.ts";
import { ReplyDecoder, reply } from "../smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../testing/index.ts";
import { events } from "./events.ts";
import { createServer, definePolicy } from "./index.ts";

/** What a hostile client might say: good commands, halves of them, and octets of any kind, in any order. */
const fragment = fc.oneof(
  fc.constantFrom(
    ...[
      "EHLO c.test\r\n",
      "MAIL FROM:<a@c.test>\r\n",
      "RCPT TO:<b@mx.test>\r\n",
      "DATA\r\n",
      "\r\n.\r\n",
      ".\r\n",
      "\n.\n",
    ],
    ...[
      "\r\n",
      "\r",
      "\n",
      "RSET\r\n",
      "AUTH PLAIN\r\n",
      "*\r\n",
      "STARTTLS\r\n",
      "BDAT 5 LAST\r\n",
      "NOOP ",
      "QUIT\r\n",
      "\0",
    ],
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);

test("whatever a client says: replies of SMTP or the end, sinks finished or aborted once, no bug met, nothing left", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fragment, { maxLength: 25 }), fc.boolean(), async (said, slow) => {
      const open: string[][] = [];
      const broken: string[] = [];
      const log: Log = { ...silentLog, child: () => log, error: (event) => void broken.push(event) };
      const policy = definePolicy({
        offer: { messageSize: 40 },
        mail: () => (slow ? Promise.resolve({ kind: "accept" }) : { kind: "accept" }),
        body: () => {
          const calls: string[] = [];
          open.push(calls);
          return {
            write: () => (slow ? Promise.resolve() : undefined),
            finish: () => {
              calls.push("finish");
              return reply(250, "2.0.0", "Ok");
            },
            abort: () => void calls.push("abort"),
          };
        },
      });
      const { clock, advance } = fakeClock();
      const server = createServer({ hostname: "mx.test", listeners: [], policy, clock, log });
      const [client, theirs] = memoryStreamPair();
      const decoder = new ReplyDecoder();
      let answered = true;
      client.attach({
        data: (bytes) => {
          answered &&= decoder.push(bytes).ok;
        },
        drained() {},
        ended() {},
        closed() {},
      });
      server.serve(theirs, { tls: "starttls" });
      const pieces = said.map((text) => encodeUtf8(text));
      if (slow) for (const piece of pieces) client.write(piece);
      else client.write(concatBytes(pieces));
      await new Promise((resolve) => setImmediate(resolve));
      client.end();
      await new Promise((resolve) => setImmediate(resolve));
      advance(3_600_000);
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(answered && !decoder.midReply);
      assert.deepEqual(
        broken.filter((event) => event === events.broken),
        [],
      );
      for (const calls of open) assert.equal(calls.length, 1);
      assert.equal(server.connections, 0);
    }),
    { numRuns: 300 },
  );
});
