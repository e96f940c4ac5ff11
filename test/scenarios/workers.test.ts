// Several processes on the same ports: that they share the work, that what dies comes back, and that no mail is forgotten.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { freePorts, type Node, postern, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

/** So many connections that not all of them are the same worker's but by a chance of 1 in 10^8. */
const MANY = 28;

interface Listed {
  readonly id: string;
  readonly held: boolean;
}

type Event = Readonly<Record<string, unknown>>;

/** Two workers that relay everything over one hop, at which nobody may be listening. */
async function startPair(hopPort: number): Promise<Node> {
  const node = await startNode({
    domains: ["here.test"],
    workers: 2,
    config:
      `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hopPort}"\ntls = "off"\n` +
      `[queue]\nretry_first = "1s"\nretry_longest = "1s"\n`,
  });
  await allRun(node, 1);
  return node;
}

/** Waits until all workers have been running `times` times. */
async function allRun(node: Node, times: number): Promise<void> {
  await until(() => events(node, "daemon.started").filter(({ worker }) => worker === undefined).length >= times);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error(`did not come true: ${condition}`);
}

function events(node: Node, event: string): readonly Event[] {
  return node.log.filter((line) => line.event === event);
}

/** The process ids of worker `worker`, in the order of its lives. */
function pidsOf(node: Node, worker: number): readonly number[] {
  return events(node, "worker.started")
    .filter((event) => event.worker === worker)
    .map(({ pid }) => Number(pid));
}

/** One that ended and that nobody waited for, an orphan, is not alive. */
function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "latin1"));
}

/** Sends `count` messages, each over a connection of its own, and returns their ids, which the replies tell. */
async function send(node: Node, count: number, to = "bob@there.test"): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let number = 1; number <= count; number++) {
    const talk = await Talk.open(node.ports.mx);
    for (const line of ["EHLO client.test", "MAIL FROM:<ada@here.test>", `RCPT TO:<${to}>`, "DATA"])
      await talk.say(line);
    const said = await talk.say(`Subject: number ${number}\r\n\r\nbody\r\n.`);
    const id = /\b[0-9A-HJKMNP-TV-Z]{11}\b/.exec(said ?? "")?.[0];
    assert.ok(id !== undefined, said ?? "no reply");
    ids.push(id);
    talk.close();
  }
  return ids.sort();
}

async function list(node: Node): Promise<readonly Listed[]> {
  const listed = await node.command("queue", "list", "--json");
  assert.equal(listed.code, 0, listed.stderr);
  return JSON.parse(listed.stdout);
}

async function listedIds(node: Node): Promise<readonly string[]> {
  return (await list(node)).map(({ id }) => id);
}

/** Which worker took which message. */
function takers(node: Node): ReadonlyMap<unknown, unknown> {
  return new Map(events(node, "intake.message.accepted").map(({ id, worker }) => [id, worker]));
}

/** Starts the hop, and waits until each of `count` messages came there. */
async function allArrive(hopPort: number, count: number): Promise<void> {
  await using hop = await startNode({ hostname: "hop.test", domains: ["there.test"], mxPort: hopPort });
  const distinct = async (): Promise<number> => {
    const mail = await hop.mail("bob");
    return new Set(mail.map((text) => /^Subject: number (\d+)\r$/m.exec(text)?.[1])).size;
  };
  await until(async () => (await distinct()) >= count);
}

async function configure(node: Node, workers: number): Promise<void> {
  const text = await readFile(node.config, "utf8");
  await writeFile(node.config, text.replace(/^workers = .*$/m, `workers = ${workers}`));
}

test("both take connections, and their queues are one to the operator, running and stopped", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startPair(hopPort);
  const ids = await send(node, MANY);
  assert.equal(new Set(ids).size, MANY);
  const taken = takers(node);
  assert.deepEqual(new Set(taken.values()), new Set([1, 2]), "both took mail");
  assert.deepEqual(await listedIds(node), ids);
  for (const worker of [1, 2]) {
    const id = ids.find((each) => taken.get(each) === worker) ?? "";
    const shown = await node.command("queue", "show", id);
    assert.match(shown.stdout, /bob@there\.test/);
    // In flight for a moment now and then: its hop is tried each second.
    await until(async () => (await node.command("queue", "hold", id)).code === 0);
  }
  assert.equal((await list(node)).filter(({ held }) => held).length, 2);
  const counted = await node.command("queue", "count", "--json");
  const { messages, held } = JSON.parse(counted.stdout);
  assert.deepEqual({ messages, held }, { messages: MANY, held: 2 });
  const paged = await node.command("queue", "list", "--json", "--limit", "5", "--after", ids[9] ?? "");
  assert.deepEqual(
    (JSON.parse(paged.stdout) as readonly Listed[]).map(({ id }) => id), // printed by `queue list`
    ids.slice(10, 15),
  );
  const unknown = await node.command("queue", "hold", "00000000000");
  assert.equal(unknown.code, 1);
  assert.equal(unknown.stderr.trim().split("\n").length, 1, unknown.stderr);
  assert.equal(await node.kill("SIGTERM"), 0);
  assert.deepEqual(await listedIds(node), ids);
  assert.equal((await node.command("queue", "remove", "--all")).code, 0);
  assert.deepEqual(await listedIds(node), []);
});

test("users log in at each of them, and what they share bears all of them", async () => {
  await using node = await startNode({
    domains: ["here.test"],
    workers: 2,
    users: { "ada@here.test": "first password" },
  });
  await allRun(node, 1);
  const login = async (password: string): Promise<string> => {
    const talk = await Talk.openSecure(node.ports.submissions);
    await talk.say("EHLO client.test");
    const said = await talk.say(`AUTH PLAIN ${btoa(`\0ada@here.test\0${password}`)}`);
    talk.close();
    return said?.slice(0, 3) ?? "none";
  };
  const logins = (password: string): Promise<readonly string[]> =>
    Promise.all(Array.from({ length: MANY }, () => login(password)));
  assert.deepEqual(new Set(await logins("first password")), new Set(["235"]));
  assert.deepEqual(new Set(events(node, "session.authenticated").map(({ worker }) => worker)), new Set([1, 2]));
  const removed = await node.command("user", "remove", "ada@here.test");
  assert.equal(removed.code, 0, removed.stderr);
  const added = await node.command("user", "add", "ada@here.test", "--password-stdin", { stdin: "second password" });
  assert.equal(added.code, 0, added.stderr);
  assert.deepEqual(new Set(await logins("second password")), new Set(["235"]), "known to all at once");
  assert.equal(await node.kill("SIGTERM"), 0);
  const trouble = node.log.filter(
    ({ level, event }) => level === "error" || /^(?:trust|intake\.auth)\./.test(String(event)),
  );
  assert.deepEqual(trouble, []);
});

test("a worker that is killed comes back with its queue, and the other goes on meanwhile", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startPair(hopPort);
  const ids = await send(node, MANY);
  const talks = await Promise.all(Array.from({ length: MANY }, () => Talk.open(node.ports.mx)));
  const [victim = 0] = pidsOf(node, 2);
  process.kill(victim, "SIGKILL");
  const answers = await Promise.all(talks.map((talk) => talk.say("NOOP").catch(() => null)));
  for (const talk of talks) talk.close();
  const kept = answers.filter((answer) => answer?.startsWith("250") === true).length;
  assert.ok(kept > 0 && kept < MANY, `${kept} of ${MANY} sessions went on`);
  assert.deepEqual(await listedIds(node), ids, "also while it is away");
  await until(() => pidsOf(node, 2).length === 2);
  assert.equal(pidsOf(node, 1).length, 1);
  assert.equal(events(node, "worker.died")[0]?.signal, "SIGKILL");
  await allArrive(hopPort, MANY);
  await until(async () => (await list(node)).length === 0);
});

test("a supervisor that is killed takes its workers with it, and the next one finds all mail", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startPair(hopPort);
  const ids = await send(node, MANY);
  const pids = [...pidsOf(node, 1), ...pidsOf(node, 2)];
  await node.kill("SIGKILL");
  await node.start();
  await allRun(node, 2);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.deepEqual(await listedIds(node), ids);
});

test("SIGHUP puts a new certificate into use in all of them", async () => {
  await using node = await startPair(9);
  const shown = async (): Promise<string> => {
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO client.test");
    const { fingerprint256 } = (await talk.secure()).getPeerCertificate();
    talk.close();
    return fingerprint256;
  };
  const before = await shown();
  const pair = await makeCertificate({ names: ["node.test"] });
  await writeFile(join(node.folder, "cert.pem"), pair.certificate);
  await writeFile(join(node.folder, "key.pem"), pair.privateKey);
  process.kill(node.pid, "SIGHUP");
  await until(() => events(node, "daemon.reloaded").length === 2);
  const after = new Set(await Promise.all(Array.from({ length: MANY }, shown)));
  assert.equal(after.size, 1);
  assert.ok(!after.has(before));
});

test("SIGTERM lets what runs in any of them end, and leaves no process behind", async () => {
  await using node = await startPair(9);
  const pids = [...pidsOf(node, 1), ...pidsOf(node, 2)];
  const talks = await Promise.all(Array.from({ length: MANY }, () => Talk.open(node.ports.mx)));
  for (const [at, talk] of talks.entries()) {
    for (const line of ["EHLO busy.test", "MAIL FROM:<a@busy.test>", "RCPT TO:<last@here.test>", "DATA"])
      await talk.say(line);
    talk.send(`Subject: number ${at}\r\n\r\nfirst half, `);
  }
  const ended = node.kill("SIGTERM");
  await until(() => events(node, "daemon.stopping").length === 3);
  for (const talk of talks) talk.send("second half\r\n.\r\n");
  for (const talk of talks) assert.match((await talk.reply()) ?? "", /^250 2\.0\.0 /);
  assert.equal(await ended, 0);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.equal(events(node, "worker.killed").length, 0);
  await node.start();
  const mail = await node.mailArrives("last", MANY);
  assert.equal(mail.filter((text) => text.endsWith("first half, second half\r\n")).length, MANY);
});

test("from two workers to one and back no mail is forgotten", async () => {
  const [hopPort = 0] = await freePorts(1);
  await using node = await startPair(hopPort);
  const ids = await send(node, MANY);
  assert.equal(await node.kill("SIGTERM"), 0);
  await configure(node, 1);
  await node.start();
  await until(() => events(node, "worker.queue.adopted").length === 1);
  assert.deepEqual(await listedIds(node), ids);
  await allArrive(hopPort, MANY);
  await until(async () => (await list(node)).length === 0);

  assert.equal(await node.kill("SIGTERM"), 0);
  await node.start();
  await until(() => events(node, "worker.queue.emptied").length === 1);
  assert.equal(existsSync(join(node.folder, "data", "workers", "2")), false, "an empty queue is not kept");

  assert.equal(await node.kill("SIGTERM"), 0);
  await configure(node, 2);
  await node.start();
  await allRun(node, 2);
  const more = await send(node, MANY);
  assert.deepEqual(await listedIds(node), more);
});

test("what keeps workers from starting is said in one line, with exit code 1", async () => {
  await using node = await startPair(9);
  const second = await postern(["serve", "--config", node.config]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^postern: another daemon runs on this data folder[^\n]*\n$/);

  // Ports that are shared would let it take a part of the mail of the first.
  const config = join(node.folder, "second.toml");
  const text = await readFile(node.config, "utf8");
  await writeFile(config, text.replace('data_dir = "data"', 'data_dir = "other"'));
  const thief = await postern(["serve", "--config", config]);
  assert.equal(thief.code, 1);
  assert.match(thief.stderr, new RegExp(`127\\.0\\.0\\.1:${node.ports.mx} is already taken`));

  const [free = 0] = await freePorts(1);
  const listener = `[[listener]]\naddress = "127.0.0.1:${free}"\nservice = "mx"\n[tls]\n`;
  const files = 'certificate = "missing.pem"\nprivate_key = "key.pem"\n';
  await writeFile(config, `hostname = "second.test"\ndata_dir = "other"\nworkers = 2\n${listener}${files}`);
  const broken = await postern(["serve", "--config", config]);
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /^postern: [^\n]*missing\.pem cannot be read \(ENOENT\)[^\n]*\n$/);
});
