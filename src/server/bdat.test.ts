import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, decodeUtf8Lenient, encodeUtf8 } from "../base/index.ts";
import type { ClearStream } from "../net/index.ts";
import { reply } from "../smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../testing/index.ts";
import { createServer, definePolicy, type PolicyParts } from "./index.ts";

const ENVELOPE = "EHLO c.test\r\nMAIL FROM:<a@c.test> BODY=BINARYMIME\r\nRCPT TO:<b@mx.test>\r\n";

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** A server with a sink that keeps everything, and a client that hears everything. */
function setUp(slow: boolean, parts: Partial<PolicyParts> = {}) {
  const messages: Uint8Array[] = [];
  const sinks: string[][] = [];
  const heard = { text: "" };
  const wait = <T>(value: T): T | Promise<T> => (slow ? turn().then(() => value) : value);
  const policy = definePolicy({
    body: () => {
      const calls: string[] = [];
      const chunks: Uint8Array[] = [];
      sinks.push(calls);
      return wait({
        write: (chunk) => {
          chunks.push(chunk);
          return slow ? turn() : undefined;
        },
        finish: () => {
          calls.push("finish");
          messages.push(concatBytes(chunks));
          return wait(reply(250, "2.0.0", "Ok"));
        },
        abort: () => void calls.push("abort"),
      });
    },
    ...parts,
  });
  const { clock } = fakeClock();
  const server = createServer({ hostname: "mx.test", listeners: [], policy, clock });
  const [client, theirs] = memoryStreamPair();
  client.attach({
    data: (bytes) => {
      heard.text += decodeUtf8Lenient(bytes);
    },
    drained() {},
    ended() {},
    closed() {},
  });
  server.serve(theirs, { tls: "none" });
  return { client, server, messages, sinks, heard };
}

function codesIn(text: string): readonly string[] {
  return [...text.matchAll(/^(\d{3})(?: .*)?\r$/gm)].map((match) => match[1] ?? "");
}

async function sendCut(client: ClearStream, octets: Uint8Array, size: number): Promise<void> {
  for (let at = 0; at < octets.length; at += size) {
    client.write(octets.subarray(at, at + size));
    if (size < octets.length) await turn();
  }
}

const digest = (octets: Uint8Array) => createHash("sha256").update(octets).digest("hex");

test("a binary body arrives to the octet, however it is cut into chunks and pieces, with the envelope in one write", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 20, max: 3000 }), fc.boolean(), async (sent, size, slow) => {
      const { client, messages, sinks, heard } = setUp(slow);
      const commands = sent.map((chunk, at) => {
        const last = at === sent.length - 1 ? " LAST" : "";
        return concatBytes([encodeUtf8(`BDAT ${chunk.length}${last}\r\n`), chunk]);
      });
      const again = encodeUtf8("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@mx.test>\r\nBDAT 3 LAST\r\nend");
      await sendCut(client, concatBytes([encodeUtf8(ENVELOPE), ...commands, again]), size);
      await turns(slow ? 60 : 2);
      assert.deepEqual(messages.map(digest), [digest(concatBytes(sent)), digest(encodeUtf8("end"))]);
      assert.deepEqual(sinks, [["finish"], ["finish"]]);
      assert.deepEqual(codesIn(heard.text), ["220", ...Array(3 + sent.length + 3).fill("250")]);
      client.destroy();
    }),
    { numRuns: 100 },
  );
});

test("a client that is gone at any octet before the end leaves nothing, and its sink is aborted once", async () => {
  const whole = encodeUtf8(`${ENVELOPE}BDAT 5\r\n12345BDAT 0\r\nBDAT 5 LAST\r\n67890`);
  for (const slow of [false, true]) {
    for (let length = 0; length < whole.length; length++) {
      for (const leave of ["end", "destroy"] as const) {
        const { client, server, messages, sinks } = setUp(slow);
        client.write(whole.subarray(0, length));
        await turns(slow ? 8 : 2);
        client[leave]();
        await turns(slow ? 8 : 2);
        assert.deepEqual(messages, [], `${length} octets`);
        for (const calls of sinks) assert.deepEqual(calls, ["abort"], `${length} octets`);
        if (leave === "destroy") assert.equal(server.connections, 0);
      }
    }
  }
});

for (const [name, end] of [
  ["DATA", "\r\n.\r\n"],
  ["BDAT", ""],
] as const) {
  test(`what comes in pieces while the sink of a message by ${name} finishes is neither lost nor out of order`, async () => {
    const open: { finish: () => void } = { finish: () => {} };
    const { client, heard } = setUp(false, {
      body: () => ({
        write() {},
        finish: () =>
          new Promise((resolve) => {
            open.finish = () => resolve(reply(250, "2.0.0", "Ok"));
          }),
        abort() {},
      }),
      mail: ({ reversePath }) =>
        reversePath?.localPart === "no" ? { kind: "refuse", reply: reply(550, "5.7.1", "No") } : { kind: "accept" },
    });
    client.write(encodeUtf8(ENVELOPE.replace(" BODY=BINARYMIME", "")));
    await turns(2);
    if (name === "DATA") client.write(encodeUtf8("DATA\r\n"));
    await turns(2);
    const message = name === "DATA" ? `x${end}` : "BDAT 1 LAST\r\nx";
    client.write(encodeUtf8(`${message}MAIL FROM:<no@c.test>\r\nMA`));
    await turns(2);
    client.write(encodeUtf8("IL FROM:<a@c.test>\r\nRC"));
    await turns(2);
    client.write(encodeUtf8("PT TO:<b@mx.test>\r\nQUIT\r\n"));
    await turns(2);
    open.finish();
    await turns(4);
    assert.deepEqual(codesIn(heard.text).slice(-5), ["250", "550", "250", "250", "221"]);
  });
}

test("RSET, EHLO, QUIT, too large a chunk, and a bad line between chunks: the sink hears of it at once, or not at all", async () => {
  const cases: readonly (readonly [command: string, calls: readonly string[]])[] = [
    ["RSET", ["abort"]],
    ["EHLO c.test", ["abort"]],
    ["QUIT", ["abort"]],
    ["BDAT 60000000", ["abort"]],
    ["BDAT x", ["abort"]],
    ["NOOP", []],
    ["VRFY b", []],
    ["WHAT", []],
    ["MAIL FROM:<a@c.test>", []],
  ];
  for (const slow of [false, true]) {
    for (const [command, calls] of cases) {
      const { client, sinks } = setUp(slow);
      client.write(encodeUtf8(`${ENVELOPE}BDAT 5\r\n12345`));
      await turns(8);
      client.write(encodeUtf8(`${command}\r\n`));
      await turns(8);
      assert.deepEqual(sinks, [calls], command);
      client.destroy();
    }
  }
});

test("a sink that breaks within a chunk: all octets are taken in vain, and 451 is said behind them", async () => {
  const calls: string[] = [];
  const { client, heard } = setUp(false, {
    body: () => ({
      write: () => Promise.reject(new Error("disk")),
      finish: () => reply(250, "2.0.0", "Ok"),
      abort: () => void calls.push("abort"),
    }),
  });
  client.write(encodeUtf8(`${ENVELOPE}BDAT 12\r\nQUIT`));
  await turns(3);
  client.write(encodeUtf8("\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"));
  await turns(3);
  assert.deepEqual(codesIn(heard.text).slice(-3), ["451", "503", "250"]);
  assert.deepEqual(calls, ["abort"]);
});
