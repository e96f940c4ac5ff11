// A daemon under mixed traffic for a long time: does it grow, and do the counts add up to the message.
import { createReadStream } from "node:fs";
import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCertificate } from "../../src/testing/index.ts";
import { type Node, startNode } from "../node.ts";
import { type Disturbances, disturb } from "./disturbers.ts";
import { type Growth, growthOf, type Sample } from "./growth.ts";
import { startHops } from "./hops.ts";
import { MailReader } from "./mail.ts";
import { Senders, USER } from "./senders.ts";
import { Count, type Tally } from "./tally.ts";

export interface SoakOptions {
  /** Of the steady traffic; milliseconds. */
  readonly length: number;
  /** Messages a second; by default half of what is measured first. */
  readonly rate?: number;
  readonly progress?: (line: string) => void;
}

export interface SoakReport {
  readonly peak: number | null;
  readonly rate: number;
  readonly samples: readonly Sample[];
  /** Null where the run was too short for two stretches. */
  readonly growth: readonly Growth[] | null;
  readonly tally: Tally;
  /** Recipients still in the queue at the end; a whole run ends with none. */
  readonly queued: number;
  readonly disturbances: Disturbances;
}

/** The peak is measured for a twentieth of the run, between these, milliseconds. */
const PEAK_SHARE = 1 / 20;
const SHORTEST_PEAK = 3000;
const LONGEST_PEAK = 30_000;
const COLLECT_EVERY = 500;
const DRAIN_TIMEOUT = 180_000;
const DRAIN_POLL = 250;

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { length, progress = () => {} } = options;
  const count = new Count();
  const samples: Sample[] = [];
  const pair = await makeCertificate({ names: ["hop.test"] });
  const hops = await startHops(count, pair);
  let begun: number | null = null;
  try {
    await using node = await startSoakNode(hops, (event) => {
      const sample = begun === null ? null : sampleOf(event, performance.now() - begun);
      if (sample !== null) samples.push(sample);
    });
    const senders = new Senders(node, count);
    let over = false;
    const collecting = collect(node, count, () => over);
    const peak = options.rate === undefined ? await peakOf({ length, node, senders, count }) : null;
    const rate = options.rate ?? (peak ?? 0) / 2;
    progress(`${peak === null ? "" : `peak ${peak.toFixed(0)} messages/s; `}now ${rate.toFixed(0)} messages/s`);
    begun = performance.now();
    const end = begun + length;
    const isOver = (): boolean => performance.now() > end;
    const how = {
      reloadEvery: Math.min(30_000, length / 8),
      userEvery: Math.min(20_000, length / 8),
      stay: length / 10,
    };
    const [disturbances] = await Promise.all([
      disturb(node, how, isOver),
      senders.run(rate, isOver),
      watchDisk(node, samples, { isOver, progress }),
    ]);
    begun = null;
    const queued = await drained(node);
    over = true;
    await collecting;
    // The last ones came when nobody looked at the disk any more.
    const measured = samples.filter(({ disk }) => disk > 0);
    return {
      peak,
      rate,
      samples: measured,
      growth: growthOf(measured, length),
      tally: count.close(),
      queued,
      disturbances,
    };
  } finally {
    await hops.stop();
  }
}

function startSoakNode(
  { port, brokenPort }: { readonly port: number; readonly brokenPort: number },
  onLog: (event: Readonly<Record<string, unknown>>) => void,
): Promise<Node> {
  const route = (match: string, to: number, tls: string): string =>
    `[[route]]\nmatch = "${match}"\nvia = "smtp://127.0.0.1:${to}"\ntls = "${tls}"\n`;
  return startNode({
    domains: ["maildir.test"],
    users: { [USER.name]: USER.password },
    logLevel: "info",
    onLog,
    config: [
      'pulse = "1s"', // goes on with [log], which stands last
      '[relay]\nnetworks = ["127.0.0.0/8"]',
      '[submission]\nsender = "any"\n[submission.limits]\nrecipients_per_day = 0\nnew_recipients_per_day = 0',
      '[queue]\nretry_first = "1s"\nretry_longest = "5s"',
      route("broken.test", brokenPort, "off"),
      route("clear.test", port, "off"),
      route("*", port, "encrypted"),
    ].join("\n"),
  });
}

/** Messages a second, to the last arrival, when all send as fast as they can. */
async function peakOf({
  length,
  node,
  senders,
  count,
}: {
  readonly length: number;
  readonly node: Node;
  readonly senders: Senders;
  readonly count: Count;
}): Promise<number> {
  const begun = performance.now();
  const most = Math.min(LONGEST_PEAK, Math.max(SHORTEST_PEAK, length * PEAK_SHARE));
  await senders.run(null, () => performance.now() > begun + most);
  await drained(node);
  return (count.arrivals * 1000) / (performance.now() - begun);
}

function sampleOf(event: Readonly<Record<string, unknown>>, at: number): Sample | null {
  if (event.event !== "daemon.pulse") return null;
  const { rss, heap, external, handles, loopDelay } = event;
  return {
    at,
    rss: Number(rss),
    heap: Number(heap),
    external: Number(external),
    handles: Number(handles),
    loopDelay: Number(loopDelay),
    disk: 0,
  };
}

/** Adds to each sample what the daemon's files take. */
async function watchDisk(
  node: Node,
  samples: Sample[],
  { isOver, progress }: { readonly isOver: () => boolean; readonly progress: (line: string) => void },
): Promise<void> {
  const data = join(node.folder, "data");
  for (let seen = 0; !isOver(); ) {
    await sleep(COLLECT_EVERY);
    const disk = await sizeOf(data);
    for (; seen < samples.length; seen++) {
      const sample = samples[seen];
      if (sample !== undefined) samples[seen] = { ...sample, disk };
      if (sample !== undefined && seen % 60 === 0) progress(describe({ ...sample, disk }));
    }
  }
}

export function describe({ at, rss, heap, external, disk, handles, loopDelay }: Sample): string {
  const mib = (octets: number): string => `${(octets / 1024 / 1024).toFixed(0)} MiB`;
  return (
    `${(at / 60_000).toFixed(1)} min: memory ${mib(rss)}, heap ${mib(heap)}, external ${mib(external)}, ` +
    `disk ${mib(disk)}, handles ${handles}, event loop late by ${loopDelay} ms`
  );
}

async function sizeOf(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name.includes(".sqlite"));
  const sizes = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => null)));
  return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0);
}

/** Reads what comes into the Maildir, and takes it away, as people do. */
async function collect(node: Node, count: Count, over: () => boolean): Promise<void> {
  const folder = join(node.folder, "data", "mail", "box", "new");
  for (let last = false; !last; ) {
    last = over();
    for (const name of await readdir(folder).catch(() => [])) {
      const reader = new MailReader();
      for await (const chunk of createReadStream(join(folder, name))) reader.push(chunk);
      const { number, intact } = reader.end();
      count.arrived(number, { bounce: false, intact });
      await unlink(join(folder, name));
    }
    if (!last) await sleep(COLLECT_EVERY);
  }
}

/** Waits until the queue is empty; the result is what was left in it after a long time. */
async function drained(node: Node): Promise<number> {
  const until = Date.now() + DRAIN_TIMEOUT;
  for (;;) {
    const listed = await node.command("queue", "list", "--json");
    const left: unknown = JSON.parse(listed.stdout);
    const count = Array.isArray(left) ? left.length : -1;
    if (count === 0 || Date.now() > until) return count;
    await sleep(DRAIN_POLL);
  }
}
