import assert from "node:assert/strict";
import { before, test } from "node:test";
import { concatBytes, decodeUtf8Lenient, encodeUtf8, seededRandom, unwrap } from "../base/index.ts";
import { type ClearStream, connect, ServerTls, upgradeClient } from "../net/index.ts";
import { reply } from "../smtp/index.ts";
import { fakeClock, makeCertificate, memoryStreamPair } from "../testing/index.ts";
import { createServer, definePolicy, type PolicyParts, type ServerOptions } from "./index.ts";

const EHLO = "EHLO c.test\r\n";
const ENVELOPE = "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@mx.test>\r\n";

let tls: ServerTls;
before(() => {
  tls = unwrap(ServerTls.create({ keyPairs: [makeCertificate({ names: ["mx.test"] })] }));
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

/** A client without manners: writes what it likes when it likes, and records what it hears. */
class Caller {
  readonly stream: ClearStream;
  text = "";
  writes = 0;
  ended = false;
  closed = false;

  constructor(stream: ClearStream, listen = true) {
    this.stream = stream;
    if (listen) this.listen();
  }

  listen(): void {
    this.stream.attach({
      data: (bytes) => {
        this.text += decodeUtf8Lenient(bytes);
        this.writes++;
      },
      drained() {},
      ended: () => {
        this.ended = true;
      },
      closed: () => {
        this.ended = this.closed = true;
      },
    });
  }

  say(text: string): void {
    this.stream.write(encodeUtf8(text));
  }

  /** The codes of all replies so far, one for each reply. */
  get codes(): readonly string[] {
    return [...this.text.matchAll(/^(\d{3})(?: .*)?\r$/gm)].map((match) => match[1] ?? "");
  }
}

function setUp(parts: Partial<PolicyParts>, options: Partial<ServerOptions> = {}) {
  const clock = fakeClock();
  const messages: string[] = [];
  const sinks: string[][] = [];
  const body: PolicyParts["body"] = () => {
    const calls: string[] = [];
    const chunks: Uint8Array[] = [];
    sinks.push(calls);
    return {
      write: (chunk) => void chunks.push(chunk),
      finish: () => {
        calls.push("finish");
        messages.push(decodeUtf8Lenient(concatBytes(chunks)));
        return reply(250, "2.0.0", "Ok");
      },
      abort: () => void calls.push("abort"),
    };
  };
  const policy = definePolicy({ body, ...parts });
  const server = createServer({ hostname: "mx.test", listeners: [], policy, tls, clock: clock.clock, ...options });
  const call = (address = "192.0.2.1", highWater?: number, listen = true) => {
    const ends = [
      { address, port: 4000 },
      { address: "192.0.2.25", port: 25 },
    ] as const;
    const [mine, theirs] = memoryStreamPair(highWater === undefined ? { ends } : { ends, highWater });
    server.serve(theirs, { tls: "starttls" });
    return new Caller(mine, listen);
  };
  return { clock, server, call, messages, sinks };
}

test("replies keep their order however long the policy thinks", async () => {
  const random = seededRandom(7);
  const { call } = setUp({
    recipient: async ({ recipient }) => {
      await turns(Math.floor(random.next() * 4));
      return recipient.localPart.startsWith("no")
        ? { kind: "refuse", reply: reply(550, "5.1.1", recipient.localPart) }
        : { kind: "accept" };
    },
  });
  const caller = call();
  const names = Array.from({ length: 20 }, (_, i) => (i % 3 === 0 ? `no${i}` : `yes${i}`));
  caller.say(`${EHLO}MAIL FROM:<a@c.test>\r\n${names.map((name) => `RCPT TO:<${name}@mx.test>\r\n`).join("")}`);
  await turns(120);
  const expected = names.map((name) => (name.startsWith("no") ? "550" : "250"));
  assert.deepEqual(caller.codes, ["220", "250", "250", ...expected]);
  caller.stream.destroy();
});

test("commands that come in pieces while the policy thinks are all heard, in order", async () => {
  const { call, messages } = setUp({
    mail: () => turns(3).then(() => ({ kind: "accept" })),
    recipient: ({ recipient }) =>
      turns(3).then(() =>
        recipient.localPart === "no" ? { kind: "refuse", reply: reply(550, "5.1.1", "No") } : { kind: "accept" },
      ),
  });
  const caller = call();
  for (const line of [EHLO, ENVELOPE, "RCPT TO:<no@mx.test>\r\n", "RCPT TO:<c@", "mx.test>\r\nDATA\r\n"]) {
    caller.say(line);
    await turn();
  }
  await turns(30);
  assert.deepEqual(caller.codes, ["220", "250", "250", "250", "550", "250", "354"]);
  caller.say("hi\r\n.\r\nNOOP\r\n");
  await turns(3);
  assert.deepEqual(caller.codes.slice(-2), ["250", "250"]);
  assert.deepEqual(messages, ["hi\r\n"]);
  caller.stream.destroy();
});

test("the replies of a group go out in one write", async () => {
  const { call } = setUp({});
  const caller = call();
  caller.say(EHLO);
  await turns(3);
  const { writes } = caller;
  caller.say(`${ENVELOPE}RCPT TO:<c@mx.test>\r\nDATA\r\n`);
  await turns(3);
  assert.deepEqual(caller.codes.slice(2), ["250", "250", "250", "354"]);
  assert.equal(caller.writes, writes + 1);
  caller.stream.destroy();
});

test("a peer that vanishes at any octet leaves nothing behind and nothing half delivered", async () => {
  const script = `${EHLO}${ENVELOPE}DATA\r\nSubject: hi\r\n\r\nbody\r\n.\r\nQUIT\r\n`;
  const dataAt = script.indexOf("DATA\r\n") + "DATA\r\n".length;
  const endAt = script.indexOf("\r\n.\r\n") + 5;
  for (const slow of [false, true]) {
    for (let at = 0; at <= script.length; at++) {
      let begun = 0;
      let over = 0;
      const { server, call, messages, sinks } = setUp({
        offer: () => {
          begun++;
          return {};
        },
        end: () => {
          over++;
        },
        mail: () => (slow ? turn().then(() => ({ kind: "accept" })) : { kind: "accept" }),
      });
      const caller = call();
      caller.say(script.slice(0, Math.min(at, dataAt)));
      await turns(4);
      if (at > dataAt) caller.say(script.slice(dataAt, at));
      if (at % 2 === 0) caller.stream.destroy();
      else caller.stream.end();
      await turns(6);
      caller.stream.destroy();
      await turns(2);
      assert.equal(server.connections, 0, `at ${at}`);
      assert.ok(begun > 0);
      assert.equal(over, 1);
      for (const calls of sinks) assert.equal(calls.length, 1, `at ${at}`);
      assert.equal(messages.length <= 1, true);
      if (at < endAt) assert.deepEqual(messages, [], `at ${at}`);
      else assert.deepEqual(messages, ["Subject: hi\r\n\r\nbody\r\n"], `at ${at}`);
    }
  }
});

test("a decision that comes after the peer has gone aborts its sink", async () => {
  let decide = () => {};
  const calls: string[] = [];
  const { server, call, clock } = setUp({
    body: () =>
      new Promise((resolve) => {
        decide = () =>
          resolve({ write() {}, finish: () => reply(250, null, ""), abort: () => void calls.push("abort") });
      }),
  });
  const caller = call();
  caller.say(`${EHLO}${ENVELOPE}DATA\r\n`);
  await turns(3);
  const stopped = server.stop({ grace: 0 });
  clock.advance(0);
  await stopped;
  assert.equal(caller.codes.at(-1), "250");
  decide();
  await turns(2);
  assert.deepEqual(calls, ["abort"]);
});

test("a peer that does not read its replies is not read from, and given up in the end", async () => {
  const { server, call, clock } = setUp({}, { limits: { junk: 1_000_000, write: 60_000, command: 600_000 } });
  const caller = call("192.0.2.1", 500, false);
  for (let i = 0; i < 200; i++) {
    caller.say("NOOP\r\n");
    await Promise.resolve();
  }
  await turns(5);
  assert.ok(caller.stream.unsent > 500, "the server stopped reading");
  clock.advance(59_000);
  assert.equal(server.connections, 1);
  clock.advance(2000);
  await turns(3);
  assert.equal(server.connections, 0);
});

test("a sink that waits stops the reading from the peer", async () => {
  let go = () => {};
  const { call } = setUp({
    body: () => ({
      write: () =>
        new Promise((resolve) => {
          go = resolve;
        }),
      finish: () => reply(250, "2.0.0", "Ok"),
      abort() {},
    }),
  });
  const caller = call();
  caller.say(`${EHLO}${ENVELOPE}DATA\r\n`);
  await turns(3);
  for (let i = 0; i < 10; i++) caller.say(`${"x".repeat(60)}\r\n`);
  await turns(10);
  assert.ok(caller.stream.unsent >= 8 * 62, "at most one more piece was taken");
  caller.say(".\r\n");
  for (let i = 0; i < 12; i++) {
    go();
    await turns(2);
  }
  assert.deepEqual(caller.codes, ["220", "250", "250", "250", "354", "250"]);
  caller.stream.destroy();
});

test("octets before the greeting are refused", async () => {
  const { call, clock } = setUp({}, { limits: { greetingDelay: 1000 } });
  const early = call();
  early.say(EHLO);
  await turns(3);
  assert.deepEqual(early.codes, ["554"]);
  assert.ok(early.ended);
  const polite = call();
  await turns(2);
  assert.deepEqual(polite.codes, []);
  clock.advance(1000);
  await turns(2);
  polite.say("QUIT\r\n");
  await turns(3);
  assert.deepEqual(polite.codes, ["220", "221"]);
});

test("an address has only so many connections; a place is free again when one ends", async () => {
  const { server, call, clock } = setUp({}, { limits: { connectionsPerAddress: 2, connections: 3 } });
  const first = call();
  call();
  const third = call();
  await turns(3);
  assert.deepEqual(third.codes, ["421"]);
  assert.ok(third.ended);
  assert.equal(server.connections, 2);
  call("192.0.2.9");
  const fourth = call("192.0.2.10");
  first.stream.destroy();
  await turns(3);
  assert.deepEqual(fourth.codes, ["421"]);
  const again = call();
  await turns(2);
  assert.deepEqual(again.codes, ["220"]);
  clock.advance(3_600_000);
  await turns(3);
  assert.equal(server.connections, 0, "the idle ones time out, and their places are free");
});

test("stop: 421 to the idle at once, to the busy after the message, and the grace cuts the rest", async () => {
  const { server, call, clock, messages } = setUp({});
  const idle = call();
  const busy = call("192.0.2.2");
  const stuck = call("192.0.2.3");
  idle.say(EHLO);
  busy.say(`${EHLO}${ENVELOPE}DATA\r\n`);
  stuck.say(`${EHLO}${ENVELOPE}DATA\r\n`);
  await turns(4);
  const stopped = server.stop({ grace: 5000 });
  await turns(3);
  assert.deepEqual(idle.codes, ["220", "250", "421"]);
  const late = call("192.0.2.4");
  busy.say("last\r\n.\r\n");
  await turns(4);
  assert.deepEqual(late.codes, ["421"]);
  assert.deepEqual(busy.codes.slice(-2), ["250", "421"]);
  assert.deepEqual(messages, ["last\r\n"]);
  clock.advance(5000);
  await stopped;
  assert.equal(server.connections, 0);
  assert.equal(stuck.codes.at(-1), "354");
});

test("a policy that throws in any place ends no server", async () => {
  const bug = () => {
    throw new Error("secret path /etc/x");
  };
  const places: readonly (readonly [Partial<PolicyParts>, string])[] = [
    [{ connect: bug }, "421"],
    [{ connect: () => Promise.reject(new Error("secret")) }, "421"],
    [{ offer: bug }, "421"],
    [{ hello: bug }, "451"],
    [{ mail: bug }, "451"],
    [{ recipient: () => Promise.reject(new Error("secret")) }, "451"],
    [{ verify: bug }, "451"],
    [{ body: bug }, "451"],
    [{ end: bug }, "354"],
  ];
  for (const [parts, code] of places) {
    const { server, call } = setUp(parts);
    const caller = call();
    await turns(2);
    caller.say(`${EHLO}VRFY x\r\n${ENVELOPE}DATA\r\n`);
    await turns(6);
    assert.ok(caller.codes.includes(code), `${Object.keys(parts)}: ${caller.codes}`);
    assert.ok(!caller.text.includes("secret"));
    caller.stream.destroy();
    await turns(2);
    assert.equal(server.connections, 0);
  }
});

test("no timer is left when all connections are gone", async () => {
  const { server, call, clock } = setUp({});
  const caller = call();
  caller.say(`${EHLO}QUIT\r\n`);
  await turns(4);
  caller.stream.end();
  await turns(4);
  assert.equal(server.connections, 0);
  assert.equal(clock.pending, 0);
});

test("octets between the 220 to STARTTLS and the handshake never become a command", async () => {
  const { server } = setUp({}, { listeners: [{ address: "127.0.0.1", port: 0, tls: "starttls" }] });
  const [endpoint] = unwrap(await server.start());
  assert.ok(endpoint !== undefined);
  const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port: endpoint.port, timeout: 5000 }));
  const caller = new Caller(stream);
  const heard = async (code: string) => {
    for (let i = 0; i < 500 && caller.codes.at(-1) !== code && !caller.ended; i++) await turn();
  };
  await heard("220");
  caller.say(EHLO);
  await heard("250");
  caller.say("STARTTLS\r\n");
  await heard("220");
  caller.say("NOOP\r\n");
  const secured = await upgradeClient(stream, { serverName: null, verify: { kind: "nothing" }, timeout: 5000 });
  assert.equal(secured.ok, false);
  await server.stop({ grace: 0 });
  assert.equal(server.connections, 0);
});

test("wrong options are told at once", () => {
  const policy = definePolicy({ body: () => ({ kind: "refuse", reply: reply(550, null, "no") }) });
  assert.throws(() => createServer({ hostname: "not a name", listeners: [], policy }), TypeError);
  const listeners = [{ address: "127.0.0.1", port: 0, tls: "implicit" as const }];
  assert.throws(() => createServer({ hostname: "mx.test", listeners, policy }), TypeError);
});

test("a port that is taken is told, and the other listeners are closed again", async () => {
  const listener = { address: "127.0.0.1", port: 0, tls: "none" as const };
  const first = setUp({}, { listeners: [listener] }).server;
  const [endpoint] = unwrap(await first.start());
  const taken = { ...listener, port: endpoint?.port ?? 0 };
  const second = await setUp({}, { listeners: [listener, taken] }).server.start();
  assert.ok(!second.ok);
  assert.equal(second.error.listener, taken);
  assert.equal(second.error.problem.kind, "addressInUse");
  await first.stop();
});

const never = <T>(): Promise<T> => new Promise<T>(() => {});

test("a policy that never answers costs its client the session, and nobody a place for ever", async () => {
  const stalls: readonly (readonly [string, Partial<PolicyParts>, string])[] = [
    ["connect", { connect: never }, ""],
    ["hello", { hello: never }, EHLO],
    ["mail", { mail: never }, EHLO + ENVELOPE],
    ["recipient", { recipient: never }, EHLO + ENVELOPE],
    ["body", { body: never }, `${EHLO}${ENVELOPE}DATA\r\n`],
    ["verify", { verify: never }, `${EHLO}VRFY x\r\n`],
  ];
  for (const [name, parts, said] of stalls) {
    const { call, clock, server } = setUp(parts);
    const caller = call();
    await turns(2);
    caller.say(said);
    await turns(2);
    clock.advance(4 * 60_000 - 1);
    await turns(2);
    assert.equal(caller.ended, false, name);
    clock.advance(1);
    await turns(2);
    assert.match(caller.text, /421 4\.3\.0 [^\r\n]*\r\n$/, name);
    assert.equal(caller.ended, true, name);
    clock.advance(10_000);
    await turns(2);
    assert.equal(server.connections, 0, name);
  }
});

test("a sink that never answers is given up: aborted while it writes, left alone while it finishes", async () => {
  for (const stalled of ["write", "finish"] as const) {
    const calls: string[] = [];
    const { call, clock, server } = setUp({
      body: () => ({
        write: () => (stalled === "write" ? never() : undefined),
        finish: () => {
          calls.push("finish");
          return never();
        },
        abort: () => void calls.push("abort"),
      }),
    });
    const caller = call();
    caller.say(EHLO + ENVELOPE);
    await turns(2);
    caller.say("DATA\r\n");
    await turns(2);
    caller.say("Subject: x\r\n\r\nx\r\n.\r\n");
    await turns(2);
    // For the end of data a client waits 10 minutes (RFC 5321 §4.5.3.2.6), for everything else 5.
    clock.advance((stalled === "write" ? 4 : 9.5) * 60_000 - 1);
    await turns(2);
    assert.match(caller.text, /354 [^\r\n]*\r\n$/, stalled);
    clock.advance(1);
    await turns(2);
    assert.match(caller.text, /354 [^\r\n]*\r\n421 4\.3\.0 [^\r\n]*\r\n$/, stalled);
    assert.deepEqual(calls, [stalled === "write" ? "abort" : "finish"]);
    clock.advance(10_000);
    await turns(2);
    assert.equal(server.connections, 0);
  }
});

test("a sink that finishes after eight minutes is believed, also where a piece of the body was slow before", async () => {
  for (const slow of [0, 3]) {
    const waits: (() => void)[] = [];
    const { call, clock } = setUp({
      body: () => ({
        write: () => (slow === 0 ? undefined : new Promise<void>((resolve) => void waits.push(resolve))),
        finish: () => new Promise((resolve) => void waits.push(() => resolve(reply(250, "2.0.0", "Kept after all")))),
        abort: () => assert.fail("it was not given up"),
      }),
    });
    const caller = call();
    caller.say(EHLO + ENVELOPE);
    await turns(2);
    caller.say("DATA\r\n");
    await turns(2);
    caller.say("Subject: x\r\n\r\nx\r\n.\r\n");
    for (const minutes of slow === 0 ? [8] : [3, 5]) {
      await turns(2);
      clock.advance(minutes * 60_000);
      await turns(2);
      for (const over of waits.splice(0)) over();
    }
    await turns(4);
    assert.match(caller.text, /354 [^\r\n]*\r\n250 2\.0\.0 Kept after all\r\n$/, `${slow}`);
    caller.stream.destroy();
  }
});

test("a sink that opens after its client was given up is aborted", async () => {
  const calls: string[] = [];
  let open = (): void => {};
  const sink = {
    write() {},
    finish: () => reply(250, "2.0.0", "Ok"),
    abort: () => void calls.push("abort"),
  };
  const { call, clock } = setUp({
    body: () =>
      new Promise((resolve) => {
        open = () => resolve({ kind: "accept", sink });
      }),
  });
  const caller = call();
  caller.say(EHLO + ENVELOPE);
  await turns(2);
  caller.say("DATA\r\n");
  await turns(2);
  clock.advance(4 * 60_000);
  await turns(2);
  open();
  await turns(2);
  assert.deepEqual(calls, ["abort"]);
});

test("what is no yes is none: a misspelt verdict, and an object without any such as a foreign promise, are faults of the policy", async () => {
  // What a policy in JavaScript can do and TypeScript would not let pass.
  const wrong: readonly unknown[] = [{ kind: "reject" }, {}];
  for (const verdict of wrong) {
    const { call } = setUp({ recipient: () => verdict as never });
    const caller = call();
    caller.say(EHLO + ENVELOPE);
    await turns(3);
    assert.deepEqual(caller.codes.slice(-2), ["250", "451"]);
  }
});

test("those who are turned away cannot pile up: past the limit of connections they are cut without a word", async () => {
  const { call, server } = setUp({}, { limits: { connections: 2, connectionsPerAddress: 1 } });
  const callers = Array.from({ length: 6 }, () => call());
  assert.equal(server.connections, 1);
  await turns(3);
  assert.deepEqual(
    callers.map(({ codes }) => codes.join(" ")),
    ["220", "421", "421", "", "", ""],
  );
  assert.ok(callers.slice(3).every(({ ended }) => ended));
});

test("renewed limits and services count from the next connection on, and who is connected keeps the old ones", async () => {
  const answering = (text: string) =>
    definePolicy({ mail: () => ({ kind: "refuse", reply: reply(550, "5.7.1", text) }), body: () => assert.fail() });
  const listener = { address: "127.0.0.1", port: 0, tls: "starttls", policy: answering("before") } as const;
  const server = createServer({ hostname: "mx.test", listeners: [listener], policy: answering("default"), tls });
  const [local] = unwrap(await server.start());
  const call = async () => {
    const stream = unwrap(await connect({ addresses: ["127.0.0.1"], port: local?.port ?? 0, timeout: 2000 }));
    const caller = new Caller(stream);
    caller.say(`${EHLO}MAIL FROM:<a@c.test>\r\n`);
    return caller;
  };
  const said = async (caller: Caller, text: RegExp) => {
    for (let waited = 0; waited < 2000 && !text.test(caller.text); waited++) await turn();
    assert.match(caller.text, text);
  };
  const first = await call();
  await said(first, /550 5\.7\.1 before/);
  server.renew({ limits: { connections: 2 }, services: [{ ...listener, policy: answering("after") }] });
  first.say("MAIL FROM:<b@c.test>\r\n");
  await said(first, /before[\s\S]*before/);
  const second = await call();
  await said(second, /550 5\.7\.1 after/);
  await said(await call(), /^421 /);
  assert.throws(() =>
    server.renew({ limits: {}, services: [{ ...listener, tls: "implicit", serverTls: { keyPairs: [] } }] }),
  );
  await said(await call(), /^421 /); // What cannot be had changes nothing, limits included.
  await server.stop({ grace: 0 });
});
