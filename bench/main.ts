// The measured numbers. `npm run bench` takes all of them; `npm run bench -- --help` tells the rest.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { makeCertificate } from "../src/testing/index.ts";
import { havePostfix } from "../test/interop/postfix.ts";
import type { LoadResult, LoadTask } from "./load.ts";
import type { SinkReport, SinkTask } from "./sink.ts";
import { cpuSeconds, peakMemory, type Subject, type SubjectOptions } from "./subject.ts";
import { postern } from "./subjects/postern.ts";
import { postfix } from "./subjects/postfix.ts";

const HELP = `npm run bench -- [options]
  --rounds N        alternating rounds of each measure (default 5)
  --messages N      messages a round (default: the measure's own)
  --connections N   (default 20)
  --size N          octets of a message (default 4096)
  --only NAME       one measure: accept, accept-new, accept-starttls, relay, relay-starttls
  --alone           Postern only

environment:
  BENCH_WORKERS     processes of Postern (default 1); the peak of memory is then that of their supervisor alone
`;

interface Measure {
  readonly name: string;
  readonly what: string;
  readonly mode: LoadTask["mode"];
  readonly starttls: boolean;
  /** Measured to the last message at the sink rather than to the last 250. */
  readonly relay: boolean;
  readonly relayTls: boolean;
  readonly messages: number;
}

const QUIET_INTERVAL = 400;
const QUIET_TIMEOUT = 60_000;

const MEASURES: readonly Measure[] = [
  {
    name: "accept",
    what: "accept, synced, connection reused",
    mode: "reuse",
    starttls: false,
    relay: false,
    relayTls: false,
    messages: 20000,
  },
  {
    name: "accept-new",
    what: "accept, synced, new connection each",
    mode: "new",
    starttls: false,
    relay: false,
    relayTls: false,
    messages: 5000,
  },
  {
    name: "accept-starttls",
    what: "accept over STARTTLS, full handshake each",
    mode: "new",
    starttls: true,
    relay: false,
    relayTls: false,
    messages: 1500,
  },
  {
    name: "relay",
    what: "end to end relay",
    mode: "reuse",
    starttls: false,
    relay: true,
    relayTls: false,
    messages: 6000,
  },
  {
    name: "relay-starttls",
    what: "end to end, STARTTLS on both sides, reused",
    mode: "reuse",
    starttls: true,
    relay: true,
    relayTls: true,
    messages: 5000,
  },
];

interface Round {
  readonly rate: number;
  readonly cpuPerThousand: number;
  readonly p50: number;
  readonly p99: number;
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string" },
    connections: { type: "string", default: "20" },
    size: { type: "string", default: "4096" },
    only: { type: "string" },
    alone: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const measures = MEASURES.filter((measure) => values.only === undefined || measure.name === values.only);
if (measures.length === 0) {
  process.stderr.write(`bench: no measure '${values.only}'; there are ${MEASURES.map((m) => m.name).join(", ")}\n`);
  process.exit(2);
}

let firstNumber = 1;
const pair = await makeCertificate({ names: ["bench.test"] });
const withPostfix = !values.alone && (await havePostfix());
if (!withPostfix && !values.alone)
  process.stdout.write("Postfix is not installed (or we are not root): Postern alone.\n");
process.stdout.write(
  `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}` +
    `; ${values.connections} connections, ${values.size} octets, ${values.rounds} alternating rounds; ` +
    "load generator and sink on the same machine\n",
);
for (const measure of measures) await take(measure);

async function take(measure: Measure): Promise<void> {
  const sinkPort = 20591;
  const sink = await startSink({
    port: sinkPort,
    size: Number(values.size),
    certificate: measure.relayTls ? pair.certificate : null,
    privateKey: measure.relayTls ? pair.privateKey : null,
  });
  const shared = { sinkPort, relayTls: measure.relayTls, ...pair } satisfies Omit<SubjectOptions, "port">;
  const subjects: Subject[] = [await postern({ ...shared, port: 20592 })];
  const rounds = new Map<Subject, Round[]>();
  let peak = 0;
  try {
    if (withPostfix) subjects.push(await postfix({ ...shared, port: 20593 }));
    for (const subject of subjects) {
      rounds.set(subject, []);
      await round(measure, subject, sink, 300); // warm: compiled code, spawned processes
    }
    for (let n = 0; n < Number(values.rounds); n++) {
      for (const subject of subjects) {
        rounds.get(subject)?.push(await round(measure, subject, sink, Number(values.messages ?? measure.messages)));
      }
    }
    peak = peakMemory(subjects[0]?.pid ?? 0);
  } finally {
    for (const subject of subjects) await subject.stop();
    sink.disconnect();
  }
  print(measure, rounds, peak);
}

async function round(measure: Measure, subject: Subject, sink: ChildProcess, messages: number): Promise<Round> {
  const task: LoadTask = {
    port: subject.port,
    connections: Number(values.connections),
    messages,
    size: Number(values.size),
    mode: measure.mode,
    starttls: measure.starttls,
    recipient: measure.relay ? "sink@relay.test" : "sink@discard.test",
    firstNumber,
  };
  const cpuBefore = cpuSeconds(subject.pid);
  const load = fileURLToPath(new URL("./load.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [load, JSON.stringify(task)]);
  const result: LoadResult = JSON.parse(stdout);
  if (result.failed > 0) throw new Error(`${subject.name}: ${result.failed} messages failed: ${result.firstFailure}`);
  let seconds = result.seconds;
  if (measure.relay) {
    firstNumber += messages;
    const report = await arrived(sink, firstNumber - 1);
    if (report.corrupt > 0) throw new Error(`${subject.name}: ${report.corrupt} messages were altered`);
    seconds = Math.max(result.seconds, (report.lastAt - result.startedAt) / 1000);
  }
  await quiet(subject);
  const cpu = cpuSeconds(subject.pid) - cpuBefore;
  return { rate: messages / seconds, cpuPerThousand: (cpu * 1000) / messages, p50: result.p50, p99: result.p99 };
}

/** Waits until a subject has done all that the round left it to do, so that it is not done during the other's round. */
async function quiet(subject: Subject): Promise<void> {
  const until = Date.now() + QUIET_TIMEOUT;
  for (
    let before = -1, now = cpuSeconds(subject.pid);
    now > before && Date.now() < until;
    now = cpuSeconds(subject.pid)
  ) {
    before = now;
    await sleep(QUIET_INTERVAL);
  }
}

async function arrived(sink: ChildProcess, distinct: number): Promise<SinkReport> {
  const answer = once(sink, "message", { signal: AbortSignal.timeout(120_000) });
  sink.send({ expect: distinct });
  const [report] = await answer;
  return report;
}

async function startSink(task: SinkTask): Promise<ChildProcess> {
  const sink = fork(fileURLToPath(new URL("./sink.ts", import.meta.url)), [JSON.stringify(task)]);
  await once(sink, "message");
  firstNumber = 1;
  return sink;
}

function print(measure: Measure, rounds: ReadonlyMap<Subject, readonly Round[]>, peak: number): void {
  const median = (of: readonly number[]): number => [...of].sort((a, b) => a - b)[Math.floor(of.length / 2)] ?? 0;
  process.stdout.write(`\n${measure.what}\n`);
  const rates: number[] = [];
  for (const [subject, taken] of rounds) {
    const rate = median(taken.map((one) => one.rate));
    rates.push(rate);
    const all = taken.map((one) => Math.round(one.rate)).sort((a, b) => a - b);
    process.stdout.write(
      `  ${subject.name.padEnd(8)} ${rate.toFixed(0).padStart(7)} messages/s  (${all[0]}–${all.at(-1)})` +
        `  cpu ${median(taken.map((one) => one.cpuPerThousand)).toFixed(2)} s/1000` +
        `  p50 ${median(taken.map((one) => one.p50)).toFixed(1)} ms  p99 ${median(taken.map((one) => one.p99)).toFixed(1)} ms` +
        `${subject.name === "postern" ? `  peak ${peak.toFixed(0)} MiB` : ""}\n`,
    );
  }
  const [ours, theirs] = rates;
  if (ours !== undefined && theirs !== undefined) {
    process.stdout.write(`  ratio    ${(ours / theirs).toFixed(2)} × postfix\n`);
  }
}
