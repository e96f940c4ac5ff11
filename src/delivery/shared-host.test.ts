// What mail of several domains has to do with each other where they share a host.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { encodeUtf8, seededRandom } from "../base/index.ts";
import { createPool } from "../client/index.ts";
import { systemClock } from "../net/index.ts";
import { type Limit, noLimit, type Outcome } from "../queue/index.ts";
import { fakeResolver } from "../testing/index.ts";
import { createDeliverer } from "./deliverer.ts";
import { fixtureMessage } from "./fixtures.test.ts";
import { createHostLoads } from "./host-loads.ts";

/** Counts connections; `greets` false: hangs up on each. */
async function host(t: TestContext, address: string, port: number, greets: () => boolean) {
  const seen = { connections: 0, messages: 0, open: 0, mostOpen: 0 };
  const server = createServer((socket) => {
    seen.connections++;
    seen.mostOpen = Math.max(seen.mostOpen, ++seen.open);
    t.after(() => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => seen.open--);
    if (!greets()) {
      socket.destroy();
      return;
    }
    socket.write("220 mx.test\r\n");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n"); end !== -1; end = text.indexOf("\r\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (line === "DATA") socket.write("354 go\r\n");
        else if (line === ".") seen.messages++;
        if (line === "QUIT") socket.end("221 bye\r\n");
        else if (/^(EHLO|MAIL|RCPT|RSET|\.$)/.test(line)) socket.write("250 ok\r\n");
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
  t.after(() => server.close());
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { port: bound.port, seen };
}

function deliverer(t: TestContext, port: number, limit: Partial<Limit> = {}) {
  const pool = createPool();
  t.after(() => pool.close());
  const mx = [
    { preference: 1, exchange: "mx1.test" },
    { preference: 2, exchange: "mx2.test" },
  ];
  return createDeliverer({
    hostname: "me.test",
    domains: [],
    routes: [],
    port,
    resolver: fakeResolver({
      "a.test": { mx: mx.slice(0, 1) },
      "b.test": { mx: mx.slice(0, 1) },
      "c.test": { mx },
      "mx1.test": { a: ["127.0.0.1"] },
      "mx2.test": { a: ["127.0.0.2"] },
    }),
    pool,
    loads: createHostLoads({ clock: systemClock, random: seededRandom(2), limitOf: () => ({ ...noLimit, ...limit }) }),
    clock: systemClock,
    random: seededRandom(1),
    connectTimeout: 2000,
  });
}

async function send(by: ReturnType<typeof deliverer>, to: string, override?: { host: string; port: number }) {
  const octets = encodeUtf8("Subject: x\r\n\r\nx\r\n");
  const message = fixtureMessage([to]);
  const hop = { kind: "smtp", tls: "off", ...override } as const;
  const recipients = message.recipients.map((recipient) =>
    override === undefined ? recipient : { ...recipient, override: { ...hop, ...override } },
  );
  const body = { size: octets.length, chunks: () => [octets] };
  const job = { message: { ...message, recipients }, recipients, destination: "x", body };
  const [outcome] = await by.deliver(job, new AbortController().signal);
  assert.ok(outcome !== undefined);
  return outcome;
}

const brief = (outcome: Outcome) =>
  outcome.kind === "delivered" ? outcome.hop.host : `${outcome.kind} ${outcome.scope}`;

test("a dead host costs one connection for all domains it serves; those with another host go there", async (t) => {
  let alive = false;
  const first = await host(t, "127.0.0.1", 0, () => alive);
  const second = await host(t, "127.0.0.2", first.port, () => true);
  const by = deliverer(t, first.port);
  assert.equal(brief(await send(by, "ann@a.test")), "deferred host");
  const leftAlone = await send(by, "bob@b.test");
  assert.equal(brief(leftAlone), "deferred host");
  assert.ok(
    leftAlone.kind === "deferred" && leftAlone.turnAt !== undefined,
    "it was left alone, and that is no attempt",
  );
  assert.ok(leftAlone.turnAt > systemClock.now());
  assert.equal(brief(await send(by, "cyd@c.test")), "mx2.test");
  assert.deepEqual([first.seen.connections, second.seen.messages], [1, 1]);
  alive = true;
  by.resume?.();
  assert.equal(brief(await send(by, "bob@b.test")), "mx1.test");
});

test("the limit of a host counts for all domains together, idle connections of one make place for another", async (t) => {
  const { port, seen } = await host(t, "127.0.0.1", 0, () => true);
  const by = deliverer(t, port, { connections: 1 });
  const outcomes = await Promise.all(["ann@a.test", "bob@b.test", "cyd@c.test"].map((to) => send(by, to)));
  assert.deepEqual(outcomes.map(brief), ["mx1.test", "mx1.test", "mx1.test"]);
  assert.deepEqual([seen.messages, seen.mostOpen], [3, 1]);
});

test("a connection is closed after as many messages as it may carry", async (t) => {
  const { port, seen } = await host(t, "127.0.0.1", 0, () => true);
  const by = deliverer(t, port, { messagesPerConnection: 2 });
  for (let n = 0; n < 5; n++) assert.equal(brief(await send(by, "ann@a.test")), "mx1.test");
  assert.deepEqual([seen.messages, seen.connections], [5, 3]);
});

test("mail without a turn waits, and counts no attempt; it does not go on to a host for worse days", async (t) => {
  const first = await host(t, "127.0.0.1", 0, () => true);
  const second = await host(t, "127.0.0.2", first.port, () => true);
  const by = deliverer(t, first.port, { messagesPerMinute: 1 });
  assert.equal(brief(await send(by, "ann@a.test")), "mx1.test");
  const outcome = await send(by, "cyd@c.test");
  assert.ok(outcome.kind === "deferred" && outcome.turnAt !== undefined);
  assert.ok(outcome.turnAt > systemClock.now() + 30_000);
  assert.equal(second.seen.connections, 0);
});

test("a recipient that was rerouted goes where the operator said, under the level named there", async (t) => {
  const { port, seen } = await host(t, "127.0.0.3", 0, () => true);
  const by = deliverer(t, 1);
  const outcome = await send(by, "ann@nowhere.test", { host: "127.0.0.3", port });
  assert.ok(outcome.kind === "delivered");
  assert.match(outcome.hop.rule, /rerouted by the operator/);
  assert.equal(seen.messages, 1);
});
