import { type BenchOptions, head, load, type Measure, median, quiet, row, startSubjects, stopAll } from "../harness.ts";
import type { LoadTask } from "../load.ts";
import { cpuSeconds, type Subject } from "../subject.ts";

const shape = (size: number): Omit<LoadTask, "port" | "connections" | "messages"> => ({
  size,
  mode: "reuse",
  starttls: false,
  recipient: "sink@discard.test",
  firstNumber: 1,
});

/** How long a round is, about. */
const ROUND_SECONDS = 4;
/** What the first look at a server's speed takes; a warm one is looked at again. */
const FIRST_MESSAGES = 2000;

/** What `subject` does in a second when it is warm: the median of `looks`. */
async function peakOf(subject: Subject, task: Omit<LoadTask, "port" | "messages">, looks: number): Promise<number> {
  const first = await load(subject, { ...task, messages: FIRST_MESSAGES });
  const messages = Math.ceil((ROUND_SECONDS * FIRST_MESSAGES) / first.seconds);
  const rates: number[] = [];
  for (let n = 0; n <= looks; n++) {
    const { seconds } = await load(subject, { ...task, messages });
    await quiet(subject);
    if (n > 0) rates.push(messages / seconds);
  }
  return median(rates);
}

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

/**
 * Open loop: a message goes when its time has come, whatever became of those before it, and waiting for a free connection counts. The
 * servers take turns; the peak of each is found first, which warms it, too.
 */
export const latency: Measure = {
  name: "p99",
  what: "latency of one message at half of peak load (each server's own peak)",
  async run(options) {
    const subjects = await startSubjects(["postern", "postfix"], options);
    try {
      head("server", "peak messages/s", "offered", "p50 ms (lowest–highest)", "p99 ms (lowest–highest)");
      const task = { ...shape(options.size), connections: options.connections };
      const peaks = new Map<Subject, number>();
      for (const subject of subjects) peaks.set(subject, await peakOf(subject, task, 3));
      const taken = new Map<Subject, Latency[]>(subjects.map((subject) => [subject, []]));
      for (let n = 0; n < options.rounds; n++) {
        for (const [subject, peak] of peaks) {
          const rate = peak / 2;
          const messages = options.messages ?? Math.ceil(ROUND_SECONDS * rate);
          const wide = { ...task, connections: 4 * options.connections };
          taken.get(subject)?.push(await load(subject, { ...wide, messages, rate }));
          await quiet(subject);
        }
      }
      for (const [subject, peak] of peaks) {
        const of = (key: keyof Latency): string => {
          const each = (taken.get(subject) ?? []).map((one) => one[key]);
          return `${median(each).toFixed(1)} (${Math.min(...each).toFixed(1)}–${Math.max(...each).toFixed(1)})`;
        };
        row(subject.name, peak.toFixed(0), (peak / 2).toFixed(0), of("p50"), of("p99"));
      }
    } finally {
      await stopAll(subjects);
    }
  },
};

const CONNECTIONS = [1, 20, 200, 2000];
/** Opening a connection is the smaller part of what is counted. */
const LEAST_ON_ONE = 20;
/** Messages of a round on one connection, each with a sync of its own; four times as many on more. */
const ON_ONE = 4000;

interface Cost {
  readonly rate: number;
  readonly cpu: number;
}

/** The numbers of connections take turns, so that a busy minute of the machine meets all of them; the first turn does not count. */
export const growth: Measure = {
  name: "growth",
  what: "CPU per message at 1, 20, 200 and 2,000 connections",
  async run(options) {
    const subjects = await startSubjects(["postern", "postfix"], options);
    try {
      head("server", "connections", "messages/s", "CPU s per 1,000 (lowest–highest)", "÷ its best");
      for (const subject of subjects) {
        // Postfix takes a process for each connection and 100 of them by default.
        const counts = CONNECTIONS.filter((each) => subject.name === "postern" || each <= 20);
        const taken = new Map<number, Cost[]>(counts.map((connections) => [connections, []]));
        for (let n = 0; n <= options.rounds; n++) {
          for (const [connections, costs] of taken) {
            const cost = await costOf(subject, connections, options);
            if (n > 0) costs.push(cost);
          }
        }
        printCosts(subject, taken);
      }
    } finally {
      await stopAll(subjects);
    }
  },
};

async function costOf(subject: Subject, connections: number, options: BenchOptions): Promise<Cost> {
  const usual = connections === 1 || subject.name === "postfix" ? ON_ONE : 4 * ON_ONE;
  const messages = options.messages ?? Math.max(usual, LEAST_ON_ONE * connections);
  const before = cpuSeconds(subject.pid);
  const { seconds } = await load(subject, { ...shape(options.size), connections, messages });
  await quiet(subject);
  return { rate: messages / seconds, cpu: ((cpuSeconds(subject.pid) - before) * 1000) / messages };
}

function printCosts(subject: Subject, taken: ReadonlyMap<number, readonly Cost[]>): void {
  const cpuOf = (costs: readonly Cost[]): number => median(costs.map(({ cpu }) => cpu));
  const best = Math.min(...[...taken.values()].map(cpuOf));
  for (const [connections, costs] of taken) {
    const each = costs.map(({ cpu }) => cpu);
    const spread = `${Math.min(...each).toFixed(3)}–${Math.max(...each).toFixed(3)}`;
    const rate = median(costs.map((one) => one.rate)).toFixed(0);
    row(subject.name, connections, rate, `${cpuOf(costs).toFixed(3)} (${spread})`, (cpuOf(costs) / best).toFixed(2));
  }
}
