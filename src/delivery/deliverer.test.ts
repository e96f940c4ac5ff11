import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { encodeUtf8, seededRandom } from "../base/index.ts";
import { createPool } from "../client/index.ts";
import { systemClock } from "../net/index.ts";
import type { Body, Outcome } from "../queue/index.ts";
import { type FakeResolver, fakeResolver, makeCertificate, scriptedPeer } from "../testing/index.ts";
import { createDeliverer, type DelivererOptions } from "./deliverer.ts";
import { fixtureMessage } from "./fixtures.test.ts";

const octets = encodeUtf8("Subject: x\r\n\r\n.dot\r\n");
const body: Body = { size: octets.length, chunks: () => [octets] };

/** Answers each command line by what the function says; null closes. A message is taken as one "line": its text. */
async function peer(t: TestContext, address: string, port: number, answer: (line: string) => string | null) {
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    let pending = "";
    let inData = false;
    let handshaking = false;
    const say = (line: string): void => {
      const said = answer(line);
      if (said === null) socket.destroy();
      else socket.write(`${said}\r\n`);
      inData = said?.startsWith("354") === true;
      // What comes after a yes to STARTTLS is a ClientHello; this peer speaks no TLS.
      if (line === "STARTTLS" && said?.startsWith("220")) handshaking = true;
    };
    say("connect");
    socket.on("data", (chunk) => {
      if (handshaking) {
        socket.end("no TLS at all\r\n");
        return;
      }
      pending += chunk.toString("latin1");
      for (;;) {
        const mark = inData ? "\r\n.\r\n" : "\r\n";
        const end = pending.indexOf(mark);
        if (end === -1 || socket.destroyed) return;
        const line = pending.slice(0, end);
        pending = pending.slice(end + mark.length);
        lines.push(line);
        say(inData ? `message ${line}` : line);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { port: bound.port, lines, connections: () => connections };
}

/** A server that takes everything, save what `special` says otherwise. */
function taking(special: (line: string) => string | null | undefined = () => undefined) {
  return (line: string): string | null => {
    const said = special(line);
    if (said !== undefined) return said;
    if (line === "connect") return "220 mx.test";
    if (line.startsWith("EHLO")) return "250-mx.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES";
    return line === "DATA" ? "354 go" : "250 2.0.0 ok";
  };
}

function deliverer(t: TestContext, port: number, resolver: FakeResolver, options: Partial<DelivererOptions> = {}) {
  const pool = createPool();
  t.after(() => pool.close());
  return createDeliverer({
    hostname: "me.test",
    domains: [],
    routes: [],
    port,
    resolver,
    pool,
    clock: systemClock,
    random: seededRandom(1),
    connectTimeout: 2000,
    ...options,
  });
}

async function deliver(
  by: ReturnType<typeof deliverer>,
  recipients: readonly string[],
  parameters = {},
  { signal = new AbortController().signal, body: sent = body }: { signal?: AbortSignal; body?: Body } = {},
): Promise<readonly Outcome[]> {
  const message = fixtureMessage(recipients, parameters);
  const destination = message.recipients[0] ? by.destination(message.recipients[0].mailbox) : "";
  const job = { message, recipients: message.recipients, destination, body: sent };
  return await by.deliver(job, signal);
}

const brief = (outcome: Outcome | undefined): string => {
  if (outcome === undefined) return "none";
  return outcome.kind === "delivered" ? "delivered" : `${outcome.kind} ${outcome.scope} ${outcome.problem.status}`;
};

const twoHosts = () =>
  fakeResolver({
    "d.test": {
      mx: [
        { preference: 1, exchange: "a.test" },
        { preference: 2, exchange: "b.test" },
      ],
    },
    "a.test": { a: ["127.0.0.2"] },
    "b.test": { a: ["127.0.0.3"] },
  });

test("recipients of one message share a transaction, and each has a fate of its own", async (t) => {
  const mx = await peer(
    t,
    "127.0.0.2",
    0,
    taking((line) => (line.includes("<b@") ? "550 5.1.1 no" : undefined)),
  );
  const outcomes = await deliver(deliverer(t, mx.port, twoHosts()), ["a@d.test", "b@d.test", "c@d.test"]);
  assert.deepEqual(outcomes.map(brief), ["delivered", "failed recipient 5.1.1", "delivered"]);
  const [first] = outcomes;
  assert.ok(first?.kind === "delivered");
  assert.deepEqual([first.hop.host, first.hop.address, first.hop.tls], ["a.test", "127.0.0.2", null]);
  assert.equal(mx.lines.filter((line) => line === "DATA").length, 1);
  assert.ok(mx.lines.includes("Subject: x\r\n\r\n..dot"));
});

test("a stored body that breaks in the second transaction takes nothing from those served by the first", async (t) => {
  const mx = await peer(t, "127.0.0.2", 0, taking());
  let reads = 0;
  const breaking: Body = {
    size: octets.length,
    chunks() {
      if (++reads > 1) throw new Error("the disk is gone");
      return [octets];
    },
  };
  const names = Array.from({ length: 101 }, (_, n) => `a${n}@d.test`);
  const outcomes = await deliver(deliverer(t, mx.port, twoHosts()), names, {}, { body: breaking });
  assert.deepEqual(new Set(outcomes.slice(0, 100).map(brief)), new Set(["delivered"]));
  assert.deepEqual(outcomes.slice(100).map(brief), ["deferred message 4.3.0"]);
});

test("a refusal is no last word while a host is left that was not asked: out of time, or stopped", async (t) => {
  const stop = new AbortController();
  const refusing = taking((line) => (line === "connect" ? "554 no" : undefined));
  const mx = await peer(t, "127.0.0.2", 0, refusing);
  const late = await deliver(deliverer(t, mx.port, twoHosts(), { budget: 0 }), ["a@d.test"]);
  assert.deepEqual(late.map(brief), ["deferred connection 4.4.1"]);
  const stopping = await peer(t, "127.0.0.4", 0, (line) => {
    if (line === "connect") setImmediate(() => stop.abort());
    return refusing(line);
  });
  const resolver = fakeResolver({
    "d.test": {
      mx: [
        { preference: 1, exchange: "c.test" },
        { preference: 2, exchange: "b.test" },
      ],
    },
    "c.test": { a: ["127.0.0.4"] },
    "b.test": { a: ["127.0.0.3"] },
  });
  const by = deliverer(t, stopping.port, resolver);
  const [stopped] = await deliver(by, ["a@d.test"], {}, { signal: stop.signal });
  assert.equal(stopped?.kind, "deferred");
});

test("a host that is closed, refuses or breaks is followed by the next", async (t) => {
  const ways: ((line: string) => string | null | undefined)[] = [
    (line) => (line === "connect" ? "554 no" : undefined),
    (line) => (line === "connect" ? null : undefined),
    (line) => (line.startsWith("MAIL") ? "421 4.3.2 busy" : undefined),
    (line) => (line === "DATA" ? null : undefined),
  ];
  for (const way of ways) {
    const first = await peer(t, "127.0.0.2", 0, taking(way));
    const second = await peer(t, "127.0.0.3", first.port, taking());
    const outcomes = await deliver(deliverer(t, first.port, twoHosts()), ["a@d.test"]);
    assert.deepEqual(outcomes.map(brief), ["delivered"]);
    assert.equal(second.connections(), 1);
  }
});

test("a connection lost after the end of data is not repeated at the next host", async (t) => {
  const first = await peer(
    t,
    "127.0.0.2",
    0,
    taking((line) => (line.startsWith("message") ? null : undefined)),
  );
  const second = await peer(t, "127.0.0.3", first.port, taking());
  const outcomes = await deliver(deliverer(t, first.port, twoHosts()), ["a@d.test"]);
  assert.deepEqual(outcomes.map(brief), ["deferred connection 4.4.2"]);
  assert.equal(second.connections(), 0);
});

test("a connection is used again, and its death while idle costs nothing", async (t) => {
  let transactions = 0;
  const dying = taking((line) => (line.startsWith("MAIL") && ++transactions === 3 ? null : undefined));
  const mx = await peer(t, "127.0.0.2", 0, dying);
  const by = deliverer(t, mx.port, twoHosts());
  for (let i = 0; i < 3; i++) assert.deepEqual((await deliver(by, ["a@d.test"])).map(brief), ["delivered"]);
  assert.equal(mx.connections(), 2);
});

test("recipients beyond what a server takes at once follow in the next transaction", async (t) => {
  let taken = 0;
  const small = taking((line) => {
    if (line.startsWith("MAIL")) taken = 0;
    return line.startsWith("RCPT") && ++taken > 40 ? "452 4.5.3 too many" : undefined;
  });
  const mx = await peer(t, "127.0.0.2", 0, small);
  const recipients = Array.from({ length: 130 }, (_, i) => `r${i}@d.test`);
  const outcomes = await deliver(deliverer(t, mx.port, twoHosts()), recipients);
  assert.deepEqual(new Set(outcomes.map(brief)), new Set(["delivered"]));
  assert.equal(mx.connections(), 1);
});

/** Takes `room` recipients in a transaction; says `goodbye` (null: hangs up) to all MAIL of a connection but the first. */
function leaving(room: number, goodbye: string | null, isOpen: (connection: number) => boolean = () => true) {
  let connections = 0;
  let mails = 0;
  return taking((line) => {
    if (line === "connect") {
      mails = 0;
      return isOpen(++connections) ? undefined : "421 4.3.2 closed";
    }
    if (line.startsWith("EHLO")) return `250-mx.test\r\n250-LIMITS RCPTMAX=${room}\r\n250 PIPELINING`;
    return line.startsWith("MAIL") && ++mails > 1 ? goodbye : undefined;
  });
}

const zoneOfOne = { "d.test": { mx: [{ preference: 10, exchange: "a.test" }] }, "a.test": { a: ["127.0.0.1"] } };

const mailboxes = (count: number): string[] => Array.from({ length: count }, (_, n) => `r${n}@d.test`);

test("a host that ends the session between transactions gets the rest over new ones", async (t) => {
  for (const goodbye of ["421 4.3.2 enough for one session", null]) {
    const there = await peer(t, "127.0.0.1", 0, leaving(2, goodbye));
    const by = deliverer(t, there.port, fakeResolver(zoneOfOne));
    const outcomes = await deliver(by, mailboxes(5));
    assert.deepEqual(outcomes.map(brief), Array(5).fill("delivered"));
    assert.equal(there.connections(), 3);
    const asked = there.lines.filter((line) => line.startsWith("RCPT"));
    assert.equal(new Set(asked).size, 5);
  }
});

test("where the next session does not come about the rest waits, and the host is not asked again", async (t) => {
  const there = await peer(
    t,
    "127.0.0.1",
    0,
    leaving(2, "421 4.3.2 enough", (connection) => connection === 1),
  );
  const by = deliverer(t, there.port, fakeResolver(zoneOfOne));
  const outcomes = await deliver(by, mailboxes(5));
  assert.deepEqual(outcomes.map(brief), [...Array(2).fill("delivered"), ...Array(3).fill("deferred host 4.3.2")]);
  assert.equal(there.connections(), 2);
});

test("a host that ends each session after one transaction is connected to so often and no more", async (t) => {
  const there = await peer(t, "127.0.0.1", 0, leaving(1, "421 4.3.2 enough"));
  const by = deliverer(t, there.port, fakeResolver(zoneOfOne));
  const outcomes = await deliver(by, mailboxes(14));
  assert.deepEqual(outcomes.map(brief), [
    ...Array(11).fill("delivered"),
    ...Array(3).fill("deferred connection 4.4.2"),
  ]);
  assert.equal(there.connections(), 11);
});

test("STARTTLS is taken where offered, and what it showed is kept", async (t) => {
  const tls = makeCertificate({ names: ["relay.test"] });
  const script = [
    "S: 220 relay.test",
    "C: EHLO me.test",
    "S: 250-relay.test",
    "S: 250 STARTTLS",
    "C: STARTTLS",
    "S: 220 go",
    "TLS",
    "C: EHLO me.test",
    "S: 250 relay.test",
    "C: MAIL *",
    "S: 250 ok",
    "C: RCPT *",
    "S: 250 ok",
    "C: DATA",
    "S: 354 go",
    "C: ...",
    "C: .",
    "S: 250 2.0.0 taken",
    "C: QUIT",
    "S: 221 bye",
  ];
  const relay = await scriptedPeer(script, { tls });
  t.after(() => relay.close());
  const resolver = fakeResolver({ "relay.test": { a: ["127.0.0.1"] } });
  const via = { kind: "smtp", host: "relay.test", port: relay.port } as const;
  const opportunistic = deliverer(t, 25, resolver, { routes: [{ match: "*", via }] });
  const [taken] = await deliver(opportunistic, ["a@d.test"]);
  assert.ok(taken?.kind === "delivered");
  assert.match(taken.hop.tls ?? "", /^TLSv1\.3 TLS_/);
  const trusting = deliverer(t, 25, resolver, {
    routes: [{ match: "*", via, tls: "verified" }],
    ca: [tls.certificate],
  });
  assert.deepEqual((await deliver(trusting, ["a@d.test"])).map(brief), ["delivered"]);
  const strict = deliverer(t, 25, resolver, { routes: [{ match: "*", via, tls: "verified" }] });
  assert.deepEqual((await deliver(strict, ["a@d.test"])).map(brief), ["deferred host 4.7.5"]);
});

test("nothing is sent in clear where TLS is demanded", async (t) => {
  for (const [tls, expected] of [
    ["encrypted", "deferred host 4.7.4"],
    ["verified", "deferred host 4.7.4"],
    ["dane", "deferred message 4.7.5"],
  ] as const) {
    const mx = await peer(t, "127.0.0.2", 0, taking());
    const by = deliverer(t, mx.port, twoHosts(), { routes: [{ match: "*", via: { kind: "mx" }, tls }] });
    assert.deepEqual((await deliver(by, ["a@d.test"])).map(brief), [expected]);
    assert.ok(mx.lines.every((line) => line.startsWith("EHLO") || line === "QUIT"));
  }
});

test("REQUIRETLS fails where the way cannot be proven, and no word is sent", async (t) => {
  const mx = await peer(t, "127.0.0.2", 0, taking());
  const outcomes = await deliver(deliverer(t, mx.port, twoHosts()), ["a@d.test"], { requireTls: true });
  assert.deepEqual(outcomes.map(brief), ["failed message 5.7.30"]);
  assert.equal(mx.connections(), 0);
});

test("after a failed handshake the mail waits, unless the setting lets it go on in clear", async (t) => {
  const offering = taking((line) => {
    if (line.startsWith("EHLO")) return "250-mx.test\r\n250 STARTTLS";
    return line === "STARTTLS" ? "220 go" : undefined;
  });
  const mx = await peer(t, "127.0.0.2", 0, offering);
  const waiting = await deliver(deliverer(t, mx.port, twoHosts()), ["a@d.test"]);
  assert.equal(waiting[0]?.kind, "deferred");
  assert.ok(!mx.lines.some((line) => line.startsWith("MAIL")));
  const lenient = deliverer(t, mx.port, twoHosts(), { clearTextAfterTlsFailure: true });
  const [sent] = await deliver(lenient, ["a@d.test"]);
  assert.ok(sent?.kind === "delivered");
  assert.equal(sent.hop.tls, null);
  assert.match(sent.hop.rule, /^clear text after a failed handshake/);
  const routes = [{ match: "*", via: { kind: "mx" }, tls: "encrypted" }] as const;
  const strict = deliverer(t, mx.port, twoHosts(), { clearTextAfterTlsFailure: true, routes });
  assert.equal((await deliver(strict, ["a@d.test"]))[0]?.kind, "deferred");
});

test("local mail is stored, thrown away or handed on by LMTP; one job may hold all", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "postern-delivery-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const lmtp = await peer(t, "127.0.0.1", 0, (line) => {
    if (line.startsWith("LHLO")) return "250 lmtp.test";
    return taking()(line);
  });
  const by = deliverer(t, 25, fakeResolver(), {
    domains: [
      { name: "box.test", deliver: { kind: "maildir", path: join(folder, "{domain}", "{user}") } },
      { name: "gone.test", deliver: { kind: "discard" } },
      { name: "lmtp.test", deliver: { kind: "lmtp", host: "127.0.0.1", port: lmtp.port } },
    ],
  });
  const recipients = ["a@lmtp.test", "Ann+x@box.test", "b@gone.test", "nobody@missing.test"];
  const outcomes = await deliver(by, recipients);
  assert.deepEqual(outcomes.map(brief), ["delivered", "delivered", "delivered", "failed recipient 5.1.2"]);
  assert.equal((await readdir(join(folder, "box.test", "ann", "new"))).length, 1);
  const keys = fixtureMessage(recipients).recipients.map(({ mailbox }) => by.destination(mailbox));
  assert.equal(new Set(keys).size, 4);
});

test("when we are stopping nothing is begun", async (t) => {
  const mx = await peer(t, "127.0.0.2", 0, taking());
  const message = fixtureMessage(["a@d.test"]);
  const job = { message, recipients: message.recipients, destination: "d.test", body };
  const outcomes = await deliverer(t, mx.port, twoHosts()).deliver(job, AbortSignal.abort());
  assert.deepEqual(outcomes.map(brief), ["deferred connection 4.3.2"]);
  assert.equal(mx.connections(), 0);
});

test("renewed rules count from the next delivery on, over a connection of their own", async (t) => {
  const one = await peer(t, "127.0.0.1", 0, taking());
  const other = await peer(t, "127.0.0.1", 0, taking());
  const zone = { "mx.test": { a: ["127.0.0.1"] }, "x.test": { mx: [{ preference: 10, exchange: "mx.test" }] } };
  const by = deliverer(t, one.port, fakeResolver(zone), { chunking: "never" });
  const send = async () => brief((await deliver(by, ["ann@x.test"]))[0]);
  assert.equal(await send(), "delivered");
  by.renew({});
  assert.equal(await send(), "delivered");
  assert.equal(one.connections(), 2, "no connection outlives the rules it was made by");
  by.renew({ port: other.port });
  assert.equal(await send(), "delivered");
  assert.deepEqual([one.connections(), other.connections()], [2, 1]);
  by.renew({ domains: [{ name: "x.test", deliver: { kind: "discard" }, recipients: ["ann"] }] });
  assert.equal(await send(), "delivered");
  assert.deepEqual(await deliver(by, ["eve@x.test"]).then(([outcome]) => brief(outcome)), "failed recipient 5.1.1");
  assert.equal(other.connections(), 1);
});
