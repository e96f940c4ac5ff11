// A client that says all it has and ends its side: it is answered to the end, and what it left unfinished is not taken.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { unwrap } from "../base/index.ts";
import { reply } from "../smtp/index.ts";
import { createServer, definePolicy } from "./index.ts";

const ENVELOPE = "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@mx.test>\r\n";

interface Ended {
  /** The codes of all replies, in order. */
  readonly codes: readonly string[];
  /** What the sinks of messages were told at the end. */
  readonly sinks: readonly string[];
}

/** Says each piece when the replies to the one before are there, and ends its side with the last one. */
async function sayAndEnd(pieces: readonly (readonly [text: string, awaited: string])[], slow: number): Promise<Ended> {
  const sinks: string[] = [];
  const wait = () => new Promise<void>((resolve) => setTimeout(resolve, slow));
  const policy = definePolicy({
    recipient: () => (slow > 0 ? wait().then(() => ({ kind: "accept" })) : { kind: "accept" }),
    body: () => ({
      write: () => (slow > 0 ? wait() : undefined),
      finish: async () => {
        if (slow > 0) await wait();
        sinks.push("finish");
        return reply(250, "2.0.0", "Ok");
      },
      abort: () => void sinks.push("abort"),
    }),
  });
  const listeners = [{ address: "127.0.0.1", port: 0, tls: "none" as const }];
  const server = createServer({ hostname: "mx.test", listeners, policy });
  const [local] = unwrap(await server.start());
  const socket = connect({ host: "127.0.0.1", port: local?.port ?? 0, allowHalfOpen: true });
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
  });
  const closed = once(socket, "end", { signal: AbortSignal.timeout(5000) });
  for (const [index, [piece, awaited]] of pieces.entries()) {
    if (index === pieces.length - 1) socket.end(piece);
    else socket.write(piece);
    while (!socket.readableEnded && !text.includes(awaited)) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await closed;
  await server.stop({ grace: 1000 });
  assert.equal(server.connections, 0);
  return { codes: [...text.matchAll(/^(\d{3})(?: .*)?\r$/gm)].map((match) => match[1] ?? ""), sinks };
}

for (const slow of [0, 15]) {
  const how = slow > 0 ? ", with a slow policy" : "";
  const before = [
    ["", "220 "],
    [`${ENVELOPE}DATA\r\n`, "354 "],
  ] as const;
  const greeted = ["220", "250", "250", "250", "354"];

  test(`behind a whole message: it is taken, and said so${how}`, async () => {
    const ended = await sayAndEnd([...before, ["Subject: x\r\n\r\nbody\r\n.\r\n", "250 2.0.0 Ok"]], slow);
    assert.deepEqual(ended, { codes: [...greeted, "250"], sinks: ["finish"] });
  });

  test(`behind a whole message and more commands: all are answered${how}`, async () => {
    const ended = await sayAndEnd([...before, [`body\r\n.\r\nRSET\r\nNOOP\r\n`, "250 2.0.0 Ok"]], slow);
    assert.deepEqual(ended, { codes: [...greeted, "250", "250", "250"], sinks: ["finish"] });
  });

  test(`behind QUIT: 221, and nothing after it${how}`, async () => {
    const ended = await sayAndEnd(
      [
        ["", "220 "],
        [`${ENVELOPE}QUIT\r\n`, "221 "],
      ],
      slow,
    );
    assert.deepEqual(ended, { codes: ["220", "250", "250", "250", "221"], sinks: [] });
  });

  test(`in the middle of a body: the message is not taken${how}`, async () => {
    const ended = await sayAndEnd([...before, ["Subject: x\r\n\r\nbody\r\n", "never"]], slow);
    assert.deepEqual(ended, { codes: greeted, sinks: ["abort"] });
  });

  test(`in the middle of the end mark: the message is not taken${how}`, async () => {
    const ended = await sayAndEnd([...before, ["body\r\n.\r", "never"]], slow);
    assert.deepEqual(ended, { codes: greeted, sinks: ["abort"] });
  });

  test(`in the middle of a command: half a command is none${how}`, async () => {
    const ended = await sayAndEnd(
      [
        ["", "220 "],
        [`${ENVELOPE}RSE`, "never"],
      ],
      slow,
    );
    assert.deepEqual(ended, { codes: ["220", "250", "250", "250"], sinks: [] });
  });

  test(`between the chunks of a message: it is not taken${how}`, async () => {
    const ended = await sayAndEnd(
      [
        ["", "220 "],
        [`${ENVELOPE}BDAT 4\r\nbody`, "never"],
      ],
      slow,
    );
    assert.deepEqual(ended, { codes: ["220", "250", "250", "250", "250"], sinks: ["abort"] });
  });

  test(`before a word was said: greeted, and let go${how}`, async () => {
    assert.deepEqual(await sayAndEnd([["", "220 "]], slow), { codes: ["220"], sinks: [] });
  });
}
