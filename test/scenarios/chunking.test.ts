// Messages that come in chunks, and next hops that speak LMTP, with a whole daemon between them.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { concatBytes, decodeUtf8Lenient } from "../../src/base/index.ts";
import { createServer, definePolicy } from "../../src/server/index.ts";
import { reply } from "../../src/smtp/index.ts";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

async function addressed(node: Node, to: string, parameters = ""): Promise<Talk> {
  const talk = await Talk.open(node.ports.mx);
  const offered = (await talk.say("EHLO client.test")) ?? "";
  assert.match(offered, /^250[- ]CHUNKING$/m);
  assert.match(offered, /^250[- ]BINARYMIME$/m);
  assert.match((await talk.say(`MAIL FROM:<a@client.test>${parameters}`)) ?? "", /^250/);
  assert.match((await talk.say(`RCPT TO:<${to}>`)) ?? "", /^250/);
  return talk;
}

test("a binary message lies in the Maildir to the octet, and one that is cut off lies nowhere", async () => {
  await using node = await startNode({ domains: ["here.test"], config: "[limits]\nmessage_size = '4 MiB'\n" });
  const content = randomBytes(300_000).toString("latin1");
  const message = `Subject: octets\r\nContent-Transfer-Encoding: binary\r\n\r\n${content}`;

  const broken = await addressed(node, "cut@here.test", " BODY=BINARYMIME");
  broken.send(`BDAT ${message.length} LAST\r\n${message.slice(0, -1)}`);
  await sleep(50);
  broken.close();

  const talk = await addressed(node, "bob@here.test", " BODY=BINARYMIME");
  for (let at = 0; at < message.length; at += 65_536) {
    const chunk = message.slice(at, at + 65_536);
    talk.send(`BDAT ${chunk.length}\r\n${chunk}`);
  }
  talk.send("BDAT 0 LAST\r\n");
  for (let at = 0; at < message.length; at += 65_536) assert.match((await talk.reply()) ?? "", /^250 2\.0\.0/);
  assert.match((await talk.reply()) ?? "", /^250 2\.0\.0/);
  const [mail = ""] = await node.mailArrives("bob", 1);
  assert.ok(mail.endsWith(message), "the same octets behind the trace fields");
  assert.match(mail, /^Return-Path: <a@client\.test>\r$/m);

  assert.match((await talk.say("MAIL FROM:<a@client.test>")) ?? "", /^250/);
  assert.match((await talk.say("RCPT TO:<bob@here.test>")) ?? "", /^250/);
  const tooMuch = "x".repeat(5 * 1024 * 1024);
  talk.send(`BDAT ${tooMuch.length} LAST\r\n${tooMuch}`);
  assert.match((await talk.reply()) ?? "", /^552 5\.3\.4/);
  assert.match((await talk.say("NOOP")) ?? "", /^250/);
  talk.close();
  assert.ok(!(await readdir(join(node.folder, "data", "mail"))).includes("cut"));
});

test("mail for an LMTP server of the library: each recipient has an outcome of its own", async () => {
  const stored: string[] = [];
  const server = createServer({
    hostname: "store.test",
    listeners: [{ address: "127.0.0.1", port: 0, tls: "none", protocol: "lmtp" }],
    policy: definePolicy({
      body: ({ recipients }) => {
        const chunks: Uint8Array[] = [];
        return {
          write: (chunk) => void chunks.push(chunk),
          finish: () => {
            stored.push(decodeUtf8Lenient(concatBytes(chunks)));
            return recipients.map(({ recipient }) =>
              recipient.localPart === "full" ? reply(452, "4.2.2", "Mailbox full") : reply(250, "2.0.0", "Stored"),
            );
          },
          abort() {},
        };
      },
    }),
  });
  const started = await server.start();
  assert.ok(started.ok);
  try {
    const port = started.value[0]?.port ?? 0;
    const config = `[[domain]]\nname = "store.test"\ndeliver = "lmtp://127.0.0.1:${port}"\n`;
    await using node = await startNode({ config });
    const talk = await Talk.open(node.ports.mx);
    talk.send("EHLO client.test\r\nMAIL FROM:<a@client.test>\r\n");
    talk.send("RCPT TO:<full@store.test>\r\nRCPT TO:<pat@store.test>\r\nBDAT 20 LAST\r\nSubject: lmtp\r\n\r\nhi.");
    for (let replies = 0; replies < 5; replies++) assert.match((await talk.reply()) ?? "", /^250/);
    talk.close();
    for (let tries = 0; stored.length === 0 && tries < 200; tries++) await sleep(25);
    assert.match(stored[0] ?? "", /Subject: lmtp\r\n\r\nhi\./);
    for (let tries = 0; !node.log.some(({ event }) => event === "queue.deferred") && tries < 200; tries++)
      await sleep(25);
    const { stdout } = await node.command("queue", "list", "--json");
    const states = [...stdout.matchAll(/"address":\s*"(\w+)@store\.test",\s*"state":\s*"(\w+)"/g)];
    assert.deepEqual(
      states.map(([, user, state]) => [user, state]),
      [
        ["full", "waiting"],
        ["pat", "delivered"],
      ],
    );
  } finally {
    await server.stop({ grace: 0 });
  }
});

test("LMTP is not for port 25 (RFC 2033 §5)", () => {
  const policy = definePolicy({
    body: () => ({ kind: "refuse", reply: reply(550, "5.7.1", "No") }),
  });
  const listeners = [{ address: "127.0.0.1", port: 25, tls: "none", protocol: "lmtp" }] as const;
  assert.throws(() => createServer({ hostname: "store.test", listeners, policy }), TypeError);
});
