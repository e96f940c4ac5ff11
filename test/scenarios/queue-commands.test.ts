// Mail that cannot go yet, as an operator sees and handles it, with the daemon running and stopped.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, logged, type Node, postern, startNode } from "../node.ts";
import { SlowHop } from "./slow-hop.ts";

interface Listed {
  readonly id: string;
  readonly held: boolean;
}

async function send(node: Node, to: string): Promise<void> {
  const sent = await postern(
    ["send", "--server", `127.0.0.1:${node.ports.mx}`, "--tls", "none", "--from", "ada@here.test", "--to", to],
    "Subject: waits\r\n\r\nbody\r\n",
  );
  assert.equal(sent.code, 0, sent.stderr);
}

async function list(node: Node): Promise<readonly Listed[]> {
  const listed = await node.command("queue", "list", "--json");
  assert.equal(listed.code, 0, listed.stderr);
  return JSON.parse(listed.stdout);
}

/** The id of the one message that waits, once its first attempt has failed. */
async function deferred(node: Node): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const [message] = await list(node);
    if (message !== undefined) {
      const shown = await node.command("queue", "show", message.id);
      if (/deferred/.test(shown.stdout)) return message.id;
    }
    await sleep(50);
  }
  throw new Error("nothing was deferred");
}

describe("the queue commands", () => {
  test("list, show, hold, release, retry and remove; running, stopped, and after a restart", async () => {
    const [hopPort = 0] = await freePorts(1);
    await using node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hopPort}"\ntls = "off"\n`,
    });
    await send(node, "bob@there.test");
    const id = await deferred(node);

    const shown = await node.command("queue", "show", id);
    assert.match(shown.stdout, /ada@here\.test/);
    assert.match(shown.stdout, /bob@there\.test/);
    assert.match(shown.stdout, /127\.0\.0\.1/);

    const unknown = await node.command("queue", "show", "00000000000");
    assert.notEqual(unknown.code, 0);
    assert.equal(unknown.stderr.trim().split("\n").length, 1);

    assert.equal((await node.command("queue", "hold", id)).code, 0);
    assert.equal((await list(node))[0]?.held, true);

    const running = await node.command("queue", "count");
    assert.match(running.stdout, /^1 message, \d+ B\n1 recipient [^\n]+\n1 message held\n$/);

    assert.equal(await node.kill("SIGTERM"), 0);
    assert.equal((await list(node))[0]?.held, true, "seen without a daemon");
    assert.equal((await node.command("queue", "count")).stdout, running.stdout);
    assert.equal((await node.command("queue", "release", id)).code, 0);
    assert.equal((await list(node))[0]?.held, false);

    await using next = await startNode({ hostname: "mx.there.test", domains: ["there.test"], mxPort: hopPort });
    await node.start();
    assert.equal((await node.command("queue", "retry", id)).code, 0);
    await next.mailArrives("bob", 1);
    for (let attempt = 0; (await list(node)).length > 0; attempt++) {
      assert.ok(attempt < 100, "a delivered message stays in the queue");
      await sleep(25);
    }
  });

  test("a filter names mail by domain, sender and reply; a reroute takes it past a dead host, running and stopped", async () => {
    const [deadPort, livePort = 0] = await freePorts(2);
    await using node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${deadPort}"\ntls = "off"\n`,
    });
    await send(node, "bob@there.test");
    await deferred(node);
    await send(node, "eve@elsewhere.test");
    const ids = (await list(node)).map(({ id }) => id);
    assert.equal(ids.length, 2);

    const dry = await node.command("queue", "remove", "--domain", "there.test", "--reply", "none", "--dry-run");
    assert.equal(dry.code, 0, dry.stderr);
    assert.equal(dry.stdout, `${ids[0]} would be removed\n1 message (1 recipient) would be removed\n`);
    const none = await node.command("queue", "hold", "--sender", "<>");
    assert.equal(none.stdout, "nothing in the queue matches\n");
    assert.equal((await node.command("queue", "hold", "--older-than", "1h", "--json")).code, 0);
    assert.equal((await node.command("queue", "hold")).code, 2);
    assert.equal((await node.command("queue", "hold", ids[0] ?? "", "--domain", "there.test")).code, 2);
    assert.notEqual((await node.command("queue", "hold", "--reply", "250")).code, 0);
    const via = ["--via", `smtp://127.0.0.1:${livePort}`];
    assert.equal((await node.command("queue", "reroute", "--domain", "there.test", ...via)).code, 2, "without --tls");

    await using next = await startNode({ hostname: "mx.there.test", domains: ["there.test"], mxPort: livePort });
    assert.equal(await node.kill("SIGTERM"), 0);
    const rerouted = await node.command("queue", "reroute", "--domain", "there.test", ...via, "--tls", "encrypted");
    assert.equal(rerouted.stdout, `${ids[0]} rerouted\n1 message (1 recipient) rerouted\n`);
    assert.match((await node.command("queue", "show", ids[0] ?? "")).stdout, /rerouted by the operator to smtp:\/\//);
    await node.start();
    await next.mailArrives("bob", 1);
    const removed = await node.command("queue", "remove", "--sender", "@here.test", "--domain", "elsewhere.test");
    assert.equal(removed.stdout, `${ids[1]} removed\n1 message (1 recipient) removed\n`);
    assert.deepEqual(await list(node), []);
  });

  test("remove deletes a waiting message, on a stopped daemon too", async () => {
    const [hopPort] = await freePorts(1);
    await using node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hopPort}"\n`,
    });
    await send(node, "one@there.test");
    const id = await deferred(node);
    assert.equal((await node.command("queue", "remove", id)).code, 0);
    assert.deepEqual(await list(node), []);

    await send(node, "two@there.test");
    await deferred(node);
    await node.kill("SIGKILL");
    assert.equal((await list(node)).length, 1, "resumed after a crash");
    assert.equal((await node.command("queue", "remove", "--all")).code, 0);
    assert.deepEqual(await list(node), []);
  });

  test("hold counts for mail that waits in memory for its turn; what is being delivered ends", async () => {
    await using hop = await SlowHop.listen({ holding: true });
    await using node = await startNode({
      domains: ["here.test"],
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[queue]\ndestination_concurrency = 1
[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hop.port}"\ntls = "off"\n`,
    });
    for (const to of ["ann@there.test", "bob@there.test", "cid@there.test"]) await send(node, to);
    for (let attempt = 0; hop.subjects.length === 0; attempt++) {
      assert.ok(attempt < 100, "nothing is being delivered");
      await sleep(50);
    }
    assert.equal((await node.command("queue", "hold", "--all")).code, 0);
    hop.release();
    for (let attempt = 0; (await list(node)).length > 2; attempt++) {
      assert.ok(attempt < 100, "the one under way did not end");
      await sleep(50);
    }
    await sleep(300);
    assert.equal(hop.subjects.length, 1);
    assert.deepEqual(
      (await list(node)).map(({ held }) => held),
      [true, true],
    );
    assert.equal((await node.command("queue", "release", "--all")).code, 0);
    for (let attempt = 0; hop.subjects.length < 3; attempt++) {
      assert.ok(attempt < 100, "released mail did not go");
      await sleep(50);
    }
  });
});

for (const workers of [1, 2]) {
  test(`a daemon that stops (${workers} workers) is asked to its end: what it delivers is nothing to remove`, async () => {
    await using hop = await SlowHop.listen({ holding: true });
    await using node = await startNode({
      domains: ["here.test"],
      workers,
      config:
        `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hop.port}"\ntls = "off"\n` +
        '[timeouts]\nstop = "30s"\n',
    });
    await send(node, "bob@there.test");
    for (let waited = 0; hop.subjects.length === 0 && waited < 200; waited++) await sleep(25);
    const ended = node.kill("SIGTERM");
    await logged(node, "daemon.stopping", { count: workers === 1 ? 1 : 2 });
    const [message] = await list(node);
    assert.ok(message !== undefined);
    const removed = await node.command("queue", "remove", message.id);
    assert.equal(removed.code, 1);
    assert.match(removed.stderr, /in flight/);
    hop.release();
    assert.equal(await ended, 0);
    assert.deepEqual(await list(node), []);
  });
}
