import assert from "node:assert/strict";
import { concatBytes, unwrap } from "../../../src/base/index.ts";
import {
  type ClientSession,
  type OutgoingMessage,
  openSession,
  type RecipientResult,
} from "../../../src/client/index.ts";
import { parseMailbox } from "../../../src/smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../../../src/testing/index.ts";
import { piecesOf, randomOf } from "../cuts.ts";
import { endOfData, repaired, withoutStuffing } from "../reference.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

/** A body that would be three messages to a receiver of the wrong kind. */
const BODY = "Subject: hi\r\n\r\nMARK\r\n.\r\nMAIL FROM:<x@c.test>\r\n\n.\nMAIL FROM:<y@c.test>\r.\r..\r\nend";

/** Words of an envelope that a line must not be broken by. */
const message: OutgoingMessage = {
  reversePath: unwrap(parseMailbox('"a b"@c.test')),
  parameters: { envid: "a b+c=", ret: "HDRS", body: "8BITMIME" },
  recipients: ["b@mx.test", "c@mx.test", "d@mx.test"].map((text) => ({
    mailbox: unwrap(parseMailbox(text)),
    parameters: { notify: ["FAILURE"], orcpt: { type: "rfc822", address: "x y@c.test" } },
  })),
  body: { size: BODY.length, chunks: slowly },
};

/** The same, which every server takes. */
const plain: OutgoingMessage = { ...message, parameters: {} };

/** The body in pieces with a turn of the event loop between them, so that a server can talk into it. */
async function* slowly(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < BODY.length; at += 25) {
    await new Promise((resolve) => setImmediate(resolve));
    yield octetsOf(BODY.slice(at, at + 25));
  }
}

const EHLO = "250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10000\r\n";
const WIDE = "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n";

/** A whole session against a hostile server: an answer for each recipient, in time, and never more than was asked for. */
export const client: Target = {
  name: "client",
  words: [
    ...["220 mx.test ESMTP\r\n", `220 mx.test ESMTP\r\n${EHLO}`, EHLO, "250 Ok\r\n", "250 2.1.5 Ok\r\n", "354 go\r\n"],
    ...[
      `220 mx.test\r\n${EHLO}250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n250 Ok\r\n`,
      "250-mx.test\r\n250 CHUNKING\r\n",
    ],
    ...["250 mx.test\r\n", "250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n", "421 4.3.2 down\r\n", "450 later\r\n"],
    ...["550 5.1.1 no\r\n", "552 too big\r\n", "554 no\r\n", "500 what\r\n", "502 no\r\n", "221 bye\r\n", "220 go\r\n"],
    ...[
      "334 \r\n",
      "235 ok\r\n",
      "250-",
      "250 ",
      "\r\n",
      "\n",
      "\r",
      "\0",
      "199 x\r\n",
      "999 x\r\n",
      "250-a\r\n251 b\r\n",
      "x".repeat(500),
    ],
    ...[
      "250-more\r\n".repeat(40),
      "250-mx.test\r\n250 SIZE 10\r\n",
      "250-mx.test\r\n250 LIMITS RCPTMAX=1 MAILMAX=1\r\n",
    ],
  ],
  openings: [
    `220 mx.test ESMTP\r\n${EHLO}`,
    `220 mx.test\r\n${EHLO}250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n`,
    `220 mx.test\r\n${EHLO}250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n`,
    `220 mx.test\r\n${EHLO}250 Ok\r\n250 Ok\r\n550 no\r\n250 Ok\r\n354 go\r\n250 Ok\r\n250 Ok\r\n`,
    "220 mx.test\r\n250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n",
    `220 mx.test\r\n${WIDE}250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n`,
    `220 mx.test\r\n${WIDE}250 Ok\r\n550 no\r\n450 later\r\n250 Ok\r\n`,
    "220 mx.test\r\n250-mx.test\r\n250-8BITMIME\r\n250 LIMITS RCPTMAX=2\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n250 Ok\r\n",
    "220 mx.test\r\n250 mx.test\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 go\r\n",
  ],
  async check(octets) {
    const random = randomOf(octets);
    for (const protocol of ["smtp", "lmtp"] as const) {
      for (const pieces of [false, true]) await play(octets, { protocol, pieces, auth: random.next() < 0.1 });
    }
  },
};

interface Setting {
  readonly protocol: "smtp" | "lmtp";
  readonly pieces: boolean;
  readonly auth: boolean;
}

async function play(octets: Uint8Array, { protocol, pieces, auth }: Setting): Promise<void> {
  const clock = fakeClock();
  const [ours, server] = memoryStreamPair();
  const written: Uint8Array[] = [];
  server.attach({ data: (bytes) => void written.push(new Uint8Array(bytes)), drained() {}, ended() {}, closed() {} });
  const results: (readonly RecipientResult[])[] = [];
  let over = false;
  const talk = async (): Promise<void> => {
    const login = auth ? { auth: { user: "user", password: "secret" } } : {};
    const opened = await openSession({
      stream: ours,
      hello: "c.test",
      protocol,
      tls: { kind: "none" },
      clock: clock.clock,
      ...login,
    });
    if (opened.ok) await sendTwice(opened.value, results);
    over = true;
  };
  const done = talk();
  const random = randomOf(octets);
  for (const reply of repliesOf(octets)) {
    // At times the whole of a body goes out before the next reply, at times the reply comes into it.
    for (let turns = random.next() * 10; turns > 1; turns--) await clock.run(0);
    for (const piece of pieces ? piecesOf(reply, randomOf(reply)) : [reply]) {
      server.write(piece);
      await clock.run(0);
    }
  }
  for (let turn = 0; turn < 10; turn++) await clock.run(0);
  server.end();
  for (let turn = 0; turn < 30 && !over; turn++) await clock.run(60_000);
  assert.ok(over, "the client is never left waiting");
  await done;
  await clock.run(3_600_000);
  assert.equal(clock.pending, 0, "no timer is left");
  checkWords(latin1(concatBytes(written)), latin1(octets), results);
}

async function sendTwice(session: ClientSession, results: (readonly RecipientResult[])[]): Promise<void> {
  results.push(await session.send(message));
  if (session.usable) results.push(await session.send(plain));
  await session.quit();
  assert.equal(session.usable, false);
}

function checkWords(said: string, heard: string, results: readonly (readonly RecipientResult[])[]): void {
  assert.ok(!/secret|c2VjcmV0|AHVzZXIAc2VjcmV0/.test(said), "no password in clear text");
  for (const result of results) {
    assert.equal(result.length, message.recipients.length, "an answer for each recipient");
    for (const fate of result) if (fate.kind === "accepted") assert.ok(fate.reply.code >= 200 && fate.reply.code < 300);
  }
  const bodies = bodiesIn(said, /(?:^|\n)354/.test(heard));
  for (const body of bodies) assert.ok(body === SENT || body === "", "a body is whole, and one");
  const sent = bodies.filter((body) => body === SENT).length;
  const delivered = results.filter((result) => result.some(({ kind }) => kind === "accepted")).length;
  assert.ok(delivered <= sent, "nothing is delivered that was not sent");
}

/** The body as it leaves, stuffing taken out again. */
const SENT = `${repaired(BODY)}\r\n`;

/** Of a command, with what it may say in clear text. */
const COMMAND =
  /^(?:(?:EHLO|LHLO|HELO) c\.test|MAIL FROM:<[^\r\n]*|RCPT TO:<[^\r\n]*|DATA|RSET|NOOP|QUIT|STARTTLS|AUTH [^\r\n]*|\*)$/;

/** Reads what a client said as a server would, and gives back the bodies that came whole. */
function bodiesIn(said: string, goneAhead: boolean): readonly string[] {
  const bodies: string[] = [];
  let rest = said;
  for (let end = rest.indexOf("\r\n"); end !== -1; end = rest.indexOf("\r\n")) {
    const line = rest.slice(0, end);
    rest = rest.slice(end + 2);
    const chunk = /^BDAT (\d+)( LAST)?$/.exec(line);
    if (chunk !== null) {
      const size = Number(chunk[1]);
      if (rest.length >= size) bodies.push(rest.slice(0, size));
      assert.ok(chunk[2] !== undefined, "a body of this size goes in one chunk");
      rest = rest.slice(size);
      continue;
    }
    assert.match(line, COMMAND);
    if (line !== "DATA" || !/^(?:Subject|\.)/.test(rest)) continue;
    assert.ok(goneAhead, "a body only behind DATA and its 354");
    const body = endOfData(rest);
    if (body === null) return bodies;
    bodies.push(withoutStuffing(body.content));
    rest = body.rest;
  }
  return bodies;
}

/** The octets up to and with each line that ends a reply, so that the client has its turn there. */
function repliesOf(octets: Uint8Array): readonly Uint8Array[] {
  return latin1(octets)
    .split(/(?<=(?:^|\n)\d{3} [^\n]*\r\n)/)
    .map(octetsOf);
}
