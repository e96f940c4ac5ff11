// A real HAProxy in front: it sends its header, and the client behind it is the client for Postern.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts, logged, type Node, startNode } from "../node.ts";
import { Talk } from "../scenarios/talk.ts";
import { needs } from "./peers.ts";

const CLIENT = "127.0.0.2";
const STRANGER = "127.0.0.3";

/** How HAProxy is told to speak, by the name of the way in. */
const SENDERS = {
  v1: "send-proxy",
  v2: "send-proxy-v2",
  checksum: "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority",
} as const;
type Way = keyof typeof SENDERS | "health" | "implicit";

describe("mail through HAProxy", await needs("haproxy"), () => {
  let node: Node;
  let haproxy: ChildProcess;
  const ways = new Map<Way, number>();

  before(async () => {
    const [proxied = 0, implicit = 0, ...free] = await freePorts(7);
    for (const [at, way] of (["v1", "v2", "checksum", "health", "implicit"] as const).entries()) {
      ways.set(way, free[at] ?? 0);
    }
    const listener = (port: number, tls: string) =>
      `[[listener]]\naddress = "127.0.0.1:${port}"\nservice = "mx"\ntls = "${tls}"\nproxy = ["127.0.0.1"]\n`;
    node = await startNode({
      domains: ["here.test"],
      config: [
        listener(proxied, "starttls"),
        listener(implicit, "implicit"),
        `[relay]\nnetworks = ["${CLIENT}"]\n`,
        `[limits]\nconnections_per_address = 3\n`,
        `[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:1"\n`,
      ].join("\n"),
    });
    const section = (way: Way, to: number, options: string, more = "") =>
      `listen ${way}\n  bind 127.0.0.1:${ways.get(way)}\n${more}  server s 127.0.0.1:${to} ${options}\n`;
    const file = join(node.folder, "haproxy.cfg");
    const sections = [
      "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n",
      ...(["v1", "v2", "checksum"] as const).map((way) => section(way, proxied, SENDERS[way])),
      section(
        "health",
        proxied,
        "send-proxy-v2 check check-send-proxy inter 200",
        "  option smtpchk EHLO haproxy.test\n",
      ),
      section("implicit", implicit, SENDERS.v2),
    ];
    await writeFile(file, sections.join("\n"));
    haproxy = spawn("haproxy", ["-db", "-f", file], { stdio: "ignore" });
    for (const port of ways.values()) await listening(port);
  });
  after(async () => {
    if (haproxy?.exitCode === null) {
      haproxy.kill("SIGKILL");
      await once(haproxy, "exit");
    }
    await node?.[Symbol.asyncDispose]();
  });

  const way = (name: Way): number => ways.get(name) ?? 0;

  async function send(talk: Talk, to: string): Promise<void> {
    for (const line of ["EHLO client.test", "MAIL FROM:<a@client.test>", `RCPT TO:<${to}@here.test>`]) {
      assert.match((await talk.say(line)) ?? "", /^250/, line);
    }
    assert.match((await talk.say("DATA")) ?? "", /^354/);
    assert.match((await talk.say(`Subject: ${to}\r\n\r\nby a proxy\r\n.`)) ?? "", /^250 2\.0\.0/);
    assert.match((await talk.say("QUIT")) ?? "", /^221/);
  }

  for (const name of ["v1", "v2", "checksum"] as const) {
    test(`${SENDERS[name]}: the trace field and the log name the client`, async () => {
      await send(await Talk.open(way(name), CLIENT), name);
      const [mail = ""] = await node.mailArrives(name, 1);
      assert.match(mail, /Received: from client\.test \(\[127\.0\.0\.2\]\)/);
      await logged(node, "session.opened", { peer: CLIENT, proxy: "127.0.0.1" });
    });
  }

  test("STARTTLS behind the header, and TLS from the first octet: the client is still the client", async () => {
    const talk = await Talk.open(way("v2"), CLIENT);
    await talk.say("EHLO client.test");
    await talk.secure();
    await send(talk, "starttls");
    await send(await Talk.openSecure(way("implicit"), CLIENT), "implicit");
    for (const user of ["starttls", "implicit"]) {
      const [mail = ""] = await node.mailArrives(user, 1);
      assert.match(mail, /Received: from client\.test \(\[127\.0\.0\.2\]\)\s+\(using TLSv1\.3/);
    }
  });

  test("the client may relay by its own address, not by the proxy's", async () => {
    for (const [from, expected] of [
      [CLIENT, /^250 /],
      [STRANGER, /^550 5\.7\.1 /],
    ] as const) {
      const talk = await Talk.open(way("v2"), from);
      await talk.say("EHLO client.test");
      await talk.say("MAIL FROM:<a@client.test>");
      assert.match((await talk.say("RCPT TO:<x@elsewhere.test>")) ?? "", expected, from);
      talk.close();
    }
  });

  test("each client has its own limit of connections", async () => {
    const talks: Talk[] = [];
    const open = async (from: string) => {
      const talk = await Talk.open(way("v2"), from);
      talks.push(talk);
      return await talk.say("NOOP");
    };
    for (let i = 0; i < 3; i++) assert.match((await open("127.0.0.4")) ?? "", /^250/);
    assert.doesNotMatch((await open("127.0.0.4")) ?? "", /^250/);
    assert.match((await open("127.0.0.5")) ?? "", /^250/);
    for (const talk of talks) talk.close();
  });

  test("its health checks speak for themselves, and the service is up", async () => {
    // LOCAL: the peer is the proxy itself.
    await logged(node, "session.opened", { peer: "127.0.0.1", proxy: "127.0.0.1" });
    await sleep(300);
    const talk = await Talk.open(way("health"), CLIENT);
    assert.match((await talk.say("NOOP")) ?? "", /^250/);
    talk.close();
    assert.deepEqual(
      node.log.filter(({ event }) => event === "session.proxy-failed"),
      [],
    );
  });
});

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = createConnection({ host: "127.0.0.1", port });
    const connected = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on ${port}`);
}
