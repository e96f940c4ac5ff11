import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, unwrap } from "../base/index.ts";
import { type MailParameters, parseMailbox } from "../smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../testing/index.ts";
import {
  type ClientProblem,
  type ClientSession,
  type OpenOptions,
  type OutgoingMessage,
  openSession,
  type RecipientResult,
} from "./index.ts";

type Cut = (bytes: Uint8Array) => readonly Uint8Array[];

const whole: Cut = (bytes) => [bytes];
const byteByByte: Cut = (bytes) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
const splitAt =
  (at: number): Cut =>
  (bytes) =>
    at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];

interface Peer {
  readonly options: OpenOptions;
  /** Lines that the client sent, in order. */
  readonly lines: readonly string[];
  /** What of the script was not reached, and what came against it. */
  readonly trouble: () => string | null;
  readonly closed: () => boolean;
}

/**
 * A server that plays `S:` lines and waits for each `C:` line. Neighbouring `S:` lines leave in one write; `S: <close>` resets,
 * `S: <end>` closes in order, `S: <partial>text` sends text without CRLF.
 */
function peer(script: string, cut: Cut = whole, options: Partial<OpenOptions> = {}): Peer {
  const steps = script
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const [ours, theirs] = memoryStreamPair({ chunk: cut });
  const lines: string[] = [];
  let received = "";
  let mismatch: string | null = null;
  let gone = false;
  const speak = (): void => {
    let out = "";
    const flush = (): void => {
      if (out !== "") theirs.write(encodeUtf8(out));
      out = "";
    };
    for (let step = steps[0]; step?.startsWith("S:") === true; step = steps[0]) {
      steps.shift();
      const text = step.slice(3);
      if (text === "<close>" || text === "<end>") {
        flush();
        if (text === "<close>") theirs.destroy();
        else theirs.end();
      } else if (text.startsWith("<partial>")) out += text.slice(9);
      else out += `${text}\r\n`;
    }
    flush();
  };
  theirs.attach({
    data(bytes) {
      received += decodeUtf8Lenient(bytes);
      for (let end = received.indexOf("\r\n"); end >= 0; end = received.indexOf("\r\n")) {
        const line = received.slice(0, end);
        received = received.slice(end + 2);
        lines.push(line);
        const expected = steps.shift();
        if (expected !== `C: ${line}`.trimEnd()) mismatch ??= `wanted ${expected ?? "nothing"}, got C: ${line}`;
        speak();
      }
    },
    drained() {},
    ended() {
      gone = true;
    },
    closed() {
      gone = true;
    },
  });
  speak();
  return {
    options: { stream: ours, hello: "client.test", tls: { kind: "none" }, ...options },
    lines,
    trouble: () => mismatch ?? (steps.length === 0 ? null : `not reached: ${steps.join(" | ")}`),
    closed: () => gone,
  };
}

function message(
  recipients: readonly string[] = ["a@x.test"],
  text = "Hi\r\n",
  parameters: MailParameters = {},
): OutgoingMessage {
  return {
    reversePath: unwrap(parseMailbox("me@client.test")),
    parameters,
    recipients: recipients.map((address) => ({ mailbox: unwrap(parseMailbox(address)), parameters: {} })),
    body: { size: text.length, chunks: () => [encodeUtf8(text)] },
  };
}

async function opened(server: Peer): Promise<ClientSession> {
  const session = await openSession(server.options);
  return unwrap(session);
}

async function refused(server: Peer): Promise<ClientProblem> {
  const session = await openSession(server.options);
  assert.equal(session.ok, false);
  return session.ok ? { kind: "tlsNotOffered" } : session.error;
}

/** `accepted 250`, `refused rcpt 550`, `broken closed end uncertain`. */
function brief(result: RecipientResult): string {
  if (result.kind === "accepted") return `accepted ${result.reply.code}`;
  if (result.kind === "refused") return `refused ${result.stage} ${result.reply.code}`;
  const stage = "stage" in result.problem ? ` ${result.problem.stage}` : "";
  return `broken ${result.problem.kind}${stage}${result.uncertain ? " uncertain" : ""}`;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const HELLO = `
  S: 220 mx.test ESMTP
  C: EHLO client.test
  S: 250-mx.test
  S: 250-SIZE 1000
  S: 250 PIPELINING`;
const GROUP = `
  C: MAIL FROM:<me@client.test> SIZE=4
  C: RCPT TO:<a@x.test>
  C: DATA`;
const BODY = `
  C: Hi
  C: .`;

interface Conversation {
  readonly title: string;
  readonly script: string;
  readonly recipients: readonly string[];
  readonly results: readonly string[];
  readonly usable: boolean;
  readonly protocol: "smtp" | "lmtp";
}

/** Reads `conversations.md`: a heading, a list of settings and a script each. */
function conversations(): readonly Conversation[] {
  const text = readFileSync(new URL("conversations.md", import.meta.url), "utf8");
  return text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const setting = (name: string): string => new RegExp(`^- ${name}: (.*)$`, "m").exec(section)?.[1] ?? "";
      return {
        title: section.slice(0, section.indexOf("\n")),
        script: /^```\n(.*?)^```$/ms.exec(section)?.[1] ?? "",
        recipients: setting("recipients").split(", "),
        results: setting("results").split(", "),
        usable: setting("usable") === "yes",
        protocol: setting("protocol") === "lmtp" ? "lmtp" : "smtp",
      };
    });
}

const cuts: readonly (readonly [string, Cut])[] = [
  ["whole", whole],
  ["byte by byte", byteByByte],
  ...Array.from({ length: 40 }, (_, at): readonly [string, Cut] => [`split at ${at + 1}`, splitAt(at + 1)]),
];

test("the conversations are there", () => {
  assert.ok(conversations().length >= 40);
});

for (const { title, script, recipients, results, usable, protocol } of conversations()) {
  test(`${title}, at each cut`, async () => {
    for (const [name, cut] of cuts) {
      const server = peer(script, cut, { protocol });
      const session = await opened(server);
      const outcome = await session.send(message(recipients));
      assert.deepEqual(outcome.map(brief), results, name);
      await turn();
      assert.equal(server.trouble(), null, name);
      assert.equal(session.usable, usable, name);
      session.destroy();
    }
  });
}

test("several messages in one session, RSET pipelined after a refusal", async () => {
  const server = peer(`${HELLO}${GROUP}
    S: 250 ok
    S: 550 who
    S: 503 none
    C: RSET
    C: MAIL FROM:<me@client.test> SIZE=4
    C: RCPT TO:<a@x.test>
    C: DATA
    S: 250 reset
    S: 250 ok
    S: 250 ok
    S: 354 go${BODY}
    S: 250 queued
    C: MAIL FROM:<me@client.test> SIZE=4
    C: RCPT TO:<a@x.test>
    C: DATA
    S: 250 ok
    S: 250 ok
    S: 354 go${BODY}
    S: 250 queued
    C: QUIT
    S: 221 bye`);
  const session = await opened(server);
  assert.deepEqual((await session.send(message())).map(brief), ["refused rcpt 550"]);
  assert.deepEqual((await session.send(message())).map(brief), ["accepted 250"]);
  assert.deepEqual((await session.send(message())).map(brief), ["accepted 250"]);
  assert.equal(session.transactions, 3);
  await session.quit();
  assert.equal(session.usable, false);
  assert.equal(server.trouble(), null);
});

test("RSET refused: the session ends, the recipients are deferred by the caller", async () => {
  const server = peer(`${HELLO}${GROUP}
    S: 250 ok
    S: 550 who
    S: 503 none
    C: RSET
    C: MAIL FROM:<me@client.test> SIZE=4
    C: RCPT TO:<a@x.test>
    C: DATA
    S: 500 what
    S: 250 ok
    S: 250 ok
    S: 354 go`);
  const session = await opened(server);
  await session.send(message());
  assert.deepEqual((await session.send(message())).map(brief), ["broken refused reset"]);
  assert.equal(session.usable, false);
});

test("more than was owed behind the last reply: the message stands, the session ends", async () => {
  for (const extra of ["250 queued too", "421 bye", "<partial>2"]) {
    const server = peer(`${HELLO}${GROUP}
      S: 250 ok
      S: 250 ok
      S: 354 go${BODY}
      S: 250 queued
      S: ${extra}`);
    const session = await opened(server);
    assert.deepEqual((await session.send(message())).map(brief), ["accepted 250"]);
    await turn();
    assert.equal(session.usable, false);
    assert.deepEqual((await session.send(message())).map(brief), ["broken closed mail"]);
  }
});

test("more than was owed behind 354: nothing of the body leaves, and an early 250 is no yes", async () => {
  for (const [extra, result] of [
    ["250 queued", "broken protocol data"],
    ["<partial>250 q", "broken protocol data"],
    ["421 bye", "refused end 421"],
  ]) {
    const server = peer(`${HELLO}${GROUP}
      S: 250 ok
      S: 250 ok
      S: 354 go
      S: ${extra}`);
    const session = await opened(server);
    assert.deepEqual((await session.send(message())).map(brief), [result]);
    await turn();
    assert.equal(server.trouble(), null);
    assert.equal(server.lines.at(-1), "DATA");
  }
});

test("a reply before the body is through ends it: a no counts, a yes does not", async () => {
  for (const [reply, result] of [
    ["552 5.3.4 too big", "refused end 552"],
    ["421 4.4.2 too slow", "refused end 421"],
    ["250 queued", "broken protocol body"],
  ]) {
    for (const cut of [whole, byteByByte]) {
      const server = peer(
        `${HELLO}
        C: MAIL FROM:<me@client.test>
        C: RCPT TO:<a@x.test>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: first
        S: ${reply}`,
        cut,
      );
      const session = await opened(server);
      let released = false;
      let chunks = 0;
      const source: AsyncIterator<Uint8Array> = {
        next() {
          chunks++;
          if (chunks === 1) return Promise.resolve({ value: encodeUtf8("first\r\n") });
          return new Promise(() => {});
        },
        return() {
          released = true;
          return Promise.resolve({ value: undefined, done: true });
        },
      };
      const endless = (): AsyncIterable<Uint8Array> => ({ [Symbol.asyncIterator]: () => source });
      const mail: OutgoingMessage = { ...message(), body: { size: null, chunks: endless } };
      assert.deepEqual((await session.send(mail)).map(brief), [result]);
      assert.equal(session.usable, false);
      assert.equal(released, true);
      assert.equal(server.lines.at(-1), "first");
    }
  }
});

test("an octet while idle ends the session", async () => {
  const [ours, theirs] = memoryStreamPair();
  theirs.attach({ data: () => theirs.write(encodeUtf8("250 mx\r\n")), drained() {}, ended() {}, closed() {} });
  theirs.write(encodeUtf8("220 mx\r\n"));
  const session = unwrap(await openSession({ stream: ours, hello: "client.test", tls: { kind: "none" } }));
  let closed = 0;
  session.onClose(() => closed++);
  theirs.write(encodeUtf8("4"));
  await turn();
  assert.equal(session.usable, false);
  assert.equal(closed, 1);
});

const openings: readonly {
  readonly title: string;
  readonly script: string;
  readonly problem: string;
  readonly lmtp?: true;
}[] = [
  { title: "554 greeting", script: "S: 554 no\nC: QUIT", problem: "refused greeting 554" },
  { title: "421 greeting", script: "S: 421 busy", problem: "refused greeting 421" },
  { title: "250 greeting", script: "S: 250 mx", problem: "protocol greeting" },
  { title: "no greeting", script: "S: <end>", problem: "closed greeting" },
  { title: "HTTP greeting", script: "S: HTTP/1.1 400 Bad Request", problem: "protocol greeting" },
  {
    title: "EHLO and HELO refused",
    script: "S: 220 mx\nC: EHLO client.test\nS: 502 no\nC: HELO client.test\nS: 550 no\nC: QUIT",
    problem: "refused hello 550",
  },
  {
    title: "EHLO deferred",
    script: "S: 220 mx\nC: EHLO client.test\nS: 450 no\nC: QUIT",
    problem: "refused hello 450",
  },
  { title: "421 to EHLO", script: "S: 220 mx\nC: EHLO client.test\nS: 421 no", problem: "refused hello 421" },
  {
    title: "LHLO refused",
    script: "S: 220 mx\nC: LHLO client.test\nS: 500 no\nC: QUIT",
    problem: "refused hello 500",
    lmtp: true,
  },
  { title: "220 to EHLO", script: "S: 220 mx\nC: EHLO client.test\nS: 220 mx", problem: "protocol hello" },
];

for (const { title, script, problem, lmtp } of openings) {
  test(`opening: ${title}, at each cut`, async () => {
    for (const [name, cut] of cuts) {
      const server = peer(script, cut, lmtp === true ? { protocol: "lmtp" } : {});
      const found = await refused(server);
      const stage = "stage" in found ? ` ${found.stage}` : "";
      const code = found.kind === "refused" ? ` ${found.reply.code}` : "";
      assert.equal(`${found.kind}${stage}${code}`, problem, name);
      await turn();
      assert.equal(server.trouble(), null, name);
      assert.equal(server.closed(), true, name);
    }
  });
}

test("two greetings in one packet: the second is an answer to nothing", async () => {
  const problem = await refused(peer("S: 220 mx\nS: 250 mx"));
  assert.equal(problem.kind === "protocol" && problem.stage, "greeting");
});

test("HELO where EHLO is unknown: no extension is used", async () => {
  const server = peer(`
    S: 220 mx.test
    C: EHLO client.test
    S: 502 what
    C: HELO client.test
    S: 250-mx.test
    S: 250 PIPELINING
    C: MAIL FROM:<me@client.test>
    S: 250 ok
    C: RCPT TO:<a@x.test>
    S: 250 ok
    C: DATA
    S: 354 go${BODY}
    S: 250 queued`);
  const session = await opened(server);
  assert.equal(session.extensions.size, 0);
  assert.deepEqual((await session.send(message())).map(brief), ["accepted 250"]);
});

test("where TLS is demanded nothing but EHLO and QUIT leaves in clear text", async () => {
  const tls: OpenOptions["tls"] = {
    kind: "required",
    options: { serverName: null, verify: { kind: "nothing" }, timeout: 1000 },
  };
  for (const answer of ["S: 250 mx.test", "S: 502 what"]) {
    const server = peer(`S: 220 mx.test\nC: EHLO client.test\n${answer}\nC: QUIT`, whole, { tls });
    assert.equal((await refused(server)).kind, "tlsNotOffered");
    await turn();
    assert.equal(server.trouble(), null);
  }
});

test("STARTTLS refused: opportunistic goes on, required does not; an odd yes is neither", async () => {
  const options = { serverName: null, verify: { kind: "nothing" }, timeout: 1000 } as const;
  const offer = "S: 220 mx.test\nC: EHLO client.test\nS: 250-mx.test\nS: 250 STARTTLS\nC: STARTTLS\n";
  for (const code of [454, 501, 530]) {
    const soft = peer(`${offer}S: ${code} no`, whole, { tls: { kind: "opportunistic", options } });
    assert.equal((await opened(soft)).tls, null);
    const hard = peer(`${offer}S: ${code} no\nC: QUIT`, whole, { tls: { kind: "required", options } });
    const problem = await refused(hard);
    assert.equal(problem.kind === "refused" && problem.stage === "starttls" && problem.reply.code === code, true);
  }
  for (const code of [221, 250, 334, 354]) {
    for (const kind of ["opportunistic", "required"] as const) {
      const server = peer(`${offer}S: ${code} odd`, whole, { tls: { kind, options } });
      assert.equal((await refused(server)).kind, "protocol");
    }
  }
});

test("response injection: whatever stands behind the 220 of STARTTLS is never believed", async () => {
  const options = { serverName: null, verify: { kind: "nothing" }, timeout: 1000 } as const;
  const offer = "S: 220 mx.test\nC: EHLO client.test\nS: 250-mx.test\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n";
  for (const extra of ["250 mx.test", "250-mx.test", "<partial>2"]) {
    const server = peer(`${offer}S: ${extra}`, whole, { tls: { kind: "opportunistic", options } });
    const problem = await refused(server);
    assert.equal(problem.kind === "protocol" && problem.stage, "starttls");
    await turn();
    assert.equal(server.lines.at(-1), "STARTTLS");
  }
});

test("AUTH is never said in clear text", async () => {
  const auth = { user: "u", password: "p" };
  const server = peer(
    "S: 220 mx.test\nC: EHLO client.test\nS: 250-mx.test\nS: 250 AUTH PLAIN LOGIN SCRAM-SHA-256\nC: QUIT",
    whole,
    { auth },
  );
  assert.deepEqual(await refused(server), { kind: "authNotOffered", offered: ["PLAIN", "LOGIN", "SCRAM-SHA-256"] });
});

test("a reply is due as a whole: octets do not extend the time", async () => {
  const time = fakeClock();
  const server = peer(`${HELLO}${GROUP}\nS: <partial>25`, whole, { clock: time.clock, timeouts: { mail: 1000 } });
  const session = await opened(server);
  const sent = session.send(message());
  await time.run(999);
  assert.equal(session.usable, true);
  await time.run(1);
  assert.deepEqual((await sent).map(brief), ["broken timeout mail"]);
  assert.equal(time.pending, 0);
});

test("each stage has its own time", async () => {
  const stages = [
    ["mail", "", "broken timeout mail"],
    ["rcpt", "S: 250 ok", "broken timeout rcpt"],
    ["dataStart", "S: 250 ok\nS: 250 ok", "broken timeout data"],
    ["dataEnd", `S: 250 ok\nS: 250 ok\nS: 354 go${BODY}`, "broken timeout end uncertain"],
  ] as const;
  for (const [name, replies, result] of stages) {
    const time = fakeClock();
    const server = peer(`${HELLO}${GROUP}\n${replies}`, whole, { clock: time.clock, timeouts: { [name]: 1000 } });
    const session = await opened(server);
    const sent = session.send(message());
    await time.run(1000);
    assert.deepEqual((await sent).map(brief), [result]);
  }
  const time = fakeClock();
  const silent = peer("", whole, { clock: time.clock, timeouts: { greeting: 1000 } });
  const problem = refused(silent);
  await time.run(1000);
  assert.deepEqual(await problem, { kind: "timeout", stage: "greeting" });
});

test("endless replies are cut off", async () => {
  const flood = Array.from({ length: 10_000 }, () => "S: 250-more").join("\n");
  const server = peer(`S: 220 mx.test\nC: EHLO client.test\n${flood}`);
  const problem = await refused(server);
  assert.equal(problem.kind === "protocol" && problem.problem?.kind, "tooLong");
});

test("aborting ends the session at once", async () => {
  const server = peer(`${HELLO}${GROUP}`);
  const session = await opened(server);
  const abort = new AbortController();
  const sent = session.send(message(), abort.signal);
  await turn();
  abort.abort();
  assert.deepEqual((await sent).map(brief), ["broken network mail"]);
  assert.equal(session.usable, false);

  const opening = new AbortController();
  const silent = peer("", whole, { signal: opening.signal });
  const problem = refused(silent);
  opening.abort();
  const found = await problem;
  assert.equal(found.kind === "network" && found.problem.kind, "aborted");
});

test("a body whose source fails is never ended: send rejects, the connection closes", async () => {
  for (const chunks of [
    function* (): Generator<Uint8Array> {
      yield encodeUtf8("first\r\n");
      throw new Error("disk");
    },
    async function* (): AsyncGenerator<Uint8Array> {
      yield encodeUtf8("first\r\n");
      throw new Error("disk");
    },
    // Cut short: part of a message must not pass for the message.
    () => [encodeUtf8("firs\r\n")],
  ]) {
    const server = peer(`${HELLO}
      C: MAIL FROM:<me@client.test> SIZE=7
      C: RCPT TO:<a@x.test>
      C: DATA
      S: 250 ok
      S: 250 ok
      S: 354 go`);
    const session = await opened(server);
    await assert.rejects(session.send({ ...message(), body: { size: 7, chunks } }), /disk|6 octets/);
    assert.equal(session.usable, false);
    await turn();
    assert.equal(server.lines.includes("."), false);
  }
});

test("what the server does not offer and the message needs is refused without a word", async () => {
  const cases: readonly (readonly [OutgoingMessage, number])[] = [
    [message(["ü@x.test"]), 553],
    [message(["a@x.test"], "Hi\r\n", { smtputf8: true }), 553],
    [message(["a@x.test"], "x".repeat(1001)), 552],
    [message(["a@x.test"], "Hi\r\n", { body: "8BITMIME" }), 554],
    [message(["a@x.test"], "Hi\r\n", { requireTls: true }), 550],
  ];
  for (const [mail, code] of cases) {
    const server = peer(HELLO);
    const session = await opened(server);
    const [result] = await session.send(mail);
    assert.equal(result?.kind === "refused" && result.local === true && result.reply.code, code);
    assert.equal(session.usable, true);
    assert.equal(session.transactions, 0);
    assert.equal(server.trouble(), null);
    session.destroy();
  }
});

test("a newline in an address is a bug of the caller and never reaches the wire", async () => {
  const server = peer(HELLO);
  const session = await opened(server);
  const evil = { localPart: "a>\r\nRCPT TO:<b", domain: unwrap(parseMailbox("a@x.test")).domain };
  await assert.rejects(session.send({ ...message(), recipients: [{ mailbox: evil, parameters: {} }] }));
  await turn();
  assert.equal(server.trouble(), null);
});

test("a peer that never answers QUIT is left after seconds, not after the minutes of a command", async () => {
  const time = fakeClock();
  const server = peer("S: 220 mx.test\nC: EHLO client.test\nS: 250 mx.test\nC: QUIT", whole, { clock: time.clock });
  const session = unwrap(await openSession(server.options));
  let left = false;
  const quit = session.quit().then(() => {
    left = true;
  });
  await time.run(4_000);
  assert.equal(left, false);
  await time.run(2_000);
  assert.equal(left, true);
  await quit;
});
