import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, encodeUtf8, unwrap } from "../base/index.ts";
import { type MailParameters, parseMailbox } from "../smtp/index.ts";
import { memoryStreamPair } from "../testing/index.ts";
import { type ClientSession, type OpenOptions, type OutgoingMessage, openSession } from "./index.ts";

interface Chunk {
  readonly octets: Uint8Array;
  readonly last: boolean;
}

/** A server that understands BDAT; `answer` says what it makes of the chunk number `index`, null: nothing yet. */
function chunkPeer(options: {
  readonly offers?: string;
  readonly answer?: (chunk: Chunk, index: number) => string | null;
  readonly rcpt?: string;
  readonly client?: Partial<OpenOptions>;
}) {
  const { offers = "PIPELINING CHUNKING BINARYMIME 8BITMIME", rcpt = "250 ok" } = options;
  const answer = options.answer ?? (() => "250 ok");
  const [ours, theirs] = memoryStreamPair({ highWater: 16_384 });
  const lines: string[] = [];
  const chunks: Chunk[] = [];
  let pending: Uint8Array = new Uint8Array(0);
  let wanted: { readonly size: number; readonly last: boolean } | null = null;
  const say = (text: string): void => void theirs.write(encodeUtf8(`${text}\r\n`));
  const onLine = (line: string): void => {
    lines.push(line);
    const bdat = /^BDAT (\d+)( LAST)?$/.exec(line);
    if (bdat !== null) wanted = { size: Number(bdat[1]), last: bdat[2] !== undefined };
    else if (/^[EL]HLO /.test(line))
      say(
        `250-mx\r\n${offers
          .split(" ")
          .map((keyword) => `250-${keyword}\r\n`)
          .join("")}250 HELP`,
      );
    else if (line.startsWith("RCPT")) say(rcpt);
    else if (line === "DATA") say("354 go");
    else if (line === "QUIT") say("221 bye");
    else if (!line.startsWith(".") && /^[A-Z]{4}/.test(line)) say("250 ok");
    else if (line === ".") say("250 queued");
  };
  const step = (): boolean => {
    if (wanted !== null) {
      if (pending.length < wanted.size) return false;
      const chunk = { octets: pending.slice(0, wanted.size), last: wanted.last };
      pending = pending.subarray(wanted.size);
      wanted = null;
      chunks.push(chunk);
      const said = answer(chunk, chunks.length - 1);
      if (said !== null) say(said);
      return true;
    }
    const end = pending.indexOf(10);
    if (end === -1) return false;
    onLine(new TextDecoder().decode(pending.subarray(0, end - 1)));
    pending = pending.subarray(end + 1);
    return true;
  };
  theirs.attach({
    data(bytes) {
      pending = concatBytes([pending, bytes]);
      while (step()) {}
    },
    drained() {},
    ended() {},
    closed() {},
  });
  say("220 mx");
  const open: OpenOptions = { stream: ours, hello: "client.test", tls: { kind: "none" }, ...options.client };
  return { open: async (): Promise<ClientSession> => unwrap(await openSession(open)), lines, chunks, say };
}

function mail(body: OutgoingMessage["body"], parameters: MailParameters = {}, to: readonly string[] = ["a@x.test"]) {
  const recipients = to.map((address) => ({ mailbox: unwrap(parseMailbox(address)), parameters: {} }));
  return { reversePath: null, parameters, recipients, body };
}

function octetsOf(...chunks: readonly Uint8Array[]): OutgoingMessage["body"] {
  return { size: chunks.reduce((sum, { length }) => sum + length, 0), chunks: () => chunks };
}

function later(...chunks: readonly Uint8Array[]): OutgoingMessage["body"] {
  return {
    ...octetsOf(...chunks),
    async *chunks() {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    },
  };
}

const BINARY: MailParameters = { body: "BINARYMIME" };
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) & 0xff);

test("a small text by one chunk: no dot stuffed, newlines made whole, from memory and from a slow source", async () => {
  for (const body of [octetsOf, later]) {
    const peer = chunkPeer({});
    const session = await peer.open();
    const [result] = await session.send(mail(body(encodeUtf8(".a\nb\r"), encodeUtf8("\n.c\rd"))));
    assert.equal(result?.kind, "accepted");
    assert.deepEqual(
      peer.chunks.map(({ octets }) => new TextDecoder().decode(octets)),
      [".a\r\nb\r\n.c\r\nd\r\n"],
    );
    assert.equal(peer.lines.includes("DATA"), false);
  }
});

test("a larger text goes by DATA, also when it proves larger than it said", async () => {
  const line = encodeUtf8(`${"x".repeat(998)}\r\n`);
  const large = Array.from({ length: 66 }, () => line);
  for (const body of [
    octetsOf(...large),
    later(...large),
    { ...octetsOf(...large), size: 100 },
    { ...octetsOf(line), size: null },
  ]) {
    const peer = chunkPeer({});
    const [result] = await (await peer.open()).send(mail(body));
    assert.equal(result?.kind, "accepted");
    assert.deepEqual(peer.chunks, []);
  }
});

test("chunking never, LMTP, and RSET before: DATA", async () => {
  const body = octetsOf(encodeUtf8("Hi\r\n"));
  const never = chunkPeer({ client: { chunking: "never" } });
  const session = await never.open();
  assert.equal((await session.send(mail(body)))[0]?.kind, "accepted");
  const [binary] = await session.send(mail(body, BINARY));
  assert.equal(binary?.kind === "refused" && binary.local === true && binary.reply.code, 554);
  const lmtp = chunkPeer({ client: { protocol: "lmtp" } });
  assert.equal((await (await lmtp.open()).send(mail(body)))[0]?.kind, "accepted");
  const refusing = chunkPeer({ rcpt: "550 who" });
  const again = await refusing.open();
  await again.send(mail(body));
  assert.equal(refusing.chunks.length, 1);
  await again.send(mail(body));
  assert.deepEqual(refusing.lines.slice(-5), ["RSET", "MAIL FROM:<>", "RCPT TO:<a@x.test>", "DATA", "."]);
  for (const peer of [never, lmtp]) assert.deepEqual(peer.chunks, []);
});

test("a source that fails before its chunk is whole: nothing was said, and the session lives", async () => {
  const peer = chunkPeer({});
  const session = await peer.open();
  const chunks = function* (): Generator<Uint8Array> {
    yield encodeUtf8("Hi");
    throw new Error("disk");
  };
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield encodeUtf8("Hi");
    throw new Error("disk");
  };
  await assert.rejects(session.send(mail({ size: 4, chunks })), /disk/);
  await assert.rejects(session.send(mail({ size: 4, chunks: slow })), /disk/);
  const short = encodeUtf8("Hi\r\n");
  for (const body of [octetsOf(short), later(short)])
    await assert.rejects(session.send(mail({ ...body, size: 5 })), /4 octets/, "cut short");
  assert.equal((await session.send(mail(octetsOf(encodeUtf8("Hi\r\n")))))[0]?.kind, "accepted");
});

test("binary goes octet for octet, in chunks, with and without PIPELINING, over SMTP and LMTP", async () => {
  const source = noise(300_000);
  const pieces = [source.subarray(0, 70_000), source.subarray(70_000, 70_001), source.subarray(70_001)];
  for (const offers of ["PIPELINING CHUNKING BINARYMIME 8BITMIME", "CHUNKING BINARYMIME 8BITMIME"]) {
    for (const protocol of ["smtp", "lmtp"] as const) {
      for (const body of [octetsOf(...pieces), later(...pieces)]) {
        const peer = chunkPeer({ offers, client: { protocol } });
        const session = await peer.open();
        const results = await session.send(mail(body, BINARY));
        assert.deepEqual(
          results.map(({ kind }) => kind),
          ["accepted"],
        );
        assert.deepEqual(Buffer.from(concatBytes(peer.chunks.map(({ octets }) => octets))), Buffer.from(source));
        assert.deepEqual(
          peer.chunks.map(({ last }) => last),
          [false, true],
        );
        assert.ok(peer.lines.some((line) => line.startsWith("MAIL FROM:<> BODY=BINARYMIME")));
        assert.equal(session.usable, true);
      }
    }
  }
});

test("small binary: as it is, without a line end of ours", async () => {
  const peer = chunkPeer({});
  await (await peer.open()).send(mail(octetsOf(Uint8Array.of(0, 10, 13, 46, 255)), BINARY));
  assert.deepEqual(peer.chunks, [{ octets: Uint8Array.of(0, 10, 13, 46, 255), last: true }]);
});

test("without PIPELINING a chunk waits for the reply to the one before", async () => {
  const peer = chunkPeer({ offers: "CHUNKING BINARYMIME", answer: (chunk) => (chunk.last ? "250 done" : null) });
  const session = await peer.open();
  const sent = session.send(mail(octetsOf(noise(70_000), noise(70_000)), BINARY));
  while (peer.chunks.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(peer.lines.filter((line) => line.startsWith("BDAT")).length, 1);
  peer.say("250 go on");
  assert.equal((await sent)[0]?.kind, "accepted");
  assert.equal(peer.chunks.length, 2);
});

test("a chunk refused in the middle: all are refused by it, and no LAST follows", async () => {
  const peer = chunkPeer({ offers: "CHUNKING BINARYMIME", answer: () => "452 4.3.1 full" });
  const session = await peer.open();
  const results = await session.send(mail(octetsOf(noise(70_000), noise(70_000)), BINARY, ["a@x.test", "b@x.test"]));
  assert.deepEqual(
    results.map((result) => result.kind === "refused" && `${result.stage} ${result.reply.code}`),
    ["end 452", "end 452"],
  );
  assert.deepEqual(
    peer.chunks.map(({ last }) => last),
    [false],
  );
  assert.equal(session.usable, true);
  await session.send(mail(octetsOf(noise(10)), BINARY));
  assert.ok(peer.lines.includes("RSET"));
});

test("a chunk refused while the last is under way ends the session: its reply would be read as another's", async () => {
  const peer = chunkPeer({ answer: (_, index) => (index === 0 ? "452 4.3.1 full" : "503 5.5.1 no") });
  const session = await peer.open();
  const results = await session.send(mail(octetsOf(noise(70_000), noise(10)), BINARY));
  assert.equal(results[0]?.kind === "refused" && results[0].reply.code, 452);
  assert.equal(session.usable, false);
});

test("binary for nobody is not sent", async () => {
  const peer = chunkPeer({ rcpt: "550 5.1.1 who" });
  const session = await peer.open();
  const [result] = await session.send(mail(octetsOf(noise(70_000)), BINARY));
  assert.equal(result?.kind === "refused" && result.stage, "rcpt");
  assert.deepEqual(peer.chunks, []);
  assert.equal(session.usable, true);
});

test("binary without BINARYMIME or CHUNKING at the server is refused here", async () => {
  for (const offers of ["CHUNKING PIPELINING", "BINARYMIME PIPELINING"]) {
    const peer = chunkPeer({ offers });
    const [result] = await (await peer.open()).send(mail(octetsOf(noise(10)), BINARY));
    assert.equal(result?.kind === "refused" && result.local, true);
  }
});
