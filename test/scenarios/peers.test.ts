import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { makeAuthority, makeCertificate } from "../../src/testing/index.ts";
import { freePorts, logged, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

type Pair = ReturnType<typeof makeCertificate>;

/** SHA-256 of the SubjectPublicKeyInfo, base64, by Node alone. */
function keyHash({ certificate }: Pair): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

const authority = makeAuthority({ name: "partner authority" });
const pinned = makeCertificate({ names: ["mx.pinned.example"] });
const fleet = makeCertificate({ names: ["mx.fleet.example"], issuer: authority });
const strangers: Readonly<Record<string, Pair | undefined>> = {
  "no certificate": undefined,
  "another key": makeCertificate({ names: ["mx.pinned.example"] }),
  "another name": makeCertificate({ names: ["mx.stranger.example"], issuer: authority }),
  "another authority": makeCertificate({ names: ["mx.fleet.example"], issuer: makeAuthority() }),
  "an expired one": makeCertificate({
    names: ["mx.fleet.example"],
    issuer: authority,
    notBefore: new Date(Date.now() - 1e9),
    days: 1,
  }),
};

let node: Node;
let ports: { readonly asking: number; readonly demanding: number; readonly implicit: number; readonly users: number };

before(async () => {
  const [asking = 0, demanding = 0, implicit = 0, users = 0] = await freePorts(4);
  ports = { asking, demanding, implicit, users };
  const listener = (port: number, service: string, rest: string): string =>
    `[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "${service}"\n${rest}\n`;
  node = await startNode({
    domains: ["here.test"],
    users: { "ada@here.test": "password of ada" },
    files: { "partner.pem": authority.certificate },
    config: [
      listener(asking, "mx", 'client_certificates = "request"\nxclient = ["127.0.0.9/32"]'),
      listener(demanding, "mx", 'client_certificates = "require"\nxclient = ["127.0.0.9/32"]'),
      listener(implicit, "mx", 'tls = "implicit"\nclient_certificates = "require"'),
      listener(users, "submission", 'client_certificates = "request"'),
      `[[peer]]\nname = "pinned"\nspki = ["sha256//${keyHash(pinned)}"]\nrelay = true`,
      'senders = ["@pinned.example", "ann@home.example"]',
      'limits = { message_size = "1 MiB", recipients = 2, transactions = 3, connections = 1 }',
      '[[peer]]\nname = "fleet"\nca = "partner.pem"\nnames = ["mx.fleet.example"]\nrelay = true',
      '[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\n',
    ].join("\n"),
  });
});
after(() => node?.[Symbol.asyncDispose]());

/** A session inside STARTTLS, after EHLO; `hello` is the reply to that. */
async function session(port: number, shown: Pair | undefined, from?: string): Promise<{ talk: Talk; hello: string }> {
  const talk = await Talk.open(port, from);
  await talk.say("EHLO client.test");
  await talk.secure(undefined, shown);
  return { talk, hello: (await talk.say("EHLO client.test")) ?? "" };
}

async function relays(port: number, shown: Pair | undefined, from = "x@pinned.example"): Promise<string> {
  const { talk } = await session(port, shown);
  await talk.say(`MAIL FROM:<${from}>`);
  const reply = (await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "";
  // The next one of this peer may be counted before this one is gone.
  await talk.say("QUIT");
  talk.close();
  return reply;
}

/** What the log has once it has it. */
async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 100; tries++) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(25);
  }
  return assert.fail("it never came");
}

/** The hash of a certificate's key as the log has it. */
function keyOf(pair: Pair): string {
  return Buffer.from(keyHash(pair), "base64").toString("hex");
}

describe("where certificates are asked for", () => {
  test("known peers relay, by key or by authority and name; nobody else does", async () => {
    assert.match(await relays(ports.asking, pinned), /^250 /);
    assert.match(await relays(ports.asking, fleet), /^250 /);
    for (const [who, shown] of Object.entries(strangers)) {
      assert.match(await relays(ports.asking, shown), /^550 5\.7\.1 /, who);
    }
  });

  test("a known certificate is nothing to a listener that did not ask", async () => {
    assert.match(await relays(node.ports.mx, pinned), /^550 5\.7\.1 /);
  });

  test("strangers write to our domains as ever, in TLS and in clear text", async () => {
    const { talk } = await session(ports.asking, strangers["another key"]);
    await talk.say("MAIL FROM:<a@client.test>");
    assert.match((await talk.say("RCPT TO:<bob@here.test>")) ?? "", /^250 /);
    talk.close();
    const clear = await Talk.open(ports.asking);
    await clear.say("EHLO client.test");
    await clear.say("MAIL FROM:<a@client.test>");
    assert.match((await clear.say("RCPT TO:<bob@here.test>")) ?? "", /^250 /);
    clear.close();
  });

  test("the log tells who came, and enough of a stranger to write a rule for it", async () => {
    (await session(ports.asking, fleet)).talk.close();
    const known = await logged(node, "session.secured", { key: keyOf(fleet) });
    assert.deepEqual([known.certificate, known.names], ["fleet", ["mx.fleet.example"]]);
    assert.equal(known.certificateProblem, undefined);
    const stranger = strangers["another key"];
    assert.ok(stranger !== undefined);
    (await session(ports.asking, stranger)).talk.close();
    const unknown = await logged(node, "session.secured", { key: keyOf(stranger) });
    assert.equal(unknown.certificate, null);
    assert.equal(unknown.subject, "CN=mx.pinned.example");
    assert.equal(typeof unknown.certificateProblem, "string");
  });

  test("a peer sends from its own addresses, reports included, and from no others", async () => {
    const open = async () => (await session(ports.asking, pinned)).talk;
    const talk = await open();
    for (const own of ["x@pinned.example", "X+y@PINNED.example", "ann@home.example"]) {
      assert.match((await talk.say(`MAIL FROM:<${own}>`)) ?? "", /^250 /, own);
      await talk.say("RSET");
    }
    await talk.say("QUIT");
    talk.close();
    const again = await open();
    assert.match((await again.say("MAIL FROM:<>")) ?? "", /^250 /);
    await again.say("RSET");
    assert.match((await again.say("MAIL FROM:<bob@home.example>")) ?? "", /^550 5\.7\.1 /);
    assert.match((await again.say("MAIL FROM:<x@sub.pinned.example>")) ?? "", /^550 5\.7\.1 /);
    await again.say("QUIT");
    const refused = await logged(node, "intake.sender.refused", { from: "x@sub.pinned.example" });
    assert.equal(refused.identity, "certificate:pinned");
  });

  test("its limits are announced to it alone, and kept", async () => {
    const { talk, hello } = await session(ports.asking, pinned);
    assert.match(hello, /^250-SIZE 1048576$/m);
    assert.match(hello, /^250-LIMITS MAILMAX=3 RCPTMAX=2$/m);
    const second = await session(ports.asking, pinned);
    assert.match(second.hello, /^421 4\.7\.0 /);
    second.talk.close();
    assert.match((await session(ports.asking, fleet)).hello, /^250-LIMITS MAILMAX=10000 RCPTMAX=1000$/m);
    assert.match((await talk.say("MAIL FROM:<a@pinned.example> SIZE=1048577")) ?? "", /^552 5\.3\.4 /);
    assert.match((await talk.say("MAIL FROM:<a@pinned.example>")) ?? "", /^250 /);
    for (const to of ["a", "b"]) assert.match((await talk.say(`RCPT TO:<${to}@here.test>`)) ?? "", /^250 /);
    assert.match((await talk.say("RCPT TO:<c@here.test>")) ?? "", /^452 4\.5\.3 /);
    await talk.say("RSET");
    assert.match((await talk.say("MAIL FROM:<a@pinned.example>")) ?? "", /^250 /);
    await talk.say("RSET");
    assert.match((await talk.say("MAIL FROM:<a@pinned.example>")) ?? "", /^421 4\.7\.0 /);
    talk.close();
    assert.match(await relays(ports.asking, pinned), /^250 /, "its place is free again");
  });

  test("the trace field, the log and the queue tell who handed it in", async () => {
    const { talk } = await session(ports.asking, fleet);
    for (const line of [
      "MAIL FROM:<a@client.test>",
      "RCPT TO:<trace@here.test>",
      "RCPT TO:<x@elsewhere.test>",
      "DATA",
    ]) {
      await talk.say(line);
    }
    talk.send("Subject: x\r\n\r\nbody\r\n.\r\n");
    const id = /queued as (\S+)/.exec((await talk.reply()) ?? "")?.[1] ?? assert.fail("not taken");
    talk.close();
    const [mail = ""] = await node.mailArrives("trace", 1);
    const field = /^Received: [\s\S]*?\r\n(?=\S)/m.exec(mail)?.[0].replace(/\s+/g, " ") ?? "";
    assert.match(
      field,
      / \(using TLSv1\.3 with cipher \S+\) \(client certificate "fleet" verified\) by node\.test with ESMTPS /,
    );
    const accepted = await logged(node, "intake.message.accepted", { id });
    assert.deepEqual([accepted.identity, accepted.certificate], ["certificate:fleet", "fleet"]);
    const shown = await node.command("queue", "show", id, "--json");
    assert.equal(JSON.parse(shown.stdout).origin.identity, "certificate:fleet", shown.stdout);
  });

  test("who comes by XCLIENT does not come with the certificate of the proxy", async () => {
    const { talk, hello } = await session(ports.asking, fleet, "127.0.0.9");
    assert.match(hello, /XCLIENT/);
    assert.match((await talk.say("XCLIENT ADDR=198.51.100.7 NAME=client.test")) ?? "", /^220 /);
    await talk.say("EHLO client.test");
    await talk.say("MAIL FROM:<a@client.test>");
    assert.match((await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "", /^550 5\.7\.1 /);
    assert.match((await talk.say("RCPT TO:<bob@here.test>")) ?? "", /^250 /);
    talk.close();
  });

  test("on submission a certificate alone logs nobody in", async () => {
    const { talk } = await session(ports.users, pinned);
    assert.match((await talk.say("MAIL FROM:<ada@here.test>")) ?? "", /^530 5\.7\.0 /);
    const credentials = Buffer.from("\0ada@here.test\0password of ada").toString("base64");
    assert.match((await talk.say(`AUTH PLAIN ${credentials}`)) ?? "", /^235 /);
    assert.match((await talk.say("MAIL FROM:<ada@here.test>")) ?? "", /^250 /);
    talk.close();
  });
});

describe("where a certificate is demanded", () => {
  test("in clear text nothing but STARTTLS leads on", async () => {
    const talk = await Talk.open(ports.demanding);
    assert.match((await talk.say("EHLO client.test")) ?? "", /STARTTLS/);
    for (const line of ["MAIL FROM:<a@fleet.example>", "RCPT TO:<bob@here.test>", "DATA", "VRFY bob"]) {
      assert.match((await talk.say(line)) ?? "", /^530 5\.7\.0 /, line);
    }
    talk.close();
  });

  test("in TLS nobody but known peers gets further than QUIT", async () => {
    for (const [who, shown] of Object.entries(strangers)) {
      const { talk, hello } = await session(ports.demanding, shown);
      assert.match(hello, /^554 5\.7\.8 /, who);
      for (const line of ["HELO client.test", "NOOP", "MAIL FROM:<a@fleet.example>", "XCLIENT ADDR=192.0.2.1"]) {
        assert.match((await talk.say(line)) ?? "", /^554 5\.7\.8 /, line);
      }
      assert.match((await talk.say("QUIT")) ?? "", /^221 /);
      talk.close();
    }
    assert.match(await relays(ports.demanding, fleet), /^250 /);
  });

  test("with implicit TLS too", async () => {
    const stranger = await Talk.openSecure(ports.implicit);
    assert.match((await stranger.say("EHLO client.test")) ?? "", /^554 5\.7\.8 /);
    stranger.close();
    const peer = await Talk.openSecure(ports.implicit, "127.0.0.1", fleet);
    assert.match((await peer.say("EHLO client.test")) ?? "", /^250-/);
    peer.close();
  });

  test("a proxy shows its own certificate, and brings clients that have none", async () => {
    const { talk } = await session(ports.demanding, fleet, "127.0.0.9");
    await talk.say("XCLIENT ADDR=198.51.100.7 NAME=client.test");
    assert.match((await talk.say("EHLO client.test")) ?? "", /^250-/);
    await talk.say("MAIL FROM:<a@client.test>");
    assert.match((await talk.say("RCPT TO:<bob@here.test>")) ?? "", /^250 /);
    assert.match((await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "", /^550 5\.7\.1 /);
    talk.close();
  });
});

test("SIGHUP takes up new authorities of peers; broken ones change nothing", async () => {
  const next = makeAuthority({ name: "next authority" });
  const renewed = makeCertificate({ names: ["mx.fleet.example"], issuer: next });
  const reload = async (pem: string, event: string) => {
    const seen = node.log.filter((entry) => entry.event === event).length;
    await writeFile(join(node.folder, "partner.pem"), pem);
    process.kill(node.pid, "SIGHUP");
    await eventually(() => node.log.filter((entry) => entry.event === event)[seen]);
  };
  assert.match(await relays(ports.asking, renewed), /^550 /);
  const { talk: running } = await session(ports.asking, fleet);
  await reload(next.certificate, "daemon.reloaded");
  assert.match(await relays(ports.asking, renewed), /^250 /);
  assert.match(await relays(ports.asking, fleet), /^550 /);
  await running.say("MAIL FROM:<a@fleet.example>");
  assert.match((await running.say("RCPT TO:<x@elsewhere.test>")) ?? "", /^250 /, "a running session keeps what it is");
  running.close();
  await reload("no certificate", "daemon.reload.failed");
  assert.match(JSON.stringify((await logged(node, "daemon.reload.failed")).problems), /postern\.toml:\d+: peer\.ca: /);
  assert.match(await relays(ports.asking, renewed), /^250 /);
  await reload(authority.certificate + next.certificate, "daemon.reloaded");
  for (const shown of [fleet, renewed]) assert.match(await relays(ports.asking, shown), /^250 /);
});

test("check tells what is wrong with the authorities of peers, with its line", async () => {
  const asking = '[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\nclient_certificates = "request"\n';
  const peer = (name: string, file: string): string =>
    `[[peer]]\nname = "${name}"\nca = "${file}"\nnames = ["a.test"]\n`;
  await using broken = await startNode({
    files: {
      "leaf.pem": fleet.certificate,
      "good.pem": authority.certificate,
    },
    config: `${asking}${peer("good", "good.pem")}${peer("leaf", "leaf.pem")}`,
  });
  const checked = await broken.command("check");
  assert.equal(checked.code, 1);
  const lines = `${checked.stdout}${checked.stderr}`.split("\n").filter((line) => line.includes("peer.ca"));
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(lines[0] ?? "", /postern\.toml:\d+: peer\.ca: .*leaf\.pem: CN=mx\.fleet\.example is no authority/);
  await writeFile(join(broken.folder, "leaf.pem"), "nothing");
  await writeFile(join(broken.folder, "good.pem"), "");
  const unreadable = await broken.command("check");
  assert.equal(`${unreadable.stdout}${unreadable.stderr}`.match(/: peer\.ca: /g)?.length, 2);
});

test("session tickets are a listener's own setting", async () => {
  const [port = 0] = await freePorts(1);
  const listener = `[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "mx"\ntls = "implicit"\nsession_tickets = true\n`;
  await using resuming = await startNode({ config: listener });
  const resumed = async (at: number): Promise<boolean> => {
    let session: Buffer | undefined;
    const handshake = async () => {
      const client = connect({
        port: at,
        host: "127.0.0.1",
        rejectUnauthorized: false,
        ...(session === undefined ? {} : { session }),
      });
      client.on("session", (ticket: Buffer) => {
        session = ticket;
      });
      await once(client, "secureConnect");
      const reused = client.isSessionReused();
      client.resume().end("QUIT\r\n");
      await once(client, "close");
      return reused;
    };
    assert.equal(await handshake(), false);
    return await handshake();
  };
  assert.equal(await resumed(port), true);
  assert.equal(await resumed(resuming.ports.submissions), false);
});
