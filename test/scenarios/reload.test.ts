// SIGHUP with a changed configuration: what is taken, what waits for a restart, and what is refused as a whole.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { logged, type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

/** Rewrites the configuration of a node by `change`, has it reloaded, and waits until it said `event`, `count` times more. */
async function change(
  node: Node,
  rewrite: (text: string) => string,
  event = "daemon.reloaded",
  count = 1,
): Promise<void> {
  const before = node.log.filter((line) => line.event === event).length;
  const text = await readFile(node.config, "utf8");
  const next = rewrite(text);
  assert.notEqual(next, text, "nothing was changed");
  await writeFile(node.config, next);
  process.kill(node.pid, "SIGHUP");
  await logged(node, event, { count: before + count });
}

/** The code of the reply to a recipient, asked in an open session. */
async function recipient(talk: Talk, address: string): Promise<string> {
  await talk.say("RSET");
  await talk.say("MAIL FROM:<ann@elsewhere.test>");
  return ((await talk.say(`RCPT TO:<${address}>`)) ?? "closed").slice(0, 3);
}

async function greeted(node: Node, port = node.ports.mx): Promise<Talk> {
  const talk = await Talk.open(port);
  await talk.say("EHLO client.test");
  return talk;
}

/** As a client that connects now sees it. */
async function judged(node: Node, address: string): Promise<string> {
  const talk = await greeted(node);
  try {
    return await recipient(talk, address);
  } finally {
    await talk.say("QUIT");
  }
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const until = Date.now() + 10_000; !(await holds()); await sleep(25)) {
    if (Date.now() > until) throw new Error(`never: ${what}`);
  }
}

const NETWORKS = '[relay]\nnetworks = ["127.0.0.0/8"]\n';
const SECOND_DOMAIN = '[[domain]]\nname = "second.test"\ndeliver = "maildir:data/second/{user}"\n';

test("domains, relay networks and limits are taken for those who connect from then on", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  const open = await greeted(node);
  assert.equal(await recipient(open, "x@second.test"), "550");
  await change(node, (text) => `${text}${SECOND_DOMAIN}[limits]\nrecipients = 1\nmessage_size = "1 MiB"\n`);
  assert.equal(await judged(node, "x@second.test"), "250");
  assert.equal(await judged(node, "x@third.test"), "550");
  assert.equal(await recipient(open, "x@second.test"), "550", "who was there keeps what the session began with");
  const limited = await Talk.open(node.ports.mx);
  assert.match((await limited.say("EHLO client.test")) ?? "", /SIZE 1048576\n[\s\S]*RCPTMAX=1\b/);
  await change(node, (text) => text + NETWORKS);
  assert.equal(await judged(node, "x@third.test"), "250");
  await change(node, (text) => text.replace(NETWORKS, ""));
  assert.equal(await judged(node, "x@third.test"), "550");
  await change(node, (text) => text.replace("[limits]\n", "[limits]\nconnections = 3\n"));
  // These two are still open.
  const third = await greeted(node);
  const fourth = Talk.open(node.ports.mx);
  assert.equal(await (await fourth).say("NOOP"), null, "turned away");
  for (const talk of [open, limited, third]) await talk.say("QUIT");
});

test("a peer, its rules and its user are taken, and so are settings of its listener", async () => {
  const pair = makeCertificate({ names: ["partner.test"] });
  const key = new X509Certificate(pair.certificate).publicKey.export({ type: "spki", format: "der" });
  const spki = createHash("sha256").update(key).digest("base64");
  await using node = await startNode({ domains: ["here.test"] });
  const partner = async (address: string): Promise<string> => {
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO partner.test");
    await talk.secure(undefined, pair);
    await talk.say("EHLO partner.test");
    const code = await recipient(talk, address);
    await talk.say("QUIT");
    return code;
  };
  assert.equal(await partner("x@elsewhere.test"), "550");
  await change(
    node,
    (text) =>
      `${text.replace('service = "mx"', 'service = "mx"\nclient_certificates = "request"')}
[[peer]]\nname = "partner"\nspki = ["sha256//${spki}"]\nrelay = true\n`,
  );
  assert.equal(await partner("x@elsewhere.test"), "250");
  await change(node, (text) => text.replace("relay = true", 'relay = false\nsenders = ["@elsewhere.test"]'));
  assert.equal(await partner("x@elsewhere.test"), "550");
});

test("a route is taken for mail that waits, and another wait for what is deferred from then on", async () => {
  await using hop = await startNode({ domains: ["away.test"] });
  await using node = await startNode({
    domains: ["here.test"],
    config: `${NETWORKS}[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\ntls = "off"\n[queue]\nretry_first = "1h"\n`,
  });
  const talk = await greeted(node);
  const send = async (to: string): Promise<void> => {
    assert.equal(await recipient(talk, to), "250");
    await talk.say("DATA");
    assert.match((await talk.say("Subject: x\r\n\r\nx\r\n.")) ?? "", /^250/);
  };
  await send("one@away.test");
  await logged(node, "queue.deferred", { recipient: "one@away.test" });
  await change(node, (text) => text.replace("smtp://127.0.0.1:1", `smtp://127.0.0.1:${hop.ports.mx}`));
  assert.equal((await node.command("queue", "retry", "--all")).code, 0);
  await hop.mailArrives("one", 1);
  await change(node, (text) =>
    text.replace(`smtp://127.0.0.1:${hop.ports.mx}`, "smtp://127.0.0.1:1").replace('"1h"', '"1s"'),
  );
  await send("two@away.test");
  await logged(node, "queue.deferred", { recipient: "two@away.test", count: 2 });
});

test("what only a restart changes stays as it runs and is named; the rest of the same file is taken", async () => {
  await using node = await startNode({ domains: ["here.test"], logLevel: "info" });
  const { mx } = node.ports;
  await change(node, (text) =>
    `${text.replace(`127.0.0.1:${mx}`, "127.0.0.1:1").replace('data_dir = "data"', 'data_dir = "other"')}${SECOND_DOMAIN}`.replace(
      'level = "info"',
      'level = "debug"',
    ),
  );
  assert.deepEqual(
    node.log.flatMap(({ event, key }) => (event === "daemon.restart.needed" ? [key] : [])),
    ["data_dir", "listener.address"],
  );
  assert.match(node.output, /reload: data_dir changed, which counts after a restart\n/);
  assert.equal(await judged(node, "x@second.test"), "250");
  // Written at this level alone.
  await logged(node, "intake.recipient.accepted");
});

test("a file with problems is refused as a whole, each problem with its line, and the old one stays", async () => {
  await using node = await startNode({ domains: ["here.test"] });
  await change(
    node,
    (text) => `${text}${SECOND_DOMAIN}[limits]\nrecipients = "many"\nerrors = 0\n`,
    "daemon.reload.failed",
  );
  const { problems } = await logged(node, "daemon.reload.failed");
  assert.ok(Array.isArray(problems) && problems.length === 2, JSON.stringify(problems));
  for (const problem of problems) assert.match(problem, /postern\.toml:\d+: limits\./);
  assert.equal(await judged(node, "x@second.test"), "550");
  await change(
    node,
    (text) => text.replace(/\[limits\][\s\S]*/, '[delivery]\nca = ["none.pem"]\n'),
    "daemon.reload.failed",
  );
  assert.equal(await judged(node, "x@second.test"), "550");
  await change(node, (text) => text.replace(/\[delivery\][\s\S]*/, ""));
  assert.equal(await judged(node, "x@second.test"), "250");
});

test("with workers all take it or none, also one that dies afterwards", async () => {
  await using node = await startNode({ domains: ["here.test"], workers: 2 });
  await eventually("both run", () => node.log.filter(({ event }) => event === "worker.started").length === 2);
  /** So many connections that each worker has its share but by a chance of 1 in 10^5. */
  const all = async (address: string): Promise<string> => {
    const codes = new Set<string>();
    for (let at = 0; at < 18; at++) codes.add(await judged(node, address));
    return [...codes].join(" ");
  };
  assert.equal(await all("x@second.test"), "550");
  await change(node, (text) => text.replace("workers = 2", "workers = 3") + SECOND_DOMAIN, "daemon.reloaded", 2);
  await logged(node, "daemon.restart.needed", { key: "workers" });
  assert.equal(await all("x@second.test"), "250");
  await change(node, (text) => `${text}${NETWORKS}[delivery]\nca = ["none.pem"]\n`, "daemon.reload.failed");
  assert.equal(await all("x@third.test"), "550");
  const { pid } = await logged(node, "worker.started");
  process.kill(Number(pid), "SIGKILL");
  await logged(node, "worker.started", { count: 3 });
  assert.equal(await all("x@second.test"), "250");
  assert.equal(await all("x@third.test"), "550");
});
