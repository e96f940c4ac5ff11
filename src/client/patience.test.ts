// How long a server may take over a message: honest slow ones get through, a trickle does not hold it for hours or days.
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, MINUTE, SECOND, unwrap } from "../base/index.ts";
import { type ClearStream, connect } from "../net/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { type FakeClock, fakeClock, memoryStreamPair } from "../testing/index.ts";
import { type ClientTimeouts, type OpenOptions, openSession, type RecipientResult } from "./index.ts";

const PIECE = 600;
const KIB = 1024;
const BLOCK = encodeUtf8(`${"x".repeat(64 * KIB - 2)}\r\n`);

/** A server that takes `rate` octets of a body a second. */
function slowPeer(stream: ClearStream, time: FakeClock, rate: number): void {
  let [tail, inBody] = ["", false];
  stream.attach({
    data(bytes) {
      tail = (tail + decodeUtf8Lenient(bytes)).slice(-64);
      if (!inBody) {
        inBody = tail.endsWith("DATA\r\n");
        stream.write(encodeUtf8(inBody ? "250 ok\r\n250 ok\r\n354 go\r\n" : "250-mx\r\n250 PIPELINING\r\n"));
        return;
      }
      if (tail.endsWith("\r\n.\r\n")) stream.write(encodeUtf8("250 queued\r\n"));
      stream.pause();
      time.clock.after((bytes.length / rate) * SECOND, () => stream.resume());
    },
    drained() {},
    ended() {},
    closed() {},
  });
  stream.write(encodeUtf8("220 mx\r\n"));
}

async function send(options: OpenOptions, chunks: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
  const session = unwrap(await openSession(options));
  const recipients = [{ mailbox: unwrap(parseMailbox("a@x.test")), parameters: {} }];
  const results = await session.send({ reversePath: null, parameters: {}, recipients, body: { size: null, chunks } });
  return brief(results[0]);
}

function brief(result: RecipientResult | undefined): string {
  if (result?.kind !== "broken") return String(result?.kind);
  const { problem, uncertain } = result;
  return `${problem.kind} ${"stage" in problem ? problem.stage : ""}${uncertain ? " uncertain" : ""}`;
}

/** What came of `blocks` times 64 KiB at `rate`, and after how long, in minutes. */
async function sentAt(rate: number, blocks: number, timeouts: Partial<ClientTimeouts> = {}) {
  const time = fakeClock();
  const cut = (bytes: Uint8Array) =>
    Array.from({ length: Math.ceil(bytes.length / PIECE) }, (_, at) => bytes.subarray(at * PIECE, (at + 1) * PIECE));
  const [ours, theirs] = memoryStreamPair({ chunk: cut });
  slowPeer(theirs, time, rate);
  const begun = time.clock.now();
  const ended: { readonly result: string; readonly minutes: number }[] = [];
  const options = { stream: ours, hello: "me.test", tls: { kind: "none" }, clock: time.clock, timeouts } as const;
  const done = send(options, () => Array<Uint8Array>(blocks).fill(BLOCK)).then((result) => {
    ended.push({ result, minutes: (time.clock.now() - begun) / MINUTE });
  });
  for (let minute = 0; ended.length === 0 && minute < 300; minute++) await time.run(MINUTE);
  await done;
  return ended[0] ?? assert.fail();
}

test("a line of 300 octets a second carries 256 KiB", async () => {
  assert.equal((await sentAt(300, 4)).result, "accepted");
});

test("a server that is slow and faster than the least rate takes any body", async () => {
  const { result, minutes } = await sentAt(800, 48);
  assert.equal(result, "accepted");
  assert.ok(minutes > 60, String(minutes));
});

test("a server that trickles a body is given up when it falls behind the least rate, and the message may go elsewhere", async () => {
  const { result, minutes } = await sentAt(400, 400);
  assert.equal(result, "timeout body");
  // Ten minutes of grace, of which each second of 400 octets uses up a fifth.
  assert.ok(minutes > 40 && minutes < 60, String(minutes));
});

test("the least rate and the grace are the caller's to set", async () => {
  const { result, minutes } = await sentAt(800, 48, { body: MINUTE, bodyRate: 8000 });
  assert.equal(result, "timeout body");
  assert.ok(minutes < 4, String(minutes));
});

test("a mute server is given up as soon as a block should have gone, however quick it was before", async () => {
  const time = fakeClock();
  const [ours, theirs] = memoryStreamPair();
  slowPeer(theirs, time, Number.POSITIVE_INFINITY);
  let mute = false;
  const chunks = function* (): Generator<Uint8Array> {
    for (let block = 0; block < 1000; block++) {
      if (block === 900) {
        mute = true;
        theirs.attach({ data: () => theirs.pause(), drained() {}, ended() {}, closed() {} });
        theirs.pause();
      }
      yield BLOCK;
    }
  };
  let result = "";
  const done = send({ stream: ours, hello: "me.test", tls: { kind: "none" }, clock: time.clock }, chunks).then(
    (ended) => {
      result = ended;
    },
  );
  for (let round = 0; !mute && round < 1000; round++) await time.run(0);
  await time.run(6 * MINUTE);
  assert.equal(result, "timeout body");
  await done;
});

test("the time that our own source takes is not the server's", async () => {
  const time = fakeClock();
  const [ours, theirs] = memoryStreamPair();
  slowPeer(theirs, time, 64 * KIB);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let block = 0; block < 20; block++) {
      await new Promise<void>((resolve) => void time.clock.after(10 * MINUTE, resolve));
      yield BLOCK;
    }
  };
  let result = "";
  const done = send({ stream: ours, hello: "me.test", tls: { kind: "none" }, clock: time.clock }, chunks).then(
    (ended) => {
      result = ended;
    },
  );
  await time.run(220 * MINUTE);
  assert.equal(result, "accepted");
  await done;
});

test("a server that thinks for long about each of many recipients is waited for, but not for hours", async () => {
  const recipients = Array.from({ length: 100 }, (_, n) => ({
    mailbox: unwrap(parseMailbox(`r${n}@x.test`)),
    parameters: {},
  }));
  const body = { size: 5, chunks: () => [encodeUtf8("hi.\r\n")] };
  for (const [pause, expected] of [
    [20 * SECOND, "accepted"],
    [4 * MINUTE, "timeout"],
  ] as const) {
    const time = fakeClock();
    const [ours, theirs] = memoryStreamPair();
    let text = "";
    let owed = 0;
    const say = (line: string): void => void theirs.write(encodeUtf8(`${line}\r\n`));
    theirs.attach({
      data(bytes) {
        text += decodeUtf8Lenient(bytes);
        for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
          const line = text.slice(0, end);
          text = text.slice(end + 2);
          if (line.startsWith("EHLO")) say("250-mx\r\n250 PIPELINING");
          else if (line === ".") say("250 queued");
          else if (/^(MAIL|RCPT|DATA)/.test(line)) {
            time.clock.after(++owed * pause, () => say(line === "DATA" ? "354 go" : "250 ok"));
          }
        }
      },
      drained() {},
      ended() {},
      closed() {},
    });
    say("220 mx");
    const session = unwrap(
      await openSession({ stream: ours, hello: "client.test", tls: { kind: "none" }, clock: time.clock }),
    );
    const begun = time.clock.now();
    const results: string[] = [];
    let ended = 0;
    const sent = session.send({ reversePath: null, parameters: {}, recipients, body }).then((all) => {
      ended = time.clock.now() - begun;
      for (const result of all) results.push(result.kind === "broken" ? result.problem.kind : result.kind);
    });
    for (let minute = 0; results.length === 0 && minute < 120; minute++) await time.run(MINUTE);
    await sent;
    assert.deepEqual(new Set(results), new Set([expected]));
    assert.ok(ended < 40 * MINUTE, `${ended / MINUTE} minutes`);
  }
});

/** Reads 16 KiB of what comes each 20 ms. */
async function tricklingServer(t: TestContext): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.write("220 mx\r\n");
    const onLine = (chunk: Buffer): void => {
      const text = chunk.toString("latin1");
      if (!text.endsWith("DATA\r\n")) {
        socket.write("250-mx\r\n250 PIPELINING\r\n");
        return;
      }
      socket.off("data", onLine);
      socket.pause();
      socket.write("250 ok\r\n250 ok\r\n354 go\r\n");
      const timer = setInterval(() => socket.read(16 * KIB), 20);
      socket.on("close", () => clearInterval(timer));
    };
    socket.on("data", onLine);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : assert.fail();
}

test("over a socket, too, a trickle is given up in its time", async (t) => {
  const port = await tricklingServer(t);
  const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port, timeout: 2000 }));
  const timeouts = { body: 400, bodyRate: 100 * KIB * KIB, dataBlock: MINUTE };
  const begun = Date.now();
  const many = (): Uint8Array[] => Array<Uint8Array>(2000).fill(BLOCK);
  assert.equal(await send({ stream, hello: "me.test", tls: { kind: "none" }, timeouts }, many), "timeout body");
  assert.ok(Date.now() - begun < 10 * SECOND);
});
