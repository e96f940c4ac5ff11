import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type BenchOptions,
  head,
  load,
  type Measure,
  median,
  quiet,
  row,
  Sink,
  startSubjects,
  stopAll,
  TARPIT_PORT,
} from "../harness.ts";
import { cpuSeconds, type Subject } from "../subject.ts";
import type { TarpitTask } from "../tarpit.ts";

const REPLY_MS = 5000;
const MESSAGES = 10_000;
/** Sick hosts that share the mail for the sick. */
const TARPITS = [1, 20];

const address = (tarpit: number): string => `127.0.1.${tarpit + 1}`;
const domain = (tarpit: number): string => `tar${tarpit}.test`;
const route = (tarpit: number): string =>
  `[[route]]\nmatch = "${domain(tarpit)}"\nvia = "smtp://${address(tarpit)}:${TARPIT_PORT}"\ntls = "off"\n`;

interface Round {
  readonly rate: number;
  readonly cpu: number;
}

/**
 * Two servers, one without and one with all the mail for the tar-pits in its queue and being tried, take and deliver the mail for the
 * fast host in turn.
 */
export const tarpit: Measure = {
  name: "tarpit",
  what: "mail for a fast host, alone and beside as much for one tar-pit, and for twenty",
  async run(options) {
    head("tar-pits", "alone, messages/s", "beside", "ratio, lowest–highest", "CPU s per 1,000, alone", "beside");
    for (const tarpits of TARPITS) await beside(options, tarpits);
  },
};

async function beside(options: BenchOptions, tarpits: number): Promise<void> {
  const messages = options.messages ?? MESSAGES;
  const sink = await Sink.start({ size: options.size, certificate: null, privateKey: null });
  const names = Array.from({ length: tarpits }, (_, n) => n);
  const task: TarpitTask = { addresses: names.map(address), port: TARPIT_PORT, wait: REPLY_MS };
  const pit = fork(fileURLToPath(new URL("../tarpit.ts", import.meta.url)), [JSON.stringify(task)]);
  await once(pit, "message");
  const config = names.map(route).join("\n");
  const [alone, sick] = [
    await startSubjects(["postern"], options, { postern: { config } }),
    await startSubjects(["postern"], options, { postern: { config } }),
  ];
  try {
    const [[first], [second]] = [alone, sick];
    if (first === undefined || second === undefined) throw new Error("Postern is to be among the servers");
    // The first round does not count: the code is compiled then.
    const taken: (readonly [alone: Round, beside: Round])[] = [];
    for (const subject of [first, second]) await fast(options, subject, sink, messages);
    for (const n of names) {
      const shape = { connections: options.connections, size: options.size, mode: "reuse", starttls: false } as const;
      const share = Math.ceil(messages / tarpits);
      await load(second, { ...shape, messages: share, recipient: `slow@${domain(n)}`, firstNumber: 1 });
    }
    await quiet(second);
    while (taken.length < options.rounds) {
      const solo = await fast(options, first, sink, messages);
      taken.push([solo, await fast(options, second, sink, messages)]);
    }
    print(tarpits, taken);
  } finally {
    // What waits for a tar-pit would keep a graceful stop waiting, too.
    pit.disconnect();
    await stopAll([...alone, ...sick]);
    sink.stop();
  }
}

/** From the first connection to the last message at the sink. */
async function fast(options: BenchOptions, subject: Subject, sink: Sink, messages: number): Promise<Round> {
  const before = cpuSeconds(subject.pid);
  const { seconds, startedAt } = await load(subject, {
    connections: options.connections,
    size: options.size,
    mode: "reuse",
    starttls: false,
    messages,
    recipient: "sink@relay.test",
    firstNumber: sink.nextNumber,
  });
  const { lastAt } = await sink.arrived(messages);
  await quiet(subject);
  return {
    rate: messages / Math.max(seconds, (lastAt - startedAt) / 1000),
    cpu: ((cpuSeconds(subject.pid) - before) * 1000) / messages,
  };
}

function print(tarpits: number, taken: readonly (readonly [alone: Round, beside: Round])[]): void {
  const ratios = taken.map(([alone, beside]) => beside.rate / alone.rate);
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  row(
    tarpits,
    median(taken.map(([alone]) => alone.rate)).toFixed(0),
    median(taken.map(([, beside]) => beside.rate)).toFixed(0),
    `${median(ratios).toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`,
    median(taken.map(([alone]) => alone.cpu)).toFixed(3),
    median(taken.map(([, beside]) => beside.cpu)).toFixed(3),
  );
}
