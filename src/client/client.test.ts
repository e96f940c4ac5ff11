import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeUtf8, unwrap } from "../base/index.ts";
import { connect } from "../net/index.ts";
import { encodeBase64, parseDomain } from "../smtp/index.ts";
import { makeAuthority, makeCertificate, type ScriptedPeer, type ScriptStep, scriptedPeer } from "../testing/index.ts";
import { type ClientOptions, createClient, type Mail, openSession } from "./index.ts";

const authority = makeAuthority();
const named = makeCertificate({ names: ["mx.test"], ip: ["127.0.0.1"], issuer: authority });
const stranger = makeCertificate({ names: ["other.test"], issuer: authority });
const ca = [authority.certificate];

const localDomain = parseDomain("x.test");
const mail: Mail = { from: "me@client.test", to: "a@x.test", message: "Subject: hi\n\nHi\n" };

const GREETING: readonly ScriptStep[] = ["S: 220 mx.test", "C: EHLO [127.0.0.1]"];
const OFFER: readonly ScriptStep[] = [
  ...GREETING,
  "S: 250-mx.test",
  "S: 250 STARTTLS",
  "C: STARTTLS",
  "S: 220 go",
  "TLS",
];
const ONE_MESSAGE: readonly ScriptStep[] = [
  "C: MAIL FROM:<me@client.test>*",
  "C: RCPT TO:<a@x.test>",
  "C: DATA",
  "S: 250 ok",
  "S: 250 ok",
  "S: 354 go",
  "C: Subject: hi",
  "C: ",
  "C: Hi",
  "C: .",
  "S: 250 2.0.0 queued",
];
const QUIT: readonly ScriptStep[] = ["C: QUIT", "S: 221 bye"];

async function withPeer(
  script: readonly ScriptStep[],
  setting: Parameters<typeof scriptedPeer>[1],
  run: (peer: ScriptedPeer) => Promise<void>,
): Promise<void> {
  const peer = await scriptedPeer(script, setting);
  try {
    await run(peer);
  } finally {
    await peer.close();
  }
}

function clientOf(peer: ScriptedPeer, options: Partial<ClientOptions> = {}): ReturnType<typeof createClient> {
  return createClient({ host: peer.address, port: peer.port, ca, ...options });
}

test("STARTTLS, EHLO again, AUTH, and two messages over one connection", async () => {
  const script: readonly ScriptStep[] = [
    ...OFFER,
    "C: EHLO *",
    "S: 250-mx.test",
    "S: 250-PIPELINING",
    "S: 250 AUTH PLAIN",
    `C: AUTH PLAIN ${encodeBase64(encodeUtf8("\0ann\0pencil"))}`,
    "S: 235 2.7.0 welcome",
    ...ONE_MESSAGE,
    ...ONE_MESSAGE,
    ...QUIT,
  ];
  await withPeer(script, { tls: named }, async (peer) => {
    const client = clientOf(peer, { auth: { user: "ann", password: "pencil" } });
    for (let count = 0; count < 2; count++) {
      const sent = unwrap(await client.send(mail));
      assert.equal(sent.accepted, true);
      assert.deepEqual(
        sent.recipients.map(({ address, result }) => [address, result.kind]),
        [["a@x.test", "accepted"]],
      );
      assert.equal(sent.tls?.peerCertificate?.authorized, true);
    }
    await client.close();
    assert.equal((await peer.played).problem, null);
  });
});

test("implicit TLS, and the client closes itself", async () => {
  const script = [...GREETING, "S: 250 PIPELINING", ...QUIT];
  await withPeer(script, { tls: named, implicitTls: true }, async (peer) => {
    {
      await using client = clientOf(peer, { tls: "implicit" });
      const facts = unwrap(await client.verify());
      assert.match(facts.tls?.version ?? "", /^TLSv1\.[23]$/);
    }
    assert.equal((await peer.played).problem, null);
  });
});

test("a certificate for another name: no password, no mail", async () => {
  await withPeer([...OFFER, "HANG"], { tls: stranger }, async (peer) => {
    const client = clientOf(peer, { auth: { user: "ann", password: "pencil" } });
    const sent = await client.send(mail);
    assert.equal(!sent.ok && sent.error.kind === "network" && sent.error.problem.kind, "certificate");
    await client.close();
    const { received } = await peer.played;
    assert.deepEqual(received, ["EHLO [127.0.0.1]", "STARTTLS"]);
  });
});

test("STARTTLS stripped from the offer: nothing but QUIT follows", async () => {
  await withPeer([...GREETING, "S: 250-mx.test", "S: 250 AUTH PLAIN", "C: QUIT"], {}, async (peer) => {
    const client = clientOf(peer, { auth: { user: "ann", password: "pencil" } });
    const sent = await client.send(mail);
    assert.equal(!sent.ok && sent.error.kind, "tlsNotOffered");
    assert.equal((await peer.played).problem, null);
  });
});

test("the clear-text offer is forgotten after STARTTLS", async () => {
  const script = [
    ...GREETING,
    "S: 250-mx.test",
    "S: 250-STARTTLS",
    "S: 250-PIPELINING",
    "S: 250 SIZE 1",
    "C: STARTTLS",
    "S: 220 go",
    "TLS",
    "C: EHLO *",
    "S: 250 mx.test",
    "C: MAIL FROM:<me@client.test>",
    "S: 250 ok",
    "C: RCPT TO:<a@x.test>",
    "S: 250 ok",
    "C: DATA",
    "S: 354 go",
    "C: ...",
    "C: .",
    "S: 250 queued",
  ];
  await withPeer(script, { tls: named }, async (peer) => {
    const client = clientOf(peer);
    assert.equal(unwrap(await client.send(mail)).accepted, true);
    await peer.played;
    await client.close();
  });
});

test("a reply injected behind the 220 of STARTTLS is never read over TLS", async () => {
  const start = [...GREETING, "S: 250-mx.test", "S: 250 STARTTLS", "C: STARTTLS"];
  for (const injected of ["220 go\r\n250 mx.test\r\n", "220 go\r\n2"]) {
    await withPeer([...start, { send: injected }, "HANG"], { tls: named }, async (peer) => {
      const sent = await clientOf(peer, { tls: "opportunistic" }).send(mail);
      assert.equal(sent.ok, false);
      const { received } = await peer.played;
      assert.equal(received[1], "STARTTLS");
      assert.equal(received.includes("EHLO [127.0.0.1]", 1), false);
    });
  }
});

test("a handshake that is waited for is given up at once, and says nothing of the server", async () => {
  const mute = [...GREETING, "S: 250-mx.test", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "HANG"] as const;
  await withPeer(mute, {}, async (peer) => {
    const abort = new AbortController();
    const sent = clientOf(peer).send({ ...mail, signal: abort.signal });
    await sleep(200);
    abort.abort();
    const begun = performance.now();
    const given = await sent;
    assert.ok(performance.now() - begun < 2000, "it does not wait for the time of the handshake");
    assert.ok(!given.ok && given.error.kind === "network" && given.error.stage === "handshake");
    assert.equal(given.error.problem.kind, "aborted");
    assert.notEqual(given.error.problem.silent, true, "nobody is to be asked again with another ClientHello");
  });
});

test("an idle connection that the server closed costs nothing: a fresh one is made at once", async () => {
  const talk = [...GREETING, "S: 250-mx.test", "S: 250 PIPELINING", ...ONE_MESSAGE];
  await withPeer(talk, {}, async (peer) => {
    const client = clientOf(peer, { tls: "none" });
    for (let count = 0; count < 3; count++) {
      assert.equal(unwrap(await client.send(mail)).accepted, true);
      if (count > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await client.close();
    while (peer.connections.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    // The second try may have met the first connection's end: but each message was taken exactly once.
    const taken = peer.connections.map(({ received }) => received.filter((line) => line === ".").length);
    assert.deepEqual(taken, [1, 1, 1]);
  });
});

test("421 to the first command on an idle connection: tried again on a fresh one", async () => {
  let stale = 0;
  const talk: ScriptStep[] = [...GREETING, "S: 250 mx.test", ...step(), "C: MAIL *", "S: 421 too late"];
  function step(): ScriptStep[] {
    return ["C: MAIL *", "S: 250 ok", "C: RCPT *", "S: 250 ok", "C: DATA", "S: 354 go", "C: ...", "C: .", "S: 250 ok"];
  }
  await withPeer(talk, {}, async (peer) => {
    const client = clientOf(peer, { tls: "none" });
    for (let count = 0; count < 2; count++) {
      assert.equal(unwrap(await client.send(mail)).accepted, true);
      stale = peer.connections.length;
    }
    await client.close();
    assert.equal(stale, 1);
  });
});

test("no more connections at once than allowed", async () => {
  const talk = [
    ...GREETING,
    "S: 250-mx.test",
    "S: 250 PIPELINING",
    ...ONE_MESSAGE,
    ...ONE_MESSAGE,
    ...ONE_MESSAGE,
    ...QUIT,
  ];
  await withPeer(talk, {}, async (peer) => {
    const client = clientOf(peer, { tls: "none", maxConnections: 1 });
    const reports = await Promise.all([client.send(mail), client.send(mail), client.send(mail)]);
    assert.deepEqual(
      reports.map((report) => report.ok && report.value.accepted),
      [true, true, true],
    );
    await client.close();
    assert.equal((await peer.played).problem, null);
    assert.equal(peer.connections.length, 1);
  });
});

test("what the message is, MAIL says: 8BITMIME for the body, SMTPUTF8 for the header section", async () => {
  const offer = [...GREETING, "S: 250-mx.test", "S: 250-8BITMIME", "S: 250-SIZE", "S: 250 SMTPUTF8"];
  const cases: readonly (readonly [Mail["message"], string])[] = [
    ["Subject: hi\r\n\r\nHi\r\n", "SIZE=19"],
    ["Subject: hi\n\nGrüße\n", "SIZE=21 BODY=8BITMIME"],
    ["Subject: Grüße\r\n\r\nHi\r\n", "SIZE=24 BODY=8BITMIME SMTPUTF8"],
    [[encodeUtf8("Subject: hi\r\n"), encodeUtf8("\r\nHi\r\n")], ""],
  ];
  for (const [message, spoken] of cases) {
    const line = `MAIL FROM:<me@client.test>${spoken === "" ? "" : ` ${spoken}`}`;
    await withPeer([...offer, `C: ${line}`, "S: 550 enough", ...QUIT], {}, async (peer) => {
      const client = clientOf(peer, { tls: "none" });
      const sent = unwrap(await client.send({ ...mail, message }));
      assert.equal(sent.accepted, false);
      await client.close();
      assert.equal((await peer.played).problem, null);
    });
  }
});

test("what is wrong beforehand is told without a connection", async () => {
  const client = createClient({ host: "127.0.0.1", port: 1, tls: "none" });
  const from = await client.send({ ...mail, from: "nobody at all" });
  assert.equal(!from.ok && from.error.kind, "badAddress");
  const to = await client.send({ ...mail, to: ["a@x.test", "b@x.test>\r\nDATA"] });
  assert.equal(!to.ok && to.error.kind === "badAddress" && to.error.address.startsWith("b@"), true);
  const none = await client.send({ ...mail, to: [] });
  assert.equal(!none.ok && none.error.kind, "noRecipients");
  const nobody = await client.send(mail);
  assert.equal(!nobody.ok && nobody.error.kind === "network" && nobody.error.stage, "connect");
});

test("a peer that resets the connection at any stage harms nobody", async () => {
  const talk = [
    ...GREETING,
    "S: 250 mx.test",
    "C: MAIL *",
    "S: 250 ok",
    "C: RCPT *",
    "S: 250 ok",
    "C: DATA",
    "S: 354 go",
  ];
  for (let length = 0; length <= talk.length; length++) {
    await withPeer([...talk.slice(0, length), "RESET"], {}, async (peer) => {
      const stream = unwrap(await connect({ addresses: [peer.address], port: peer.port, timeout: 1000 }));
      const session = await openSession({ stream, hello: "[127.0.0.1]", tls: { kind: "none" } });
      if (!session.ok) {
        assert.ok(["network", "closed"].includes(session.error.kind));
        return;
      }
      const results = await session.value.send({
        reversePath: null,
        parameters: {},
        recipients: [{ mailbox: { localPart: "a", domain: unwrap(localDomain) }, parameters: {} }],
        body: { size: 4, chunks: () => [encodeUtf8("Hi\r\n")] },
      });
      assert.equal(results.length, 1);
      assert.equal(results[0]?.kind, "broken");
      assert.equal(session.value.usable, false);
    });
  }
});
