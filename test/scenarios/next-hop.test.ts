// What next hops of all kinds are told, and what comes back where a message is too much for them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ScriptedPeer, type ScriptStep, scriptedPeer } from "../../src/testing/index.ts";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

function greeting(...offers: readonly string[]): readonly ScriptStep[] {
  const lines = ["hop.test", ...offers];
  return [
    "S: 220 hop.test",
    "C: EHLO *",
    ...lines.map((line, at) => `S: 250${at === lines.length - 1 ? " " : "-"}${line}`),
  ];
}

/** Takes one message by DATA, each command by itself. */
const TAKE: readonly ScriptStep[] = [
  "C: MAIL FROM:*",
  "S: 250 ok",
  "C: RCPT TO:*",
  "S: 250 ok",
  "C: DATA",
  "S: 354 go",
  "C: ...",
  "C: .",
  "S: 250 queued",
  "HANG",
];

const HOPS: Readonly<Record<string, readonly ScriptStep[]>> = {
  /** Nothing but 7-bit mail. */
  "plain.test": [...greeting("HELP"), ...TAKE],
  "xn--mnchen-3ya.test": [...greeting("HELP"), ...TAKE],
  "small.test": [...greeting("SIZE 300", "8BITMIME"), ...TAKE],
  "limited.test": [...greeting("LIMITS MAILMAX=1 RCPTMAX=1 RCPTDOMAINMAX=1"), ...TAKE],
  "eight.test": [...greeting("8BITMIME", "SIZE"), ...TAKE],
  "chunks.test": [
    ...greeting("PIPELINING", "CHUNKING"),
    "C: MAIL FROM:*",
    "C: RCPT TO:*",
    "C: BDAT * LAST",
    "C: ...",
    "C: the end",
    "S: 250 ok",
    "S: 250 ok",
    "S: 250 queued",
    "HANG",
  ],
};

const TEXT =
  "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n";

describe("next hops", () => {
  const peers = new Map<string, ScriptedPeer>();
  let bouncing: Node;
  let converting: Node;

  before(async () => {
    for (const [domain, script] of Object.entries(HOPS)) peers.set(domain, await scriptedPeer(script));
    const routes = [...peers].map(
      ([domain, { port }]) => `[[route]]\nmatch = "${domain}"\nvia = "smtp://127.0.0.1:${port}"\ntls = "off"\n`,
    );
    const config = `[relay]\nnetworks = ["127.0.0.0/8"]\n${routes.join("")}`;
    bouncing = await startNode({ domains: ["here.test"], config });
    converting = await startNode({ domains: ["here.test"], config: `${config}[delivery]\neight_bit = "convert"\n` });
  });
  after(async () => {
    await bouncing?.[Symbol.asyncDispose]();
    await converting?.[Symbol.asyncDispose]();
    for (const peer of peers.values()) await peer.close();
  });

  async function send(node: Node, mail: string, to: readonly string[], message: string): Promise<void> {
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO client.test");
    for (const line of [`MAIL FROM:${mail}`, ...to.map((each) => `RCPT TO:<${each}>`)]) {
      assert.match((await talk.say(line)) ?? "", /^250/, line);
    }
    assert.match((await talk.say("DATA")) ?? "", /^354/);
    talk.send(`${message}.\r\n`);
    assert.match((await talk.reply()) ?? "", /^250/);
    talk.close();
  }

  /** What the hop of a domain heard; a session that is kept open for more has to be closed first. */
  async function heard(domain: string, connections = 1): Promise<readonly string[]> {
    const peer = peers.get(domain);
    assert.ok(peer !== undefined);
    for (let attempt = 0; attempt < 100 && peer.connections.length < connections; attempt++) await sleep(100);
    return peer.connections.flatMap(({ received }) => received);
  }

  async function reported(node: Node, user: string): Promise<string> {
    const [report = ""] = await node.mailArrives(user, 1);
    return report;
  }

  test("8-bit mail for a 7-bit server comes back by default, and is not even begun", async () => {
    await send(bouncing, "<eight@here.test> BODY=8BITMIME", ["x@plain.test"], TEXT);
    assert.match(await reported(bouncing, "eight"), /Status: 5\.6\.3/);
  });

  test("8-bit mail that nobody declared is 8-bit mail all the same", async () => {
    await send(bouncing, "<quiet@here.test>", ["x@plain.test"], TEXT);
    assert.match(await reported(bouncing, "quiet"), /Status: 5\.6\.3/);
  });

  test("a message larger than the next server takes comes back before it is sent", async () => {
    await send(bouncing, "<large@here.test>", ["x@small.test"], `Subject: x\r\n\r\n${"x".repeat(300)}\r\n`);
    assert.match(await reported(bouncing, "large"), /Status: 5\.3\.4/);
  });

  test("an address that needs SMTPUTF8 comes back where it is not known", async () => {
    await send(bouncing, "<utf8@here.test> SMTPUTF8", ["\xc3\xbc@plain.test"], "Subject: x\r\n\r\nx\r\n");
    assert.match(await reported(bouncing, "utf8"), /Status: 5\.6\.7/);
  });

  test("SMTPUTF8 that only the domain asked for is not needed: it has an ASCII form", async () => {
    await send(bouncing, "<a@here.test> SMTPUTF8", ["bob@m\xc3\xbcnchen.test"], "Subject: x\r\n\r\nx\r\n");
    await emptied(bouncing);
    await bouncing.kill("SIGTERM");
    const lines = await heard("xn--mnchen-3ya.test");
    assert.ok(lines.includes("MAIL FROM:<a@here.test>"), lines.join("\n"));
    assert.ok(lines.includes("RCPT TO:<bob@xn--mnchen-3ya.test>"), lines.join("\n"));
    await bouncing.start();
  });

  test("converted where the operator says so; 8-bit where it is offered, declared for who did not; BDAT; LIMITS", async () => {
    await send(converting, "<c@here.test> BODY=8BITMIME", ["x@plain.test"], TEXT);
    await send(converting, "<e@here.test>", ["x@eight.test"], TEXT);
    await send(converting, "<b@here.test>", ["x@chunks.test"], "Subject: x\r\n\r\n..dot\r\nthe end\r\n");
    await send(converting, "<l@here.test>", ["x@limited.test", "y@limited.test"], "Subject: x\r\n\r\nx\r\n");
    await emptied(converting);
    await converting.kill("SIGTERM");
    const plain = await heard("plain.test");
    assert.ok(plain.includes("MAIL FROM:<c@here.test>"), plain.join("\n"));
    assert.ok(plain.includes("Content-Transfer-Encoding: quoted-printable"));
    assert.ok(plain.includes("Gr=C3=BC=C3=9Fe"));
    assert.ok((await heard("eight.test")).some((line) => /^MAIL FROM:<e@here\.test> .*BODY=8BITMIME/.test(line)));
    assert.ok((await heard("chunks.test")).includes(".dot"), "no dot is stuffed in a chunk");
    const limited = await heard("limited.test", 2);
    assert.deepEqual(
      limited.filter((line) => line.startsWith("RCPT")),
      ["RCPT TO:<x@limited.test>", "RCPT TO:<y@limited.test>"],
    );
    assert.equal(limited.filter((line) => line.startsWith("EHLO")).length, 2);
  });

  async function emptied(node: Node): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const listed = await node.command("queue", "list", "--json");
      if (listed.stdout.trim() === "[]") return;
      assert.ok(attempt < 50, listed.stdout);
      await sleep(100);
    }
  }
});
