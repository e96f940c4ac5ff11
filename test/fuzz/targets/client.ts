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
import { BARE_NEWLINE, endOfData } from "../reference.ts";
import { latin1, octetsOf, type Target } from "../target.ts";

/** A body that would be three messages to a receiver of the wrong kind. */
const BODY = "Subject: hi\r\n\r\nMARK\r\n.\r\nMAIL FROM:<x@c.test>\r\n\n.\nMAIL FROM:<y@c.test>\r.\r..\r\nend";

const message: OutgoingMessage = {
  reversePath: unwrap(parseMailbox("a@c.test")),
  parameters: {},
  recipients: ["b@mx.test", "c@mx.test", "d@mx.test"].map((text) => ({
    mailbox: unwrap(parseMailbox(text)),
    parameters: {},
  })),
  body: { size: BODY.length, chunks: slowly },
};

/** The body in pieces with a turn of the event loop between them, so that a server can talk into it. */
async function* slowly(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < BODY.length; at += 25) {
    await new Promise((resolve) => setImmediate(resolve));
    yield octetsOf(BODY.slice(at, at + 25));
  }
}

const EHLO = "250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10000\r\n";

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
  if (session.usable) results.push(await session.send(message));
  await session.quit();
  assert.equal(session.usable, false);
}

function checkWords(said: string, heard: string, results: readonly (readonly RecipientResult[])[]): void {
  assert.ok(!/secret|c2VjcmV0|AHVzZXIAc2VjcmV0/.test(said), "no password in clear text");
  for (const result of results) {
    assert.equal(result.length, message.recipients.length, "an answer for each recipient");
    for (const fate of result) if (fate.kind === "accepted") assert.ok(fate.reply.code >= 200 && fate.reply.code < 300);
  }
  const accepted = results.flat().filter(({ kind }) => kind === "accepted").length;
  const whole = /\r\nend\r\n\.\r\n|^BDAT \d+ LAST\r$/im.test(said);
  assert.ok(accepted === 0 || whole, "nothing is delivered that was not sent");
  if (/^BDAT /im.test(said)) return;
  // A connection may end between the CR and the LF of a line.
  assert.ok(!BARE_NEWLINE.test(said.replace(/\r$/, "")), "no stray newline leaves");
  const data = said.indexOf("\r\nDATA\r\n");
  if (!said.includes("MARK")) return;
  assert.ok(data !== -1 && /(?:^|\n)354/.test(heard), "a body only behind DATA and its 354");
  const body = endOfData(said.slice(data + 8));
  if (body === null) return;
  assert.ok(body.content.endsWith("end\r\n"), "one message stays one message");
  assert.match(body.rest, /^(?:(?:RSET|QUIT|MAIL|RCPT|DATA)\b|$)/);
}

/** The octets up to and with each line that ends a reply, so that the client has its turn there. */
function repliesOf(octets: Uint8Array): readonly Uint8Array[] {
  return latin1(octets)
    .split(/(?<=(?:^|\n)\d{3} [^\n]*\r\n)/)
    .map(octetsOf);
}
