// What the configuration says of time: when deferred mail is tried again, when it is given up; and a queue whose thread dies.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, type Node, postern, startNode } from "../node.ts";

async function send(node: Node, to: string): Promise<void> {
  const sent = await postern(
    ["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none", "--from", "ada@here.test", "--to", to],
    "Subject: waits\r\n\r\nbody\r\n",
  );
  assert.equal(sent.code, 0, sent.stderr);
}

async function logged(node: Node, event: string): Promise<Readonly<Record<string, unknown>>> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const found = node.log.find((line) => line.event === event);
    if (found !== undefined) return found;
    await sleep(50);
  }
  throw new Error(`${event} was not logged`);
}

/** Relays everything over one hop, which nobody listens on. */
function relaying(port: number, queue: string): string {
  return `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${port}"\ntls = "off"\n[queue]\n${queue}\n`;
}

test("mail deferred by a dead hop is delivered after retry_first, once the hop is up", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startNode({
    domains: ["here.test"],
    config: relaying(hopPort, 'retry_first = "2s"\nretry_longest = "2s"'),
  });
  await send(node, "bob@there.test");
  const deferred = await logged(node, "queue.deferred");
  const wait = Date.parse(String(deferred.next)) - Date.parse(String(deferred.time));
  assert.ok(wait > 1000 && wait < 3000, `tried again after ${wait} ms`);
  await using hop = await startNode({ hostname: "hop.test", domains: ["there.test"], mxPort: hopPort });
  const [mail] = await hop.mailArrives("bob", 1);
  assert.match(mail ?? "", /Subject: waits/);
});

test("after give_up_after the sender gets a report, and the queue is empty", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startNode({
    domains: ["here.test"],
    config: relaying(hopPort, 'retry_first = "1s"\nretry_longest = "1s"\ngive_up_after = "3s"'),
  });
  await send(node, "bob@there.test");
  const [report] = await node.mailArrives("ada", 1);
  assert.match(report ?? "", /^Final-Recipient: rfc822;\s*bob@there\.test\r$/m);
  assert.match(report ?? "", /^Status: 4\.4\.7\r$/m);
  const listed = await node.command("queue", "list", "--json");
  assert.deepEqual(JSON.parse(listed.stdout), []);
});

test("a daemon whose queue's thread dies ends with a plain line, and its successor delivers what waited", async () => {
  const folder = await mkdtemp(join(tmpdir(), "postern-preload-"));
  const preload = join(folder, "preload.mjs");
  await writeFile(
    preload,
    `import { isMainThread } from "node:worker_threads";
    const threads = [];
    if (isMainThread) process.on("worker", (thread) => threads.push(thread));
    if (isMainThread) process.on("SIGUSR2", () => threads.forEach((thread) => thread.terminate()));`,
  );
  const before = process.env.NODE_OPTIONS;
  process.env.NODE_OPTIONS = `${before ?? ""} --import ${preload}`;
  try {
    const [hopPort = 0] = await freePorts(1);
    await using node = await startNode({ domains: ["here.test"], config: relaying(hopPort, 'retry_first = "1s"') });
    await send(node, "bob@there.test");
    await logged(node, "queue.deferred");
    assert.equal(await node.kill("SIGUSR2"), 1);
    assert.equal((await logged(node, "daemon.queue.died")).level, "error");
    await using hop = await startNode({ hostname: "hop.test", domains: ["there.test"], mxPort: hopPort });
    await node.start();
    await hop.mailArrives("bob", 1);
  } finally {
    if (before === undefined) delete process.env.NODE_OPTIONS;
    else process.env.NODE_OPTIONS = before;
    await rm(folder, { recursive: true });
  }
});
