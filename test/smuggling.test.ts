import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, encodeUtf8, unwrap } from "../src/base/index.ts";
import { openSession } from "../src/client/index.ts";
import { createServer, definePolicy } from "../src/server/index.ts";
import { parseMailbox, reply } from "../src/smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../src/testing/index.ts";

/** What follows each sequence: to whoever believes in the end before it, a second message. */
const SECOND = "MAIL FROM:<x@client.test>\r\nRCPT TO:<y@mx.test>\r\nDATA\r\nsmuggled\r\n";

const UNITS = ["\r", "\n", ".", "x"];

/** Every sequence of one to four units. */
const sequences: readonly string[] = [1, 2, 3, 4].flatMap((length) =>
  Array.from({ length: UNITS.length ** length }, (_, number) => {
    let sequence = "";
    for (let left = length, rest = number; left > 0; left--, rest = Math.floor(rest / UNITS.length)) {
      sequence += UNITS[rest % UNITS.length];
    }
    return sequence;
  }),
);

/** How a message comes to us; submission repairs newlines (RFC 6409 §8). */
const ways = {
  // A dot at the start of a line is stuffed, as an honest client does; behind any other newline than CRLF it is sent as it is.
  data: (body: string) => `DATA\r\n${`\r\n${body}`.replaceAll("\r\n.", "\r\n..").slice(2)}\r\n.\r\n`,
  bdat: (body: string) => `BDAT ${body.length} LAST\r\n${body}`,
};

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The messages as our submission stores them. */
async function submitted(bodies: readonly string[], way: (body: string) => string): Promise<readonly Uint8Array[]> {
  const stored: Uint8Array[] = [];
  const policy = definePolicy({
    body: () => {
      const chunks: Uint8Array[] = [];
      return {
        write: (chunk) => void chunks.push(new Uint8Array(chunk)),
        finish: () => {
          stored.push(concatBytes(chunks));
          return reply(250, "2.0.0", "Stored");
        },
        abort: () => {},
      };
    },
  });
  const server = createServer({ hostname: "mx.test", listeners: [], policy, clock: fakeClock().clock });
  const [client, theirs] = memoryStreamPair();
  server.serve(theirs, { tls: "none", bareNewlines: "repair" });
  client.attach({ data() {}, drained() {}, ended() {}, closed() {} });
  client.write(encodeUtf8("EHLO client.test\r\n"));
  for (const body of bodies) {
    const [command = "", ...rest] = way(body).split(/(?<=\r\n)/);
    client.write(encodeUtf8(`MAIL FROM:<a@client.test>\r\nRCPT TO:<b@mx.test>\r\n${command}`));
    // The body only behind the 354.
    await settled();
    client.write(encodeUtf8(rest.join("")));
    await settled();
  }
  client.destroy();
  await server.stop({ grace: 0 });
  return stored;
}

/** A next hop, with its own idea of where a message ends. */
interface Receiver {
  readonly name: string;
  /** A line that is only a dot, with the newline before it. */
  readonly endMark: RegExp;
}

const STRICT: Receiver = { name: "strict", endMark: /(?:^|\r\n)\.\r\n/ };
const receivers: readonly Receiver[] = [
  STRICT,
  { name: "that takes LF for CRLF", endMark: /(?:^|\r?\n)\.\r?\n/ },
  { name: "that takes CR for CRLF", endMark: /(?:^|\r\n?)\.\r\n?/ },
  { name: "that takes anything for CRLF", endMark: /(?:^|\r\n|\r|\n)\.(?:\r\n|\r|\n)/ },
];

/** Answers a client and collects the messages it believes to have got. */
function receive(stream: ReturnType<typeof memoryStreamPair>[1], { endMark }: Receiver, chunking: boolean): string[] {
  const messages: string[] = [];
  const say = (text: string) => void stream.write(encodeUtf8(`${text}\r\n`));
  let text = "";
  let inData = false;
  const takeData = (): boolean => {
    const mark = endMark.exec(text);
    if (mark === null) return false;
    messages.push(text.slice(0, mark.index));
    text = text.slice(mark.index + mark[0].length).replace(/^\n/, "");
    inData = false;
    say("250 2.0.0 Taken");
    return true;
  };
  const takeCommand = (): boolean => {
    const end = text.indexOf("\r\n");
    const line = text.slice(0, end);
    const chunk = /^BDAT (\d+) LAST$/.exec(line);
    const size = Number(chunk?.[1] ?? 0);
    if (end === -1 || text.length < end + 2 + size) return false;
    if (chunk !== null) messages.push(text.slice(end + 2, end + 2 + size));
    text = text.slice(end + 2 + size);
    inData = line === "DATA";
    if (line.startsWith("EHLO")) say(chunking ? "250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING" : "250 mx.test");
    else say(inData ? "354 Go" : line === "QUIT" ? "221 Bye" : "250 2.0.0 Ok");
    return true;
  };
  stream.attach({
    data(bytes) {
      text += Buffer.from(bytes).toString("latin1");
      while (inData ? takeData() : takeCommand());
    },
    drained() {},
    ended() {
      stream.end();
    },
    closed() {},
  });
  say("220 mx.test ESMTP");
  return messages;
}

const mailbox = (text: string) => unwrap(parseMailbox(text));

/** The messages that the receiver finds in what our client sends of one. */
async function delivered(body: Uint8Array, receiver: Receiver, chunking: boolean): Promise<readonly string[]> {
  const [stream, theirs] = memoryStreamPair();
  const messages = receive(theirs, receiver, chunking);
  const session = unwrap(await openSession({ stream, hello: "mx.test", tls: { kind: "none" } }));
  const [result] = await session.send({
    reversePath: mailbox("a@client.test"),
    parameters: {},
    recipients: [{ mailbox: mailbox("b@next.test"), parameters: {} }],
    body: { size: body.length, chunks: () => [body] },
  });
  assert.equal(result?.kind, "accepted");
  await session.quit();
  return messages;
}

for (const [name, way] of Object.entries(ways)) {
  test(`what came by ${name.toUpperCase()}, whatever its newlines, leaves as one message`, async () => {
    const bodies = sequences.map((sequence) => `one${sequence}${SECOND}`);
    const stored = await submitted(bodies, way);
    assert.equal(stored.length, bodies.length, "one message in is one message stored");
    for (const [index, body] of stored.entries()) {
      const text = Buffer.from(body).toString("latin1");
      assert.doesNotMatch(text, /\r(?!\n)|(?<!\r)\n/, "repaired before it is stored");
      assert.equal(text.trimEnd(), (bodies[index] ?? "").replace(/\r\n|\r|\n/g, "\r\n").trimEnd());
      for (const receiver of receivers) {
        const messages = await delivered(body, receiver, false);
        assert.equal(messages.length, 1, `${JSON.stringify(sequences[index])} at a receiver ${receiver.name}`);
      }
      const chunked = await delivered(body, STRICT, true);
      assert.deepEqual(chunked, [text], `${JSON.stringify(sequences[index])} by BDAT`);
    }
  });
}

test("what a program hands to the client, whatever its newlines, leaves as one message", async () => {
  for (const sequence of sequences) {
    const body = encodeUtf8(`one${sequence}${SECOND}`);
    for (const receiver of receivers) {
      const messages = await delivered(body, receiver, false);
      assert.equal(messages.length, 1, `${JSON.stringify(sequence)} at a receiver ${receiver.name}`);
    }
    const [chunk = "", ...more] = await delivered(body, STRICT, true);
    assert.deepEqual(more, []);
    assert.doesNotMatch(chunk, /\r(?!\n)|(?<!\r)\n/, "by BDAT too the lines are whole: the next hop may go on by DATA");
  }
});
