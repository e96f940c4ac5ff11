// The example of docs/security.md, played: two daemons that know each other by their keys.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

interface Side {
  readonly letter: "a" | "b";
  readonly port: number;
  readonly pair: ReturnType<typeof makeCertificate>;
}

/** As `openssl pkey -pubout -outform DER | openssl dgst -sha256` prints it. */
function keyHash({ pair }: Side): string {
  const key = new X509Certificate(pair.certificate).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("hex");
}

async function example(): Promise<string> {
  const page = await readFile(new URL("../../docs/security.md", import.meta.url), "utf8");
  const section = page.slice(page.indexOf("### How to pair two Posterns"));
  return /```toml\n([\s\S]*?)```/.exec(section)?.[1] ?? assert.fail("the page has no example");
}

/** The example as it stands for one side, with what belongs to this machine put in. */
function configured(text: string, own: Side, other: Side): string {
  return text
    .replace("0.0.0.0:25", `127.0.0.1:${own.port}`)
    .replaceAll("HASH-OF-B", keyHash(other))
    .replace("smtp://mail.b.example:25", `smtp://127.0.0.1:${other.port}`)
    .replaceAll("b.example", `${other.letter}.example`)
    .replace('name = "b"', `name = "${other.letter}"`)
    .replaceAll("tls/", "");
}

function startSide(text: string, own: Side, other: Side): Promise<Node> {
  const { letter, pair } = own;
  return startNode({
    hostname: `mail.${letter}.example`,
    domains: [`${letter}.example`],
    users: { [`ada@${letter}.example`]: "password of ada" },
    files: { "cert.pem": pair.certificate, "key.pem": pair.privateKey },
    config: `${configured(text, own, other)}\n[queue]\nretry_first = "1s"\nretry_longest = "1s"\n`,
  });
}

describe("two Posterns that are paired as the page on security says", () => {
  let nodes: readonly { readonly side: Side; readonly node: Node }[] = [];
  let text = "";
  before(async () => {
    text = await example();
    const [portA = 0, portB = 0] = await freePorts(2);
    const a: Side = { letter: "a", port: portA, pair: makeCertificate({ names: ["mail.a.example"] }) };
    const b: Side = { letter: "b", port: portB, pair: makeCertificate({ names: ["mail.b.example"] }) };
    nodes = [
      { side: a, node: await startSide(text, a, b) },
      { side: b, node: await startSide(text, b, a) },
    ];
  });
  after(() => Promise.all(nodes.map(({ node }) => node[Symbol.asyncDispose]())));

  test("each takes the other's mail by its key, and each proves the other before it sends", async () => {
    const [one, two] = nodes;
    assert.ok(one !== undefined && two !== undefined);
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      const user = `ada@${from.side.letter}.example`;
      const recipient = `bob@${to.side.letter}.example`;
      await handIn(from.node, user, recipient);
      const [mail = ""] = await to.node.mailArrives("bob", 1);
      assert.match(mail, new RegExp(`\\(client certificate "${from.side.letter}" verified\\)`));
      const delivered = await eventually(() =>
        from.node.log.find((entry) => entry.event === "queue.delivered" && entry.recipient === recipient),
      );
      assert.match(String(delivered?.rule), /verified/);
    }
  });

  test("the key of one sends as that one alone", async () => {
    const [one, two] = nodes;
    assert.ok(one !== undefined && two !== undefined);
    const talk = await Talk.open(one.side.port);
    await talk.say("EHLO mail.b.example");
    await talk.secure(undefined, two.side.pair);
    await talk.say("EHLO mail.b.example");
    assert.match((await talk.say("MAIL FROM:<ada@a.example>")) ?? "", /^550 5\.7\.1 /);
    assert.match((await talk.say("MAIL FROM:<ada@b.example>")) ?? "", /^250 /);
    talk.close();
  });

  test("who has no key of theirs is a stranger", async () => {
    const [one] = nodes;
    assert.ok(one !== undefined);
    const talk = await Talk.open(one.side.port);
    await talk.say("EHLO mail.b.example");
    await talk.secure(undefined, makeCertificate({ names: ["mail.b.example"] }));
    await talk.say("EHLO mail.b.example");
    await talk.say("MAIL FROM:<ada@b.example>");
    assert.match((await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "", /^550 5\.7\.1 /);
    talk.close();
  });
});

/** What a log has once it has it. */
async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 100; tries++) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(25);
  }
  return assert.fail("it never came");
}

async function handIn(node: Node, user: string, to: string): Promise<void> {
  const talk = await Talk.openSecure(node.ports.submissions);
  await talk.say("EHLO client.test");
  const credentials = Buffer.from(`\0${user}\0password of ada`).toString("base64");
  assert.match((await talk.say(`AUTH PLAIN ${credentials}`)) ?? "", /^235 /);
  for (const line of [`MAIL FROM:<${user}>`, `RCPT TO:<${to}>`, "DATA"]) await talk.say(line);
  talk.send(`From: ${user}\r\nTo: ${to}\r\nSubject: paired\r\n\r\nx\r\n.\r\n`);
  assert.match((await talk.reply()) ?? "", /^250 /);
  talk.close();
}
