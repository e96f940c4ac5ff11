// What an operator's Prometheus sees: that the numbers are those of the mail, whatever the log leaves out and whoever dies.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, logged, type Node, startNode } from "../node.ts";
import { type Collected, collect } from "./collected.ts";
import { Talk } from "./talk.ts";

const USER = "ada@here.test";
const PASSWORD = "correct horse";

/** The last that was collected once it has all of `wanted`, each as `series value`, names without their beginning. */
async function collected(port: number, wanted: readonly string[]): Promise<Collected> {
  for (const until = Date.now() + 15_000; ; await sleep(100)) {
    const all = await collect(port);
    const missing = wanted.filter((line) => {
      const [, series = "", value] = /^(.+) (\S+)$/.exec(line) ?? [];
      return all.get(`postern_${series}`) !== Number(value);
    });
    if (missing.length === 0) return all;
    if (Date.now() > until) {
      const said = [...all].map(([series, value]) => `${series} ${value}`);
      throw new Error(`not collected:\n${missing.join("\n")}\n\nbut:\n${said.join("\n")}`);
    }
  }
}

async function mail(talk: Talk, from: string, to: string): Promise<string> {
  for (const line of [`MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, "DATA"]) await talk.say(line);
  return (await talk.say(`From: <${from}>\r\nSubject: hello\r\n\r\nbody\r\n.`))?.slice(0, 3) ?? "none";
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

test("what is accepted, refused, delivered, bounced and logged in with is counted, though the log is silent", async () => {
  const [port = 0] = await freePorts(1);
  await using hop = await startNode({ hostname: "hop.test", domains: ["there.test"] });
  await using node = await startNode({
    domains: ["here.test"],
    users: { [USER]: PASSWORD },
    logLevel: "warn",
    config:
      `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hop.ports.mx}"\n` +
      `[metrics]\naddress = "127.0.0.1:${port}"\n`,
  });
  const began = await collected(port, ['connections_open{service="mx",tls="starttls"} 0', "queue_messages 0"]);
  const greeted = began.get('postern_connections_total{service="mx",tls="starttls"}') ?? 0;

  const stranger = await Talk.open(node.ports.mx);
  await stranger.say("EHLO far.test");
  assert.equal(await mail(stranger, "eve@far.test", "ann@here.test"), "250");
  await stranger.say("MAIL FROM:<eve@far.test>");
  assert.match((await stranger.say("RCPT TO:<bob@there.test>")) ?? "", /^550/);

  const wrong = await Talk.openSecure(node.ports.submissions);
  await wrong.say("EHLO program.test");
  assert.match((await wrong.say(`AUTH PLAIN ${base64(`\0${USER}\0wrong`)}`)) ?? "", /^535/);
  wrong.close();
  const user = await Talk.openSecure(node.ports.submissions);
  await user.say("EHLO program.test");
  assert.match((await user.say(`AUTH PLAIN ${base64(`\0${USER}\0${PASSWORD}`)}`)) ?? "", /^235/);
  assert.equal(await mail(user, USER, "bob@there.test"), "250");
  assert.equal(await mail(user, USER, "bob@nowhere.test"), "250");
  user.close();
  await node.mailArrives("ada", 1);

  const all = await collected(port, [
    `connections_total{service="mx",tls="starttls"} ${greeted + 1}`,
    'connections_open{service="mx",tls="starttls"} 1',
    'connections_total{service="submission",tls="implicit"} 2',
    'connections_open{service="submission",tls="implicit"} 0',
    'tls_sessions_total{service="submission",version="TLSv1.3"} 2',
    'refusals_total{service="mx",code="550",status="5.7"} 1',
    'refusals_total{service="submission",code="535",status="5.7"} 1',
    'authentications_total{result="accepted",mechanism="PLAIN"} 1',
    'authentications_total{result="refused",mechanism="PLAIN"} 1',
    'messages_accepted_total{service="mx"} 1',
    'messages_accepted_total{service="submission"} 2',
    'recipients_accepted_total{service="submission"} 2',
    "accept_seconds_count 3",
    'deliveries_total{outcome="delivered"} 3',
    'deliveries_total{outcome="failed"} 1',
    'deliveries_total{outcome="expired"} 0',
    'deliveries_proven_total{proven="opportunistic"} 1',
    'deliveries_proven_total{proven="clear"} 0',
    'deliveries_insecure_total{outcome="failed"} 0',
    'reports_total{kind="delivery",result="sent"} 1',
    'log_events_total{level="warn",event="queue.failed"} 1',
    "queue_messages 0",
    "queue_in_flight_recipients 0",
  ]);
  stranger.close();
  assert.equal((await logged(node, "queue.failed")).code, 550, "the host's, by its reply");
  assert.ok((all.get('postern_accepted_bytes_total{service="mx"}') ?? 0) > 40);
  assert.ok((all.get("postern_sync_seconds_count") ?? 0) >= 3);
  const age = Date.now() / 1000 - (all.get("postern_queue_counted_timestamp_seconds") ?? 0);
  assert.ok(age < 10, `${age} s`);
  assert.ok((all.get('postern_process_resident_memory_bytes{worker="1"}') ?? 0) > 1e7);
  assert.ok((all.get('postern_process_cpu_seconds_total{worker="1",mode="user"}') ?? 0) > 0);
  assert.equal(
    node.log.some(({ level }) => level === "info" || level === "debug"),
    false,
  );
});

test("mail that waits is told of with when it is due, mail on hold too; a reload ends no count; and nothing but reading metrics is served", async () => {
  const [port = 0, nobody = 0] = await freePorts(2);
  await using node = await startNode({
    config:
      `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${nobody}"\n` +
      `[metrics]\naddress = "127.0.0.1:${port}"\n`,
  });
  const talk = await Talk.open(node.ports.mx);
  await talk.say("EHLO c.test");
  for (let at = 0; at < 3; at++) assert.equal(await mail(talk, "ada@here.test", `bob${at}@there.test`), "250");
  talk.close();
  const accepted = await logged(node, "intake.message.accepted", { count: 3 });
  await logged(node, "queue.deferred");
  assert.equal((await node.command("queue", "hold", String(accepted.id))).code, 0);
  const all = await collected(port, [
    "queue_messages 3",
    "queue_recipients 3",
    "queue_held_messages 1",
    "queue_in_flight_recipients 0",
  ]);
  const now = Date.now() / 1000;
  const due = all.get("postern_queue_next_due_timestamp_seconds") ?? 0;
  assert.ok(due > now && due < now + 3600, `due in ${due - now} s`);
  const oldest = all.get("postern_queue_oldest_timestamp_seconds") ?? 0;
  assert.ok(oldest > now - 30 && oldest <= now, `${now - oldest} s old`);
  assert.ok((all.get('postern_host_failures_total{kind="network"}') ?? 0) >= 1);
  assert.ok((all.get('postern_deliveries_total{outcome="deferred"}') ?? 0) >= 1);

  process.kill(node.pid, "SIGHUP");
  await logged(node, "daemon.reloaded");
  const before = all.get('postern_connections_total{service="mx",tls="starttls"}') ?? 0;
  const other = await Talk.open(node.ports.mx);
  await collected(port, [`connections_total{service="mx",tls="starttls"} ${before + 1}`]);
  other.close();

  const status = async (method: string, path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;
  assert.deepEqual(
    [
      await status("HEAD", "/metrics"),
      await status("POST", "/metrics"),
      await status("GET", "/"),
      await status("GET", "/.well-known/mta-sts.txt"),
    ],
    [200, 405, 404, 404],
  );
});

/** So many connections that not all of them are the same worker's but by a chance of 1 in 10^6. */
const MANY = 21;

async function sendMany(node: Node): Promise<void> {
  for (let at = 0; at < MANY; at++) {
    const talk = await Talk.open(node.ports.mx);
    await talk.say("EHLO c.test");
    assert.equal(await mail(talk, "ada@here.test", "bob@there.test"), "250");
    talk.close();
  }
}

test("workers are told as one; what one of them counted and has queued outlives it, and its death holds no collection up", async () => {
  const [port = 0, nobody = 0] = await freePorts(2);
  await using node = await startNode({
    workers: 2,
    config:
      `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${nobody}"\n` +
      `[metrics]\naddress = "127.0.0.1:${port}"\n`,
  });
  await logged(node, "daemon.started", { workers: 2 });
  await sendMany(node);
  const before = await collected(port, [
    `messages_accepted_total{service="mx"} ${MANY}`,
    `accept_seconds_count ${MANY}`,
    `queue_messages ${MANY}`,
    "workers 2",
    'worker_up{worker="1"} 1',
    'worker_up{worker="2"} 1',
    "worker_deaths_total 0",
  ]);
  assert.equal([...before.keys()].filter((name) => name.startsWith("postern_build_info")).length, 1);
  assert.equal([...before.keys()].filter((name) => name.startsWith("postern_process_open_handles")).length, 3);
  const { pid } = await logged(node, "worker.started", { worker: 2 });

  process.kill(Number(pid), "SIGKILL");
  let away = 0;
  for (let at = 0; at < 200; at++) {
    const asked = Date.now();
    const all = await collect(port);
    assert.ok(Date.now() - asked < 5000);
    assert.equal(all.get('postern_messages_accepted_total{service="mx"}'), MANY);
    assert.equal(all.get("postern_queue_messages"), MANY, "its queue is still there");
    if (all.get('postern_worker_up{worker="2"}') === 0) {
      away++;
      assert.equal(all.has('postern_process_open_handles{worker="2"}'), false);
    } else if (away > 0) break;
  }
  assert.ok(away > 0, "it was seen away");
  await sendMany(node);
  await collected(port, [
    `messages_accepted_total{service="mx"} ${2 * MANY}`,
    `queue_messages ${2 * MANY}`,
    'worker_up{worker="2"} 1',
    "worker_deaths_total 1",
    'log_events_total{level="error",event="worker.died"} 1',
  ]);
});
