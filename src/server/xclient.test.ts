// XCLIENT at a server: who may say for whom he speaks, and that he is believed and nothing of the proxy lives on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8Lenient, encodeUtf8, type Log, silentLog } from "../base/index.ts";
import { reply } from "../smtp/index.ts";
import { fakeClock, memoryStreamPair } from "../testing/index.ts";
import {
  type Client,
  createServer,
  definePolicy,
  inNetworks,
  type MailRequest,
  type PolicyParts,
  type ServerLimits,
} from "./index.ts";

const PROXY = "192.0.2.1";

function setUp(parts: Partial<PolicyParts> = {}, limits: Partial<ServerLimits> = {}) {
  const clock = fakeClock();
  const clients: Client[] = [];
  const mails: { readonly request: MailRequest; readonly client: Client }[] = [];
  const logged: (readonly [event: string, fields: Readonly<Record<string, unknown>>])[] = [];
  const log: Log = { ...silentLog, info: (event, fields = {}) => void logged.push([event, fields]), child: () => log };
  let ends = 0;
  const policy = definePolicy({
    connect: (client) => {
      clients.push(client);
      return client.peer.address === "203.0.113.66"
        ? { kind: "refuse", reply: reply(554, "5.7.1", "Not you") }
        : { kind: "accept" };
    },
    mail: (request, client) => {
      mails.push({ request, client });
      return { kind: "accept" };
    },
    body: () => ({ kind: "refuse", reply: reply(554, "5.7.1", "No") }),
    end: () => void ends++,
    ...parts,
  });
  const server = createServer({ hostname: "mx.test", listeners: [], policy, clock: clock.clock, limits, log });
  const call = (address = PROXY) => {
    const near = { address, port: 4000 };
    const [mine, theirs] = memoryStreamPair({ ends: [near, { address: "192.0.2.25", port: 25 }] });
    let text = "";
    let ended = false;
    mine.attach({
      data: (bytes) => {
        text += decodeUtf8Lenient(bytes);
      },
      drained() {},
      ended: () => {
        ended = true;
      },
      closed() {},
    });
    server.serve(theirs, { tls: "starttls", xclient: inNetworks([PROXY]) });
    return {
      stream: mine,
      get ended() {
        return ended;
      },
      /** Says the lines in one piece, and gives what came for them. */
      async say(...lines: readonly string[]): Promise<string> {
        text = "";
        if (lines.length > 0) mine.write(encodeUtf8(lines.map((line) => `${line}\r\n`).join("")));
        for (let i = 0; i < 8; i++) await new Promise((resolve) => setImmediate(resolve));
        return text;
      },
    };
  };
  return { clock, server, clients, mails, logged, call, ends: () => ends };
}

const codes = (text: string) => [...text.matchAll(/^(\d{3})(?: .*)?\r$/gm)].map((match) => match[1]);

test("offered to those who may, and to nobody else", async () => {
  const { call } = setUp();
  const may = call();
  assert.match(
    await may.say("EHLO proxy.test"),
    /^250[ -]XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r$/m,
  );
  const other = call("192.0.2.2");
  assert.doesNotMatch(await other.say("EHLO proxy.test"), /XCLIENT/);
  assert.match(await other.say("XCLIENT ADDR=192.0.2.1"), /^550 5\.7\.0 /);
  assert.match(await other.say("XCLIENT LOGIN=ada", "MAIL FROM:<a@c.test>"), /^550 [^\r]*\r\n250 /);
});

test("the session begins anew, of the client that was named", async () => {
  const { call, clients, mails, logged, ends } = setUp();
  const proxy = call();
  await proxy.say("EHLO proxy.test");
  const lines = "XCLIENT ADDR=IPV6:2001:db8::9 PORT=5000 NAME=spike.example DESTADDR=198.51.100.25 DESTPORT=2525";
  assert.deepEqual(codes(await proxy.say(lines)), ["220"]);
  assert.equal(ends(), 1, "the conversation of before is over");
  assert.deepEqual(codes(await proxy.say("MAIL FROM:<a@c.test>")), ["503"], "EHLO has to come again");
  await proxy.say("EHLO spike.example", "MAIL FROM:<a@c.test>");
  const [{ client, request } = {}] = mails;
  assert.deepEqual(client?.peer, { address: "2001:db8::9", port: 5000 });
  assert.deepEqual(client?.local, { address: "198.51.100.25", port: 2525 });
  assert.equal(client?.name, "spike.example");
  assert.deepEqual(request?.hello, { verb: "EHLO", name: "spike.example" });
  assert.equal(request?.identity, null);
  assert.deepEqual(
    clients.map(({ peer }) => peer.address),
    [PROXY, "2001:db8::9"],
  );
  assert.ok(
    logged.some(
      ([event, fields]) => event === "session.introduced" && fields.by === PROXY && fields.address === "2001:db8::9",
    ),
  );
});

test("HELO, PROTO and LOGIN are the client's, whatever the proxy says for itself afterwards", async () => {
  const { call, mails } = setUp({ offer: { requireAuth: true } });
  const proxy = call();
  await proxy.say("EHLO proxy.test");
  assert.deepEqual(codes(await proxy.say("MAIL FROM:<a@c.test>")), ["530"]);
  await proxy.say("XCLIENT HELO=old.example PROTO=SMTP LOGIN=ada");
  // The proxy speaks ESMTP with us all the same.
  assert.match(await proxy.say("EHLO proxy.test"), /^250-PIPELINING\r$/m);
  assert.deepEqual(codes(await proxy.say("MAIL FROM:<a@c.test> SIZE=1")), ["250"]);
  assert.deepEqual(mails[0]?.request.hello, { verb: "HELO", name: "old.example" });
  assert.equal(mails[0]?.request.identity, "ada");
});

test("said in several commands, the later ones add to the earlier", async () => {
  const { call, mails } = setUp();
  const proxy = call();
  await proxy.say(
    "XCLIENT NAME=spike.example ADDR=203.0.113.1",
    "XCLIENT ADDR=203.0.113.2",
    "XCLIENT LOGIN=[UNAVAILABLE]",
  );
  await proxy.say("EHLO c.test", "MAIL FROM:<a@c.test>");
  assert.equal(mails[0]?.client.name, "spike.example");
  assert.equal(mails[0]?.client.peer.address, "203.0.113.2");
  assert.equal(mails[0]?.request.identity, null);
});

test("who is unknown to the proxy is not the proxy", async () => {
  const { call, mails } = setUp();
  const proxy = call();
  await proxy.say(
    "XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL] PORT=[UNAVAILABLE]",
    "EHLO c.test",
    "MAIL FROM:<a@c.test>",
  );
  assert.deepEqual(mails[0]?.client.peer, { address: "::", port: 0 });
  assert.equal(mails[0]?.client.name, null);
});

test("pipelined: what stands behind XCLIENT is said by the client, in order, with a slow policy too", async () => {
  for (const slow of [false, true]) {
    const wait = () => new Promise<void>((resolve) => setImmediate(resolve));
    const { call, mails } = setUp(slow ? { hello: () => wait().then(() => ({ kind: "accept" })) } : {});
    const proxy = call();
    const said = await proxy.say(
      "EHLO proxy.test",
      "XCLIENT ADDR=203.0.113.1",
      "EHLO c.test",
      "MAIL FROM:<a@c.test>",
      "NOOP",
    );
    assert.deepEqual(codes(said), ["220", "250", "220", "250", "250", "250"].slice(said.startsWith("220") ? 0 : 1));
    assert.equal(mails[0]?.client.peer.address, "203.0.113.1");
  }
});

test("a half-close behind it: all is answered, then the end", async () => {
  const { call, mails } = setUp();
  const proxy = call();
  proxy.stream.write(encodeUtf8("XCLIENT ADDR=203.0.113.1\r\nEHLO c.test\r\nMAIL FROM:<a@c.test>\r\n"));
  proxy.stream.end();
  const said = await proxy.say();
  assert.deepEqual(
    codes(said),
    ["220", "220", "250", "250"].slice(said.startsWith("220 mx.test ESMTP ready\r\n220") ? 0 : 1),
  );
  assert.equal(mails.length, 1);
  assert.equal(proxy.ended, true);
});

test("the policy judges the client that was named: a refusal is its greeting", async () => {
  const { call } = setUp();
  const proxy = call();
  assert.deepEqual(codes((await proxy.say("XCLIENT ADDR=203.0.113.66")).replace(/^220.*\r\n/, "")), ["554"]);
  assert.equal(proxy.ended, true);
});

test("each client has its own share of places, the proxy none of its own", async () => {
  const { call, server } = setUp({}, { connectionsPerAddress: 2 });
  const open = async (address: string) => {
    const proxy = call();
    await proxy.say();
    return { proxy, code: codes(await proxy.say(`XCLIENT ADDR=${address}`))[0] };
  };
  const first = await open("203.0.113.1");
  assert.deepEqual(
    [first.code, (await open("203.0.113.1")).code, (await open("203.0.113.2")).code],
    ["220", "220", "220"],
  );
  const fourth = await open("203.0.113.1");
  assert.equal(fourth.code, "421");
  assert.equal(fourth.proxy.ended, true);
  fourth.proxy.stream.end();
  first.proxy.stream.destroy();
  await first.proxy.say();
  assert.equal(server.connections, 2);
  assert.equal((await open("203.0.113.1")).code, "220");
});

test("not within a transaction, and malformed not at all: nothing is changed", async () => {
  const { call, clients } = setUp();
  const proxy = call();
  await proxy.say("EHLO proxy.test", "MAIL FROM:<a@c.test>");
  assert.match(await proxy.say("XCLIENT ADDR=203.0.113.1"), /^503 5\.5\.1 /);
  assert.match(await proxy.say("RSET", "XCLIENT ADDR=203.0.113.1 COLOR=blue"), /\r\n501 5\.5\.4 /);
  assert.match(await proxy.say("XCLIENT"), /^501 5\.5\.4 /);
  assert.equal(clients.length, 1);
});

test("behind it there is no STARTTLS, and what was named does not name others", async () => {
  const { call } = setUp({ offer: { requireTls: false } });
  const proxy = call();
  await proxy.say("XCLIENT ADDR=203.0.113.1");
  assert.doesNotMatch(await proxy.say("EHLO c.test"), /STARTTLS/);
  assert.match(await proxy.say("STARTTLS"), /^502 /);
});

test("not before a TLS that is demanded", async () => {
  const { call, clients } = setUp({ offer: { requireTls: true } });
  const proxy = call();
  await proxy.say("EHLO proxy.test");
  assert.match(await proxy.say("XCLIENT ADDR=203.0.113.1"), /^530 5\.7\.0 /);
  assert.equal(clients.length, 1);
});

test("a server that stops ends the session of a client that was named", async () => {
  const { call, server } = setUp();
  const proxy = call();
  await proxy.say("XCLIENT ADDR=203.0.113.1", "EHLO c.test");
  const stopped = server.stop({ grace: 0 });
  assert.match(await proxy.say(), /^421 4\.3\.2 /);
  proxy.stream.end();
  await proxy.say();
  await stopped;
});
