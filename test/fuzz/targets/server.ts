import assert from "node:assert/strict";
import { type Clock, concatBytes, type Log, ok, silentLog, unwrap } from "../../../src/base/index.ts";
import type { ClearStream } from "../../../src/net/index.ts";
import { Connection } from "../../../src/server/connection.ts";
import { events } from "../../../src/server/events.ts";
import { createServer, defaultLimits, definePolicy, type Policy, type SaslVerdict } from "../../../src/server/index.ts";
import { type BareNewlines, parseDomain, type Reply, ReplyDecoder, reply } from "../../../src/smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../../../src/testing/index.ts";
import { checkConversation } from "../conversation.ts";
import { piecesOf, randomOf } from "../cuts.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

const MAIL = "MAIL FROM:<a@c.test>\r\n";
const RCPT = "RCPT TO:<b@mx.test>\r\n";

/** A limit of everything, small enough that inputs go over it. */
const LIMITS = {
  commandLine: 300,
  textLine: 120,
  discard: 400,
  errors: 12,
  softErrors: 4,
  tarpit: 10,
  refusals: 8,
  junk: 20,
} as const;
const MESSAGE_SIZE = 500;

/** How an input is played: what the service is like, and how the octets come. */
interface Setting {
  readonly bareNewlines: BareNewlines;
  readonly slow: boolean;
  /** Whether the client waits for the reply to DATA, as it has to. */
  readonly polite: boolean;
  readonly pieces: boolean;
  readonly protocol: "smtp" | "lmtp";
  /** As inside TLS, with AUTH, and from a peer that may use XCLIENT. */
  readonly secure?: true;
}

const settings: readonly Setting[] = [
  { bareNewlines: "refuse", slow: false, polite: true, pieces: false, protocol: "smtp" },
  { bareNewlines: "repair", slow: true, polite: true, pieces: true, protocol: "smtp" },
  { bareNewlines: "refuse", slow: true, polite: false, pieces: true, protocol: "smtp" },
  { bareNewlines: "repair", slow: false, polite: true, pieces: true, protocol: "lmtp" },
  { bareNewlines: "refuse", slow: true, polite: true, pieces: false, protocol: "smtp", secure: true },
];

/** What came of a session. */
interface Recording {
  readonly messages: string[];
  readonly sinks: string[][];
  readonly bugs: string[];
}

/** A whole session: replies of SMTP in order, exactly the messages that were sent, every sink ended once, nothing left open. */
export const server: Target = {
  name: "server",
  words: [
    ...[
      "EHLO c.test\r\n",
      "HELO c.test\r\n",
      `EHLO c.test\r\n${MAIL}${RCPT}DATA\r\n`,
      `${MAIL}${RCPT}DATA\r\n`,
      MAIL,
      RCPT,
    ],
    ...[
      "DATA\r\n",
      "Subject: hi\r\n\r\ntext\r\n",
      "\r\n.\r\n",
      ".\r\n",
      "..\r\n",
      "\n.\n",
      "\r\n.\n",
      "\n.\r\n",
      "\r.\r",
      "\r\n",
    ],
    ...[
      "RSET\r\n",
      "NOOP\r\n",
      "NOOP x\r\n",
      "HELP\r\n",
      "VRFY b\r\n",
      "EXPN l\r\n",
      "ETRN x\r\n",
      "QUIT\r\n",
      "STARTTLS\r\n",
    ],
    ...[
      "AUTH PLAIN\r\n",
      "AUTH LOGIN\r\n",
      "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
      "AUTH LOGIN dXNlcg==\r\n",
      "dXNlcg==\r\n",
      "c2VjcmV0\r\n",
      "XCLIENT ADDR=192.0.2.9 NAME=[UNAVAILABLE] LOGIN=a+2Bb\r\n",
      "*\r\n",
      "LHLO c.test\r\n",
      "GET / HTTP/1.1\r\n",
      "Host: x\r\n",
      "MAIL FROM:<no@c.test>\r\n",
    ],
    ...[
      "RCPT TO:<no@mx.test>\r\n",
      "RCPT TO:<later@mx.test>\r\n",
      "RCPT TO:<throw@mx.test>\r\n",
      "MAIL FROM:<bad@c.test>\r\n",
    ],
    ...[
      "MAIL FROM:<a@c.test> SIZE=501\r\n",
      "BDAT 5\r\nhello",
      "BDAT 0 LAST\r\n",
      "BDAT 5 LAST\r\nhello",
      "BDAT 100\r\n",
    ],
    ...[
      `EHLO c.test\r\n${MAIL}${RCPT}BDAT 7\r\none\r\n.\r`,
      "BDAT 99999999999999999999 LAST\r\n",
      "BDAT 501 LAST\r\n",
      "MAIL FROM:<a@c.test> BODY=BINARYMIME\r\n",
    ],
    ...[
      "a".repeat(118),
      "a".repeat(294),
      "x".repeat(200),
      "\0",
      "\n",
      "\r",
      "XCLIENT ADDR=192.0.2.9\r\n",
      "PROXY TCP4 ",
    ],
  ],
  openings: [
    "EHLO c.test\r\n",
    `EHLO c.test\r\n${MAIL}${RCPT}DATA\r\n`,
    `EHLO c.test\r\n${MAIL}${RCPT}DATA\r\nSubject: hi\r\n\r\n..text\r\n.\r\n${MAIL}${RCPT}`,
    `EHLO c.test\r\n${MAIL}${RCPT}BDAT 3\r\nab\rBDAT 3 LAST\r\n\nc\n${MAIL}`,
    `EHLO c.test\r\n${MAIL}${RCPT}${RCPT}BDAT 4\r\na\r\nb`,
    `EHLO c.test\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n${MAIL}${RCPT}DATA\r\n`,
    "EHLO c.test\r\nAUTH LOGIN\r\ndXNlcg==\r\n",
    `XCLIENT ADDR=192.0.2.9\r\nEHLO c.test\r\n${MAIL}${RCPT}BDAT 2\r\n\r\n`,
    `HELO c.test\r\n${MAIL}${RCPT}DATA\r\n.\r\n${MAIL}${RCPT}DATA\r\n`,
  ],
  async check(octets) {
    for (const setting of settings) await play(setting.protocol === "lmtp" ? overLmtp(octets) : octets, setting);
  },
};

/** The same words for LMTP. BDAT is left to SMTP: at the end of chunks for nobody LMTP owes no reply, which only state tells. */
function overLmtp(octets: Uint8Array): Uint8Array {
  return octetsOf(
    latin1(octets)
      .replace(/EHLO|HELO/g, "LHLO")
      .replace(/BDAT/gi, "NOOP"),
  );
}

async function play(octets: Uint8Array, setting: Setting): Promise<void> {
  const recording: Recording = { messages: [], sinks: [], bugs: [] };
  const log: Log = {
    ...silentLog,
    child: () => log,
    error: (event, { error } = {}) => void (event === events.broken && recording.bugs.push(String(error))),
  };
  const clock = fakeClock();
  const [client, theirs] = memoryStreamPair();
  const decoder = new ReplyDecoder();
  const replies: Reply[] = [];
  let closed = false;
  client.attach({
    data(bytes) {
      const pushed = decoder.push(bytes);
      assert.ok(pushed.ok, `replies are well-formed: ${latin1(bytes)}`);
      replies.push(...pushed.value);
    },
    drained() {},
    ended() {
      closed = true;
    },
    closed() {},
  });
  const policy = recordingPolicy(recording, setting.slow);
  const connections = (setting.secure === true ? serveSecure : serveClear)(theirs, policy, clock.clock, log, setting);
  await clock.run(0);
  for (const part of setting.polite ? partsOf(octets) : [octets]) {
    const pieces = setting.pieces ? piecesOf(part, randomOf(part)) : [part];
    for (const piece of pieces) client.write(piece);
    // Enough for a slow policy and for the tarpit of each fault, not enough for a deadline.
    for (let turn = 0; turn < 400 && client.unsent > 0 && !closed; turn++) await clock.run(20);
    await clock.run(200);
  }
  for (let turn = 0; turn < 60; turn++) await clock.run(20);
  const said = latin1(octets);
  checkConversation({
    said,
    replies,
    closed,
    messages: recording.messages,
    bareNewlines: setting.bareNewlines,
    commandLine: LIMITS.commandLine,
    protocol: setting.protocol,
  });
  client.end();
  for (let turn = 0; turn < 10; turn++) await clock.run(20);
  await clock.run(3_600_000);
  assert.ok(!decoder.midReply, "no reply is cut short");
  assert.deepEqual(recording.bugs, []);
  for (const calls of recording.sinks) assert.equal(calls.length, 1, "each sink is finished or aborted, once");
  assert.equal(connections(), 0, "nothing is left");
  assert.equal(clock.pending, 0, "no timer is left");
}

type Serve = (stream: ClearStream, policy: Policy, clock: Clock, log: Log, setting: Setting) => () => number;

/** Both tell how many connections are open. */
const serveClear: Serve = (stream, policy, clock, log, { bareNewlines, protocol }) => {
  const server = createServer({ hostname: "mx.test", listeners: [], policy, clock, limits: LIMITS, log });
  server.serve(stream, { tls: "starttls", bareNewlines, protocol });
  return () => server.connections;
};

/** A handshake in name only: what matters is what the session makes of being inside TLS. */
const serveSecure: Serve = (stream, policy, clock, log, { bareNewlines, protocol }) => {
  let open = 1;
  const connection = new Connection({
    stream,
    sessionId: "fuzz",
    proxy: null,
    hostname: unwrap(parseDomain("mx.test")),
    mode: "implicit",
    protocol,
    upgrade: (clear) => Promise.resolve(ok(clear)),
    policy,
    bareNewlines,
    refuseEarlyTalk: true,
    requireCertificate: false,
    mayIntroduce: true,
    place: { move: () => true, leave() {} },
    limits: { ...defaultLimits, ...LIMITS },
    clock,
    log,
    closed: () => void open--,
  });
  connection.start();
  return () => open;
};

function saslVerdict(response: Uint8Array | null): SaslVerdict {
  const text = response === null ? null : latin1(response);
  if (text === null) return { kind: "challenge", data: new Uint8Array(0) };
  if (text === "user") return { kind: "challenge", data: octetsOf("Password:") };
  if (text.endsWith("secret")) return { kind: "authenticated", identity: "user" };
  return { kind: "refuse", reply: reply(535, "5.7.8", "Wrong") };
}

/** The octets up to and with each line that may be DATA, so that the client waits there. */
function partsOf(octets: Uint8Array): readonly Uint8Array[] {
  return latin1(octets)
    .split(/(?<=(?:^|\n)data[ \t]*\r\n)/i)
    .map(octetsOf);
}

function recordingPolicy({ messages, sinks }: Recording, slow: boolean): Policy {
  const wait = <T>(value: T): T | Promise<T> => (slow ? new Promise((done) => setImmediate(() => done(value))) : value);
  return definePolicy({
    offer: { messageSize: MESSAGE_SIZE, recipients: 4, extensions: [["DSN"]], mechanisms: ["PLAIN", "LOGIN"] },
    sasl: (_mechanism, response) => wait(saslVerdict(response)),
    mail: ({ reversePath }) =>
      wait(reversePath?.localPart === "no" ? { kind: "refuse", reply: reply(550, "5.7.1", "No") } : { kind: "accept" }),
    recipient: ({ recipient }) => {
      if (recipient.localPart === "throw") throw new Error("a bug of the policy");
      if (recipient.localPart === "no") return wait({ kind: "refuse", reply: reply(550, "5.1.1", "No") });
      if (recipient.localPart === "later") return wait({ kind: "refuse", reply: reply(451, "4.7.1", "Later") });
      return wait({ kind: "accept" });
    },
    body: ({ reversePath }) => {
      const calls: string[] = [];
      const chunks: Uint8Array[] = [];
      sinks.push(calls);
      return wait({
        write: (chunk) => {
          chunks.push(new Uint8Array(chunk));
          return slow ? new Promise<void>((done) => setImmediate(done)) : undefined;
        },
        finish: () => {
          calls.push("finish");
          if (reversePath?.localPart === "bad") throw new Error("a broken disk");
          messages.push(latin1(concatBytes(chunks)));
          return wait(reply(250, "2.0.0", "Taken"));
        },
        abort: () => void calls.push("abort"),
      });
    },
  });
}
