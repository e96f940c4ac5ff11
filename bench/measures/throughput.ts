import {
  type BenchOptions,
  head,
  load,
  type Measure,
  median,
  quiet,
  row,
  Sink,
  type SubjectName,
  startSubjects,
  stopAll,
} from "../harness.ts";
import type { LoadTask } from "../load.ts";
import { cpuSeconds, peakMemory, type Subject } from "../subject.ts";

/** A measure of messages a second. */
interface Throughput {
  readonly name: string;
  readonly what: string;
  readonly mode: LoadTask["mode"];
  readonly starttls: boolean;
  /** Measured to the last message at the sink rather than to the last 250. */
  readonly relay: boolean;
  readonly messages: number;
  readonly subjects: readonly SubjectName[];
}

interface Round {
  readonly rate: number;
  readonly cpuPerThousand: number;
  readonly p50: number;
  readonly p99: number;
}

const ACCEPTING: readonly SubjectName[] = ["postern", "postfix", "haraka", "smtp-server", "ceiling"];
const RELAYING: readonly SubjectName[] = ["postern", "postfix", "haraka"];
const accept = { relay: false, subjects: ACCEPTING } as const;
const relay = { mode: "reuse", relay: true, subjects: RELAYING } as const;
const KINDS: readonly Throughput[] = [
  {
    ...accept,
    name: "accept",
    what: "accept, synced, connection reused",
    mode: "reuse",
    starttls: false,
    messages: 40_000,
  },
  {
    ...accept,
    name: "accept-new",
    what: "accept, synced, new connection each",
    mode: "new",
    starttls: false,
    messages: 10_000,
  },
  {
    ...accept,
    name: "accept-starttls",
    what: "accept over STARTTLS, full handshake each",
    mode: "new",
    starttls: true,
    messages: 5000,
  },
  { ...relay, name: "relay", what: "end to end relay", starttls: false, messages: 20_000 },
  {
    ...relay,
    name: "relay-starttls",
    what: "end to end, STARTTLS on both sides, reused",
    starttls: true,
    messages: 10_000,
  },
];

export const throughput: readonly Measure[] = KINDS.map((kind) => ({
  name: kind.name,
  what: kind.what,
  run: (options) => measure(kind, options),
}));

async function measure(kind: Throughput, options: BenchOptions): Promise<void> {
  const relayTls = kind.relay && kind.starttls;
  const { certificate, privateKey } = options;
  const sink = await Sink.start({
    size: options.size,
    ...(relayTls ? { certificate, privateKey } : { certificate: null, privateKey: null }),
  });
  const subjects = await startSubjects(kind.subjects, options, { relayTls });
  const rounds = new Map<Subject, Round[]>(subjects.map((subject) => [subject, []]));
  try {
    const messages = options.messages ?? kind.messages;
    // The first round does not count: mail servers run for weeks, with their code compiled and their processes spawned.
    for (let n = 0; n <= options.rounds; n++) {
      for (const [subject, taken] of rounds) {
        const one = await round(kind, subject, { options, sink, messages });
        if (n > 0) taken.push(one);
      }
    }
    print(rounds);
  } finally {
    await stopAll(subjects);
    sink.stop();
  }
}

async function round(
  kind: Throughput,
  subject: Subject,
  { options, sink, messages }: { readonly options: BenchOptions; readonly sink: Sink; readonly messages: number },
): Promise<Round> {
  const cpuBefore = cpuSeconds(subject.pid);
  const result = await load(subject, {
    connections: options.connections,
    messages,
    size: options.size,
    mode: kind.mode,
    starttls: kind.starttls,
    recipient: kind.relay ? "sink@relay.test" : "sink@discard.test",
    firstNumber: sink.nextNumber,
  });
  let seconds = result.seconds;
  if (kind.relay) {
    const { lastAt } = await sink.arrived(messages);
    seconds = Math.max(seconds, (lastAt - result.startedAt) / 1000);
  }
  await quiet(subject);
  const cpu = cpuSeconds(subject.pid) - cpuBefore;
  return { rate: messages / seconds, cpuPerThousand: (cpu * 1000) / messages, p50: result.p50, p99: result.p99 };
}

function print(rounds: ReadonlyMap<Subject, readonly Round[]>): void {
  head("server", "messages/s (lowest–highest)", "Postern ÷ it", "CPU s per 1,000", "p50 / p99 ms", "peak MiB");
  let ours = 0;
  for (const [subject, taken] of rounds) {
    const of = (key: keyof Round): number => median(taken.map((one) => one[key]));
    const rates = taken.map((one) => Math.round(one.rate));
    if (subject.name === "postern") ours = of("rate");
    row(
      subject.name,
      `${of("rate").toFixed(0)} (${Math.min(...rates)}–${Math.max(...rates)})`,
      (ours / of("rate")).toFixed(2),
      of("cpuPerThousand").toFixed(2),
      `${of("p50").toFixed(1)} / ${of("p99").toFixed(1)}`,
      peakMemory(subject.pid).toFixed(0),
    );
  }
}
