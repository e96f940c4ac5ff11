import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { encodeUtf8, instant, later, silentLog, unwrap } from "../base/index.ts";
import { type Config, parseConfig, queueFile } from "../config/index.ts";
import { systemClock } from "../net/index.ts";
import { createMemoryStore, type OperableStore, openSqliteStore, type QueueId } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { openAdmin } from "./admin.ts";
import { connectControl } from "./control-client.ts";
import { createControlServer } from "./control-server.ts";
import { createOperations } from "./operations.ts";
import { JsonLines, MAX_REQUEST } from "./protocol.ts";
import { socketPath } from "./socket-path.ts";

let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "postern-admin-"));
});

after(() => rmSync(folder, { recursive: true, force: true }));

function configIn(dataDir: string): Config {
  const listener = '[[listener]]\naddress = "127.0.0.1:0"\nservice = "mx"\ntls = "none"\n';
  return unwrap(parseConfig(`hostname = "a.test"\ndata_dir = "${dataDir}"\n${listener}`, join(folder, "postern.toml")));
}

/** Puts a message in, due in an hour. */
async function queued(store: OperableStore, to: string): Promise<QueueId> {
  const draft = store.createDraft();
  await draft.append(Buffer.from("Subject: x\r\n\r\nx\r\n"));
  const now = systemClock.now();
  await draft.keep({
    id: draft.id,
    receivedAt: now,
    expiresAt: later(now, 3_600_000),
    reversePath: null,
    parameters: {},
    origin: { service: "local", sessionId: null, address: null, hello: null, identity: null, tls: null },
    recipients: [{ mailbox: unwrap(parseMailbox(to)), parameters: {} }],
    size: 17,
  });
  return draft.id;
}

async function withServer(
  use: (fixture: { path: string; store: OperableStore; pokes: () => number }) => Promise<void>,
): Promise<void> {
  const store = createMemoryStore({ clock: systemClock });
  let poked = 0;
  const operations = createOperations({ store, clock: systemClock, poke: () => poked++ });
  const path = join(mkdtempSync(join(folder, "s-")), "control.sock");
  const server = unwrap(await createControlServer({ path, operations, log: silentLog }));
  try {
    await use({ path, store, pokes: () => poked });
  } finally {
    await server.close();
    await store.close();
  }
}

test("a running daemon answers each operation over its socket", async () => {
  await withServer(async ({ path, store, pokes }) => {
    const first = await queued(store, "a@b.test");
    const second = await queued(store, "c@d.test");
    const client = await connectControl(path);
    assert.ok(client !== null);
    const listed = await client.list({ limit: 10 });
    assert.deepEqual(
      listed.map(({ id, recipients }) => [id, recipients[0]?.address, recipients[0]?.state]),
      [
        [first, "a@b.test", "waiting"],
        [second, "c@d.test", "waiting"],
      ],
    );
    assert.deepEqual(
      (await client.list({ limit: 10, after: first })).map(({ id }) => id),
      [second],
    );
    assert.deepEqual(await client.act("hold", { id: first.toLowerCase() }), {
      done: [first],
      recipients: 1,
      refused: [],
    });
    const shown = await client.show(first);
    assert.equal(shown?.held, true);
    assert.deepEqual(
      shown?.story.map(({ event }) => event),
      ["accepted", "held"],
    );
    assert.equal(pokes(), 0);
    await client.act("release", { id: first });
    await client.act("retry", { all: true });
    assert.equal(pokes(), 2);
    assert.equal((await client.counts()).messages, 2);
    const unknown = await client.act("remove", { id: "nonsense" });
    assert.deepEqual(unknown, { done: [], recipients: 0, refused: [{ id: "nonsense", reason: "unknown" }] });
    assert.deepEqual((await client.act("remove", { all: true })).done, [first, second]);
    assert.equal(await client.show(first), null);
    client.close();
  });
});

test("what is over is told of over the socket too, by message and by address", async () => {
  await withServer(async ({ path, store }) => {
    const [first, second] = [await queued(store, "a@b.test"), await queued(store, "c@d.test")];
    const hop = { host: "mx.b.test", address: "192.0.2.1", port: 25, tls: null, rule: "off" };
    for (const id of [first, second]) {
      const outcome = { kind: "delivered", reply: null, hop } as const;
      const at = systemClock.now();
      await store.settle({
        id,
        at,
        recipients: [{ index: 0, outcome, nextAttempt: null, warned: false }],
        report: null,
      });
    }
    const client = await connectControl(path);
    assert.ok(client !== null);
    const ids = async (of?: string) => (await client.history({ limit: 10, of })).map(({ id }) => id);
    assert.deepEqual(await ids(), [second, first]);
    assert.deepEqual(await ids(` ${first.toLowerCase()} `), [first]);
    assert.deepEqual(await ids("@d.test"), [second]);
    assert.deepEqual(await ids("nonsense"), []);
    const [told] = await client.history({ limit: 1, of: first });
    assert.deepEqual([told?.sender, told?.recipient, told?.attempts], ["", "a@b.test", 1]);
    assert.deepEqual(
      [told?.outcome.host, told?.outcome.address, told?.outcome.rule],
      ["mx.b.test", "192.0.2.1", "off"],
    );
    client.close();
  });
});

test("mail for later is not hurried", async () => {
  await withServer(async ({ path, store }) => {
    await using draft = store.createDraft();
    draft.append(encodeUtf8("body"));
    const at = systemClock.now();
    const { message } = await draft.keep({
      id: draft.id,
      receivedAt: at,
      expiresAt: instant(at + 90_000),
      reversePath: null,
      parameters: { hold: { for: 60 } },
      origin: { service: "submission", sessionId: null, address: null, hello: null, identity: null, tls: null },
      recipients: [{ mailbox: unwrap(parseMailbox("a@b.test")), parameters: {} }],
      size: 4,
    });
    const client = await connectControl(path);
    assert.deepEqual((await client?.act("retry", { id: message.id }))?.done, [message.id]);
    assert.equal(await store.nextDue(), at + 60_000);
    assert.equal((await client?.show(message.id))?.releaseAt, new Date(at + 60_000).toISOString());
    client?.close();
  });
});

test("a filter picks recipients out, over the socket too, and a dry run changes nothing", async () => {
  await withServer(async ({ path, store, pokes }) => {
    const ids = [await queued(store, "a@b.test"), await queued(store, "c@d.test"), await queued(store, "e@sub.b.test")];
    const [first = "", , third = ""] = ids;
    const client = await connectControl(path);
    assert.ok(client !== null);
    const target = { filter: { domain: "B.test", sender: "<>" } };
    const nothing = { done: [], recipients: 0, refused: [] };
    assert.deepEqual(await client.act("remove", target, { dryRun: true }), {
      done: [first],
      recipients: 1,
      refused: [],
    });
    assert.equal((await client.counts()).messages, 3);
    assert.deepEqual(await client.act("hold", { filter: { olderThan: 3_600_000 } }), nothing);
    assert.deepEqual(await client.act("hold", { filter: { reply: "451" } }), nothing);
    const override = { kind: "smtp", host: "192.0.2.1", port: 25, tls: "verified" } as const;
    assert.deepEqual((await client.act("reroute", { filter: { domain: ".b.test" } }, { override })).done, [third]);
    assert.equal((await client.show(third))?.recipients[0]?.rerouted, "smtp://192.0.2.1:25, tls verified");
    assert.equal(pokes(), 1);
    await client.act("reroute", { id: third });
    assert.equal((await client.show(third))?.recipients[0]?.rerouted, null);
    assert.deepEqual((await client.act("remove", target)).done, [first]);
    assert.deepEqual(
      (await client.list({ limit: 9 })).map(({ id }) => id),
      ids.slice(1),
    );
    assert.deepEqual(await client.act("remove", target), nothing);
    client.close();
  });
});

test("a message in flight is not removed", async () => {
  await withServer(async ({ path, store }) => {
    const id = await queued(store, "a@b.test");
    await store.retry(id, systemClock.now());
    assert.equal((await store.claimDue({ now: instant(Date.now() + 1000), limit: 1 })).length, 1);
    const client = await connectControl(path);
    assert.deepEqual(await client?.act("remove", { id }), {
      done: [],
      recipients: 0,
      refused: [{ id, reason: "in flight" }],
    });
    client?.close();
  });
});

test("the socket is this user's alone, refuses what it does not know, and cuts off what has no end", async () => {
  await withServer(async ({ path }) => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const socket = createConnection(path);
    let text = "";
    socket.setEncoding("utf8").on("data", (more: string) => {
      text += more;
    });
    socket.write('no json\n{"operation":"shutdown"}\n{"operation":"list","limit":0}\n{"operation":"counts"}\n');
    while (text.split("\n").length < 5) await once(socket, "data");
    assert.deepEqual(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).ok),
      [false, false, false, true],
    );
    socket.on("error", () => {}).write("x".repeat(MAX_REQUEST + 2));
    await once(socket, "close");
  });
});

test("a failure of the store reaches the caller as one line", async () => {
  const store = createMemoryStore({ clock: systemClock });
  const operations = {
    ...createOperations({ store, clock: systemClock }),
    counts: () => Promise.reject(new Error("disk on fire")),
  };
  const path = join(mkdtempSync(join(folder, "s-")), "control.sock");
  const server = unwrap(await createControlServer({ path, operations, log: silentLog }));
  const client = await connectControl(path);
  await assert.rejects(async () => await client?.counts(), { name: "AdminError", message: "disk on fire" });
  await server.close();
  await assert.rejects(async () => await client?.counts(), { name: "AdminError" });
});

test("a second daemon is refused, a dead one's socket is replaced", async () => {
  await withServer(async ({ path, store }) => {
    const operations = createOperations({ store, clock: systemClock });
    const second = await createControlServer({ path, operations, log: silentLog });
    assert.equal(second.ok, false);
    const stale = join(mkdtempSync(join(folder, "s-")), "control.sock");
    writeFileSync(stale, "");
    const third = unwrap(await createControlServer({ path: stale, operations, log: silentLog }));
    await third.close();
  });
});

test("a daemon that takes the connection and says nothing is told after a while", async () => {
  const path = join(mkdtempSync(join(folder, "s-")), "control.sock");
  const silent = createServer();
  silent.listen(path);
  await once(silent, "listening");
  const client = await connectControl(path, 50);
  assert.ok(client !== null);
  await assert.rejects(client.counts(), /^AdminError: the daemon does not answer/);
  await assert.rejects(client.list({ limit: 1 }), /ended the connection/);
  client.close();
  silent.close();
});

test("without a daemon the queue on disk is opened", async () => {
  const config = configIn(mkdtempSync(join(folder, "d-")));
  const store = await openSqliteStore({ path: queueFile(config), clock: systemClock });
  const id = await queued(store, "a@b.test");
  await store.close();
  const admin = unwrap(await openAdmin(config));
  assert.equal(admin.running, false);
  assert.deepEqual((await admin.act("hold", { all: true })).done, [id]);
  await admin.close();
  const again = unwrap(await openAdmin(config));
  assert.equal((await again.show(id))?.held, true);
  await again.close();
});

test("with a daemon the daemon is asked", async () => {
  const config = configIn(mkdtempSync(join(folder, "d-")));
  const store = createMemoryStore({ clock: systemClock });
  const id = await queued(store, "a@b.test");
  const path = unwrap(socketPath(config, true));
  const operations = createOperations({ store, clock: systemClock });
  const server = unwrap(await createControlServer({ path, operations, log: silentLog }));
  const admin = unwrap(await openAdmin(config));
  assert.equal(admin.running, true);
  assert.equal((await admin.list({ limit: 1 }))[0]?.id, id);
  await admin.close();
  await server.close();
});

test("looking at a queue that never was makes no files", async () => {
  const dataDir = mkdtempSync(join(folder, "d-"));
  const admin = unwrap(await openAdmin(configIn(dataDir)));
  assert.deepEqual(await admin.list({ limit: 5 }), []);
  await admin.close();
  assert.deepEqual(readdirSync(dataDir), []);
});

test("a queue that cannot be looked at is not taken for an empty one", async () => {
  // As unreadable for the superuser, who runs tests in containers, as a folder of another user's is for everybody else.
  const dataDir = join(folder, "loop");
  symlinkSync(dataDir, dataDir);
  const admin = await openAdmin(configIn(dataDir));
  assert.match(admin.ok ? "opened" : admin.error, /^the queue in .*loop cannot be looked at: ELOOP/);
});

test("a data folder with too long a path has its socket in a private folder elsewhere", () => {
  const config = { dataDir: join(folder, "x".repeat(120)) };
  const path = unwrap(socketPath(config, true));
  assert.ok(Buffer.byteLength(path) <= 103, path);
  assert.equal(statSync(join(path, "..")).mode & 0o777, 0o700);
  assert.equal(unwrap(socketPath(config, false)), path);
  rmSync(join(path, ".."), { recursive: true });
});

test("lines come out whole however they are cut, and never longer than allowed", () => {
  const whole = Buffer.from('{"a":"é"}\n{"b":2}\nrest');
  for (let cut = 0; cut <= whole.length; cut++) {
    const lines = new JsonLines(20);
    const found = [...(lines.push(whole.subarray(0, cut)) ?? []), ...(lines.push(whole.subarray(cut)) ?? [])];
    assert.deepEqual(found, ['{"a":"é"}', '{"b":2}'], `cut at ${cut}`);
  }
  assert.equal(new JsonLines(3).push(Buffer.from("abcd\n")), null);
  const slow = new JsonLines(3);
  assert.deepEqual(slow.push(Buffer.from("abc")), []);
  assert.equal(slow.push(Buffer.from("d")), null);
});
