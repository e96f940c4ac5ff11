// Peers that no honest program is like: whatever they do, the daemon goes on serving the others, in bounded memory.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Node, startNode } from "../node.ts";
import { Talk } from "./talk.ts";

const PATIENCE = 15_000;
const MIB = 1024 * 1024;
/** A limit of the daemon under test, and how many come. */
const PER_ADDRESS = 50;
const CROWD = 200;
/** What the process may grow by over all of this; a body kept whole or an endless line would be more. */
const GROWTH = 96 * MIB;

/** A peer without manners: it writes what it likes, and may forget to read. */
class Rude {
  readonly socket: Socket;
  text = "";
  closed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
  }

  static async open(port: number, { reads = true } = {}): Promise<Rude> {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    const rude = new Rude(socket);
    await once(socket, "connect", { signal: AbortSignal.timeout(PATIENCE) });
    if (reads) socket.on("data", (octets: Buffer) => (rude.text += octets.toString("latin1")));
    return rude;
  }

  write(octets: string | Uint8Array): void {
    if (!this.closed) this.socket.write(octets);
  }

  /** Waits until what was heard matches. */
  async hears(pattern: RegExp): Promise<void> {
    await until(
      () => pattern.test(this.text),
      () => `heard ${JSON.stringify(this.text.slice(-300))}, not ${pattern}`,
    );
  }

  async ends(): Promise<void> {
    await until(
      () => this.closed || this.socket.readableEnded,
      () => "the daemon did not close the connection",
    );
    this.socket.destroy();
  }
}

async function until(done: () => boolean | Promise<boolean>, problem: () => string): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!(await done())) {
    if (Date.now() > end) throw new Error(problem());
    await sleep(10);
  }
}

/** Octets of memory that the process has now (Linux; elsewhere 0, and only the rest is tested). */
async function residentOctets(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

async function deliver(node: Node, user: string): Promise<void> {
  const talk = await Talk.open(node.ports.mx);
  for (const [line, code] of [
    ["EHLO client.test", "250"],
    ["MAIL FROM:<a@client.test>", "250"],
    [`RCPT TO:<${user}@here.test>`, "250"],
    ["DATA", "354"],
    [`Subject: ${user}\r\n\r\nStill served.\r\n.`, "250"],
    ["QUIT", "221"],
  ] as const) {
    assert.equal((await talk.say(line))?.slice(0, 3), code, line);
  }
  talk.close();
  await node.mailArrives(user, 1);
}

describe("hostile peers", () => {
  let node: Node;
  let sizeAtFirst: number;
  before(async () => {
    node = await startNode({
      domains: ["here.test"],
      config: `[limits]\nconnections_per_address = ${PER_ADDRESS}\nmessage_size = "4 MiB"\n[timeouts]\ncommand = "2s"\ndata = "2s"\nhandshake = "2s"\n`,
    });
    await deliver(node, "first");
    sizeAtFirst = await residentOctets(node.pid);
  });
  after(async () => {
    await node?.[Symbol.asyncDispose]();
  });

  test("HTTP is refused at its first line, and nothing in it becomes a command", async () => {
    const browser = await Rude.open(node.ports.mx);
    browser.write(
      "POST / HTTP/1.1\r\nHost: mx\r\n\r\nEHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<http@here.test>\r\nDATA\r\n",
    );
    await browser.ends();
    assert.match(browser.text, /^220 [^\r]*\r\n554 5\.5\.1 [^\r]*\r\n$/);
  });

  test("who talks before the greeting on a TLS port, or sends garbage for a handshake, is let go", async () => {
    const early = await Rude.open(node.ports.submissions);
    early.write("EHLO client.test\r\n");
    await early.ends();
    const garbage = await Rude.open(node.ports.mx);
    garbage.write("EHLO client.test\r\n");
    await garbage.hears(/^250 /m);
    garbage.write("STARTTLS\r\n");
    await garbage.hears(/^220 2\.0\.0/m);
    garbage.write(new Uint8Array(4096).fill(0x16));
    await garbage.ends();
    const silent = await Rude.open(node.ports.submissions);
    await silent.ends();
    const injected = await Rude.open(node.ports.mx);
    injected.write("EHLO client.test\r\n");
    await injected.hears(/^250 /m);
    injected.write("STARTTLS\r\nMAIL FROM:<a@x.test>\r\n");
    await injected.ends();
    assert.match(injected.text, /554 5\.5\.0 [^\r]*\r\n$/);
  });

  test("a crowd from one address gets 421 past its limit, and its places are free again", async () => {
    const crowd = await Promise.all(Array.from({ length: CROWD }, () => Rude.open(node.ports.mx)));
    await Promise.all(crowd.map((one) => one.hears(/^(?:220|421)[^\r]*\r\n/)));
    const turnedAway = crowd.filter(({ text }) => text.startsWith("421 4.7.0"));
    assert.equal(turnedAway.length, CROWD - PER_ADDRESS);
    for (const one of crowd) one.socket.destroy();
    await until(
      async () => {
        const talk = await Rude.open(node.ports.mx);
        await talk.hears(/^(?:220|421)/);
        talk.socket.destroy();
        return talk.text.startsWith("220");
      },
      () => "no place became free",
    );
  });

  test("a line without end, and one octet at a time, end by the deadline of a command", async () => {
    const endless = await Rude.open(node.ports.mx);
    const piece = new Uint8Array(64 * 1024).fill(0x41);
    const feed = setInterval(() => endless.write(piece), 5);
    const drip = await Rude.open(node.ports.mx);
    const drop = setInterval(() => drip.write("N"), 50);
    await Promise.all([endless.hears(/^421 4\.4\.2/m), drip.hears(/^421 4\.4\.2/m)]);
    await Promise.all([endless.ends(), drip.ends()]);
    clearInterval(feed);
    clearInterval(drop);
  });

  test("a body that is cut off, stalls, or grows past all bounds is not delivered, in whole or in part", async () => {
    const start = async (user: string) => {
      const peer = await Rude.open(node.ports.mx);
      peer.write(`EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<${user}@here.test>\r\n`);
      await peer.hears(/^250 2\.1\.5/m);
      peer.write("DATA\r\n");
      await peer.hears(/^354/m);
      peer.write("Subject: half\r\n\r\nhalf a message\r\n");
      return peer;
    };
    const [cut, stalled, huge] = await Promise.all(["cut", "stalled", "huge"].map(start));
    assert.ok(cut && stalled && huge);
    cut.write(".\r");
    cut.socket.destroy();
    const line = Buffer.from(`${"x".repeat(998)}\r\n`.repeat(256));
    while (!huge.closed && !/^552/m.test(huge.text)) {
      huge.write(line);
      await until(
        () => huge.closed || huge.socket.writableLength < MIB,
        () => "the daemon stopped reading",
      );
      await sleep(0);
    }
    await stalled.hears(/^421 4\.4\.2/m);
    await stalled.ends();
    await huge.ends();
    const aborted = () => node.log.filter(({ event }) => event === "intake.message.aborted").length;
    await until(
      () => aborted() === 3,
      () => "the drafts were not thrown away",
    );
    for (const user of ["cut", "stalled", "huge"]) assert.deepEqual(await node.mail(user), []);
    const queue = await node.command("queue", "list", "--json");
    assert.equal(queue.code, 0, queue.stderr);
    assert.doesNotMatch(queue.stdout, /cut@|stalled@|huge@/);
  });

  test("a thousand recipients are taken, the next one is asked to come again", async () => {
    const many = await Rude.open(node.ports.mx);
    const recipients = Array.from({ length: 1001 }, (_, i) => `RCPT TO:<u${i}@here.test>\r\n`);
    many.write(`EHLO client.test\r\nMAIL FROM:<a@client.test>\r\n${recipients.join("")}RSET\r\nQUIT\r\n`);
    await many.ends();
    assert.equal(many.text.match(/^250 2\.1\.5/gm)?.length, 1000);
    assert.match(many.text, /452 4\.5\.3 [^\r]*\r\n250 2\.0\.0 [^\r]*\r\n221 [^\r]*\r\n$/);
  });

  test("a peer that floods and never reads is bounded", async () => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => Rude.open(node.ports.mx, { reads: false })));
    const group = "EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<x@here.test>\r\n".repeat(2000);
    for (const peer of peers) {
      peer.socket.pause();
      peer.write(group);
    }
    await deliver(node, "meanwhile");
    for (const peer of peers) peer.socket.destroy();
  });

  test("after all of it the daemon serves, in the memory it had", async () => {
    await deliver(node, "last");
    const grown = (await residentOctets(node.pid)) - sizeAtFirst;
    assert.ok(grown < GROWTH, `grew by ${Math.round(grown / MIB)} MiB`);
    assert.deepEqual(
      node.log.filter(({ level }) => level === "error"),
      [],
    );
  });
});
