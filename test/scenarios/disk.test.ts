// Disks that are full, read-only or held by another, under a running daemon: who sends hears "later", who waits is served where that is
// possible, and when the trouble is over it goes on by itself, with all that was acknowledged and nothing twice.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, type Node, startNode } from "../node.ts";
import { SlowHop } from "./slow-hop.ts";
import { SmallDisk, setImmutable, unlessPermitted } from "./small-disk.ts";
import { Talk } from "./talk.ts";

const MIB = 2 ** 20;
/** What the daemon leaves free (docs/limits): below it, no mail is taken. */
const FLOOR = 100 * MIB;

const scratch = await mkdtemp(join(tmpdir(), "postern-disk-"));
after(() => rm(scratch, { recursive: true }));
const withoutMount = await unlessPermitted("mount", scratch);
const withoutChattr = await unlessPermitted("chattr", scratch);

function relaying(port: number): string {
  return `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${port}"\ntls = "off"\n[queue]\nretry_first = "1s"\nretry_longest = "1s"\n`;
}

/** Begins a message; the reply to DATA. */
async function begin(talk: Talk): Promise<string> {
  await talk.say("EHLO client.test");
  await talk.say("MAIL FROM:<ada@here.test>");
  await talk.say("RCPT TO:<bob@there.test>");
  return (await talk.say("DATA")) ?? "closed";
}

function message(subject: string, octets = 0): string {
  return `Subject: ${subject}\r\n\r\n${`${"x".repeat(62)}\r\n`.repeat(Math.ceil(octets / 64))}`;
}

/** Sends a message to `bob@there.test`; the code of the reply that decided. */
async function send(node: Node, subject: string, octets = 0): Promise<number> {
  const talk = await Talk.open(node.ports.mx);
  try {
    const go = await begin(talk);
    if (!go.startsWith("354")) return Number(go.slice(0, 3));
    talk.send(`${message(subject, octets)}.\r\n`);
    return Number((await talk.reply())?.slice(0, 3));
  } finally {
    talk.close();
  }
}

async function until(what: string, met: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (await met()) return;
    await sleep(50);
  }
  throw new Error(`in vain: ${what}`);
}

async function waiting(node: Node): Promise<number> {
  const listed = await node.command("queue", "list", "--json");
  return JSON.parse(listed.stdout).length;
}

function times(node: Node, event: string): number {
  return node.log.filter((line) => line.event === event).length;
}

test("a disk near its end: 452 before the body, and what waits is delivered", { skip: withoutMount }, async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startNode({ config: relaying(hopPort) });
  await node.kill("SIGTERM");
  await using disk = await SmallDisk.mount(join(node.folder, "data"), 160);
  await node.start();
  for (const subject of ["a", "b", "c"]) assert.equal(await send(node, subject), 250);
  await disk.fill(FLOOR - 10 * MIB);
  await sleep(1100); // what was free is known for a second
  assert.equal(await send(node, "refused"), 452);
  await using hop = await SlowHop.listen({ holding: false, port: hopPort });
  await until("an empty queue", async () => hop.subjects.length === 3 && (await waiting(node)) === 0);
  await disk.free();
  await until("250", async () => (await send(node, "after")) === 250);
  await until("delivery", () => hop.subjects.length === 4);
  assert.deepEqual(hop.subjects.toSorted(), ["a", "after", "b", "c"]);
});

test("a full disk: 452, no end of the daemon, and what was delivered meanwhile is not delivered again", {
  skip: withoutMount,
}, async () => {
  await using hop = await SlowHop.listen({ holding: true });
  await using node = await startNode({ config: relaying(hop.port) });
  await node.kill("SIGTERM");
  await using disk = await SmallDisk.mount(join(node.folder, "data"), 160);
  await node.start();
  for (const subject of ["a", "b"]) assert.equal(await send(node, subject, 1000), 250);
  await until("both at the hop", () => hop.subjects.length === 2);
  // The floor was met when the message began; only the write itself can say that the disk is full.
  const [small, large] = await Promise.all([Talk.open(node.ports.mx), Talk.open(node.ports.mx)]);
  for (const talk of [small, large]) assert.match(await begin(talk), /^354/);
  await disk.fill(0);
  large.send(`${message("large", 3 * MIB)}.\r\n`);
  assert.match((await large.reply()) ?? "", /^452 /);
  small.send(`${message("small", 100_000)}.\r\n`);
  assert.match((await small.reply()) ?? "", /^452 /);
  hop.release();
  await sleep(1500);
  assert.equal(await small.say("NOOP"), "250 2.0.0 Ok", "the daemon lives");
  await disk.free();
  await until("an empty queue", async () => (await waiting(node)) === 0);
  await until("250", async () => (await send(node, "after")) === 250);
  await until("delivery", () => hop.subjects.includes("after"));
  assert.deepEqual(hop.subjects.toSorted(), ["a", "after", "b"]);
  for (const talk of [small, large]) talk.close();
});

test("a queue that another process has locked: 451, the others are served, and all goes on when it is free", async () => {
  await using hop = await SlowHop.listen({ holding: true });
  await using node = await startNode({ config: relaying(hop.port) });
  for (const subject of ["a", "b"]) assert.equal(await send(node, subject), 250);
  await until("both at the hop", () => hop.subjects.length === 2);
  const other = new DatabaseSync(join(node.folder, "data", "queue.sqlite"));
  try {
    other.exec("BEGIN IMMEDIATE");
    const talk = await Talk.open(node.ports.mx);
    const refused = Promise.all(["c", "d", "e"].map((subject) => send(node, subject)));
    hop.release();
    let slowest = 0;
    for (let n = 0; n < 20; n++) {
      const begun = performance.now();
      await talk.say("NOOP");
      slowest = Math.max(slowest, performance.now() - begun);
      await sleep(50);
    }
    assert.ok(slowest < 1000, `a NOOP took ${slowest} ms`);
    assert.deepEqual(await refused, [451, 451, 451]);
    const begun = performance.now();
    assert.equal(await send(node, "f"), 451);
    assert.ok(performance.now() - begun < 3000, "nobody waits long for a lock that has been held for long");
    await until("a try to write what became of them", () => times(node, "queue.settle.failed") > 0);
    talk.close();
  } finally {
    other.close();
  }
  await until("an empty queue", async () => (await waiting(node)) === 0);
  assert.equal(await send(node, "after"), 250);
  await until("delivery", () => hop.subjects.includes("after"));
  assert.deepEqual(hop.subjects.toSorted(), ["a", "after", "b"]);
});

test("a disk that turns read-only: 451, what waits is still read and delivered, once", {
  skip: withoutChattr,
}, async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startNode({ config: relaying(hopPort) });
  assert.equal(await send(node, "a", MIB), 250);
  await until("a first attempt that is written down", () => times(node, "queue.deferred") === 1);
  const files = ["queue.sqlite", "queue.sqlite-wal"].map((name) => join(node.folder, "data", name));
  await setImmutable(files, true);
  try {
    for (const subject of ["b", "c", "d"]) assert.equal(await send(node, subject), 451);
    await using hop = await SlowHop.listen({ holding: false, port: hopPort });
    await until("delivery", () => hop.subjects.length === 1);
    assert.ok(hop.octets > MIB, "the body was read from the disk");
    await sleep(1500);
    assert.deepEqual(hop.subjects, ["a"]);
    await setImmutable(files, false);
    await until("an empty queue", async () => (await waiting(node)) === 0);
    assert.equal(await send(node, "after"), 250);
    await until("delivery", () => hop.subjects.includes("after"));
    assert.deepEqual(hop.subjects, ["a", "after"]);
  } finally {
    await setImmutable(files, false);
  }
});

test("a full mailbox disk: deferred with a reason, nothing half written, delivered when there is room", {
  skip: withoutMount,
}, async () => {
  await using node = await startNode({
    config: `[[domain]]\nname = "there.test"\ndeliver = "maildir:small/{user}"\n[queue]\nretry_first = "1s"\nretry_longest = "1s"\n`,
  });
  await mkdir(join(node.folder, "small"));
  await using disk = await SmallDisk.mount(join(node.folder, "small"), 1);
  await disk.fill(300_000);
  for (const subject of ["a", "b"]) assert.equal(await send(node, subject, 200_000), 250);
  const mail = async (part: string): Promise<string[]> => await readdir(join(node.folder, "small", "bob", part));
  await until("one deferred", () => times(node, "queue.deferred") > 0);
  assert.equal((await mail("new")).length, 1);
  assert.deepEqual(await mail("tmp"), []);
  const deferred = node.log.find((line) => line.event === "queue.deferred");
  assert.equal(deferred?.status, "4.3.1");
  await disk.free();
  await until("the other", async () => (await mail("new")).length === 2);
  assert.deepEqual(await mail("tmp"), []);
  await until("an empty queue", async () => (await waiting(node)) === 0);
});
