import { head, load, type Measure, median, quiet, row, startSubjects, stopAll } from "../harness.ts";
import type { LoadTask } from "../load.ts";
import { cpuSeconds } from "../subject.ts";

const shape = (size: number): Omit<LoadTask, "port" | "connections" | "messages"> => ({
  size,
  mode: "reuse",
  starttls: false,
  recipient: "sink@discard.test",
  firstNumber: 1,
});

/** Open loop: a message goes when its time has come, whatever became of those before it, and waiting for a free connection counts. */
export const latency: Measure = {
  name: "p99",
  what: "latency of one message at half of peak load (each server's own peak)",
  async run(options) {
    const subjects = await startSubjects(["postern", "postfix"], options);
    const messages = options.messages ?? 5000;
    try {
      head("server", "peak messages/s", "offered", "p50 ms", "p99 ms");
      for (const subject of subjects) {
        const task = { ...shape(options.size), connections: options.connections };
        await load(subject, { ...task, messages: 300 });
        const taken: { readonly peak: number; readonly rate: number; readonly p50: number; readonly p99: number }[] =
          [];
        for (let n = 0; n < options.rounds; n++) {
          const { seconds } = await load(subject, { ...task, messages });
          await quiet(subject);
          const peak = messages / seconds;
          const { p50, p99 } = await load(subject, {
            ...task,
            connections: 4 * options.connections,
            messages,
            rate: peak / 2,
          });
          await quiet(subject);
          taken.push({ peak, rate: peak / 2, p50, p99 });
        }
        const of = (key: "peak" | "rate" | "p50" | "p99"): number => median(taken.map((one) => one[key]));
        row(subject.name, of("peak").toFixed(0), of("rate").toFixed(0), of("p50").toFixed(1), of("p99").toFixed(1));
      }
    } finally {
      await stopAll(subjects);
    }
  },
};

const CONNECTIONS = [1, 20, 200, 2000];

export const growth: Measure = {
  name: "growth",
  what: "CPU per message at 1, 20, 200 and 2,000 connections",
  async run(options) {
    const subjects = await startSubjects(["postern", "postfix"], options);
    try {
      head("server", "connections", "messages/s", "CPU s per 1,000", "÷ its best");
      for (const subject of subjects) {
        await load(subject, { ...shape(options.size), connections: 20, messages: 300 });
        const costs: { readonly connections: number; readonly rate: number; readonly cpu: number }[] = [];
        // Postfix takes a process for each connection and 100 of them by default.
        for (const connections of CONNECTIONS.filter((each) => subject.name === "postern" || each <= 20)) {
          const messages = options.messages ?? Math.max(4000, 10 * connections);
          const taken: { readonly rate: number; readonly cpu: number }[] = [];
          for (let n = 0; n < options.rounds; n++) {
            const before = cpuSeconds(subject.pid);
            const { seconds } = await load(subject, { ...shape(options.size), connections, messages });
            await quiet(subject);
            taken.push({ rate: messages / seconds, cpu: ((cpuSeconds(subject.pid) - before) * 1000) / messages });
          }
          costs.push({
            connections,
            rate: median(taken.map(({ rate }) => rate)),
            cpu: median(taken.map(({ cpu }) => cpu)),
          });
        }
        const best = Math.min(...costs.map(({ cpu }) => cpu));
        for (const { connections, rate, cpu } of costs) {
          row(subject.name, connections, rate.toFixed(0), cpu.toFixed(3), (cpu / best).toFixed(2));
        }
      }
    } finally {
      await stopAll(subjects);
    }
  },
};
