// Kills a daemon under load by SIGKILL at random moments, starts it again, and counts: what was answered 250 must arrive.
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeUtf8, mathRandom, type Random, unwrap } from "../../src/base/index.ts";
import { type ClientSession, openSession } from "../../src/client/index.ts";
import { connect } from "../../src/net/index.ts";
import { createServer, definePolicy, type MessageSink } from "../../src/server/index.ts";
import { parseMailbox, reply } from "../../src/smtp/index.ts";
import { type Node, startNode } from "../node.ts";

export interface CrashOptions {
  readonly rounds: number;
  /** Processes that serve; 1 by default. With more, in every other round one of them is killed and the others go on. */
  readonly workers?: number;
  /** Sending at once. */
  readonly senders?: number;
  readonly random?: Random;
  /** Told after each round. */
  readonly progress?: (line: string) => void;
}

export interface CrashCounts {
  /** Transactions begun. */
  readonly sent: number;
  readonly acknowledged: number;
  /** Different messages that arrived. */
  readonly delivered: number;
  /** Arrivals beyond the first of each message. */
  readonly repeated: number;
  /** Acknowledged and not arrived: the promise broken. */
  readonly lost: readonly number[];
  /** Arrived, yet not as it was sent. */
  readonly altered: readonly number[];
}

const SENDERS = 8;
/** A round lives between these, milliseconds; the queue is busy from the first on. */
const SHORTEST = 80;
const LONGEST = 700;
const DRAIN_TIMEOUT = 60_000;
const PADDING = "0123456789 padding that makes a message of some size\r\n";

/** Half of the mail ends in a Maildir, half at a next hop that this process is. */
export async function crash(options: CrashOptions): Promise<CrashCounts> {
  const random = options.random ?? mathRandom;
  const arrivals = new Arrivals();
  const hop = await startHop(arrivals);
  const load = new Load();
  try {
    await using node = await startNode({
      domains: ["maildir.test"],
      workers: options.workers ?? 1,
      config: `[relay]\nnetworks = ["127.0.0.0/8"]\n[[route]]\nmatch = "*"\nvia = "smtp://127.0.0.1:${hop.port}"\n`,
    });
    for (let round = 1; round <= options.rounds; round++) {
      if (round > 1) await node.start();
      const sending = load.run(node.ports.mx, options.senders ?? SENDERS);
      await sleep(SHORTEST + random.next() * (LONGEST - SHORTEST));
      if (round % 2 === 0 && killOne(node, random)) await sleep(SHORTEST + random.next() * (LONGEST - SHORTEST));
      await node.kill("SIGKILL");
      await sending;
      options.progress?.(`round ${round}: ${load.acknowledged.size} acknowledged of ${load.sent} so far`);
    }
    await node.start();
    await drain(node);
    await arrivals.readMaildir(join(node.folder, "data", "mail"));
  } finally {
    await hop.stop();
  }
  return {
    sent: load.sent,
    acknowledged: load.acknowledged.size,
    delivered: arrivals.counts.size,
    repeated: [...arrivals.counts.values()].reduce((sum, count) => sum + count - 1, 0),
    lost: [...load.acknowledged].filter((number) => !arrivals.counts.has(number)),
    altered: arrivals.altered,
  };
}

/** Kills one of the workers that run by now; false where there are none. */
function killOne(node: Node, random: Random): boolean {
  const pids = node.log
    .flatMap(({ event, pid }) => (event === "worker.started" ? [Number(pid)] : []))
    .filter((pid) => parentOf(pid) === node.pid);
  const pid = pids[Math.floor(random.next() * pids.length)];
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  return pid !== undefined;
}

/** Null where there is no such process any more. */
function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return null;
  }
}

/** Sends numbered messages until the daemon is gone, and remembers which were answered 250. */
class Load {
  readonly acknowledged = new Set<number>();
  sent = 0;

  async run(port: number, senders: number): Promise<void> {
    await Promise.all(Array.from({ length: senders }, () => this.#send(port)));
  }

  async #send(port: number): Promise<void> {
    const session = await open(port);
    for (let alive = session !== null; alive && session?.usable === true; ) {
      const number = ++this.sent;
      const body = encodeUtf8(text(number));
      const domain = number % 2 === 0 ? "maildir.test" : "hop.test";
      const [result] = await session.send({
        reversePath: null,
        parameters: {},
        recipients: [{ mailbox: unwrap(parseMailbox(`user@${domain}`)), parameters: {} }],
        body: { size: body.length, chunks: () => [body] },
      });
      alive = result?.kind === "accepted";
      if (alive) this.acknowledged.add(number);
    }
    session?.destroy();
  }
}

async function open(port: number): Promise<ClientSession | null> {
  const stream = await connect({ addresses: ["127.0.0.1"], port, timeout: 2000 });
  if (!stream.ok) return null;
  const session = await openSession({ stream: stream.value, hello: "load.test", tls: { kind: "none" } });
  return session.ok ? session.value : null;
}

function text(number: number): string {
  return `X-Number: ${number}\r\nSubject: crash\r\n\r\n${PADDING.repeat(1 + (number % 120))}end ${number}\r\n`;
}

class Arrivals {
  readonly counts = new Map<number, number>();
  readonly altered: number[] = [];

  take(message: string): void {
    const number = Number(/^X-Number: (\d+)\r$/m.exec(message)?.[1]);
    this.counts.set(number, (this.counts.get(number) ?? 0) + 1);
    if (!message.endsWith(text(number))) this.altered.push(number);
  }

  async readMaildir(mail: string): Promise<void> {
    const folder = join(mail, "user", "new");
    for (const name of await readdir(folder)) this.take(await readFile(join(folder, name), "latin1"));
  }
}

async function startHop(arrivals: Arrivals): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const sink = (): MessageSink => {
    const chunks: Uint8Array[] = [];
    return {
      write: (chunk) => void chunks.push(chunk.slice()),
      finish() {
        arrivals.take(Buffer.concat(chunks).toString("latin1"));
        return reply(250, "2.0.0", "taken");
      },
      abort() {},
    };
  };
  const server = createServer({
    hostname: "hop.test",
    listeners: [{ address: "127.0.0.1", port: 0, tls: "none" }],
    policy: definePolicy({ body: () => ({ kind: "accept", sink: sink() }) }),
  });
  const [endpoint] = unwrap(await server.start());
  return { port: endpoint?.port ?? 0, stop: () => server.stop({ grace: 0 }) };
}

/** Waits until the queue is empty. */
async function drain(node: Node): Promise<void> {
  const until = Date.now() + DRAIN_TIMEOUT;
  for (;;) {
    const listed = await node.command("queue", "list", "--json");
    const left: unknown = JSON.parse(listed.stdout);
    if (Array.isArray(left) && left.length === 0) return;
    if (Date.now() > until) throw new Error(`the queue does not drain: ${listed.stdout.slice(0, 2000)}`);
    await sleep(250);
  }
}
