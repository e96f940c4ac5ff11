import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { head, load, type Measure, median, quiet, row, SINK_PORT, startSubjects, stopAll } from "../harness.ts";
import type { LargeResult } from "../large-sender.ts";
import type { LargeArrival } from "../large-sink.ts";
import { cpuSeconds, forgetPeak, peakMemory, residentMemory } from "../subject.ts";

const MIB = 2 ** 20;
const SIZE_MIB = 100;

interface Round {
  readonly growth: number;
  readonly inward: number;
  readonly outward: number;
  readonly whole: number;
  readonly cpu: number;
}

/** Growth is the peak of resident memory over what it was before, read from the kernel; the first round is the cold one. */
export const large: Measure = {
  name: "large",
  what: `one message of ${SIZE_MIB} MiB in and out, in clear on loopback`,
  async run(options) {
    const sink = fork(fileURLToPath(new URL("../large-sink.ts", import.meta.url)), [String(SINK_PORT)]);
    await once(sink, "message");
    const subjects = await startSubjects(["postern"], options, { messageMiB: 2 * SIZE_MIB });
    try {
      head("server", "growth MiB, cold", "growth MiB, highest", "in MiB/s", "out MiB/s", "in and out MiB/s", "CPU s");
      for (const subject of subjects) {
        const small = { size: options.size, mode: "reuse", starttls: false, recipient: "sink@discard.test" } as const;
        await load(subject, { ...small, connections: 20, messages: 300, firstNumber: 1 });
        const rounds: Round[] = [];
        for (let n = 0; n < options.rounds; n++) {
          await quiet(subject);
          forgetPeak(subject.pid);
          const [before, cpu] = [residentMemory(subject.pid), cpuSeconds(subject.pid)];
          const arrived = once(sink, "message", { signal: AbortSignal.timeout(120_000) });
          const sent = await send(subject.port);
          const [arrival]: LargeArrival[] = await arrived;
          if (arrival === undefined || arrival.octets !== sent.octets || arrival.checksum !== sent.checksum) {
            throw new Error(`${subject.name} altered the message`);
          }
          await quiet(subject);
          const rate = (from: number, to: number): number => (sent.octets / MIB / Math.max(1, to - from)) * 1000;
          rounds.push({
            growth: peakMemory(subject.pid) - before,
            inward: rate(sent.startedAt, sent.acknowledgedAt),
            outward: rate(arrival.firstAt, arrival.lastAt),
            whole: rate(sent.startedAt, arrival.lastAt),
            cpu: cpuSeconds(subject.pid) - cpu,
          });
        }
        const of = (key: keyof Round): number => median(rounds.map((one) => one[key]));
        row(
          subject.name,
          (rounds[0]?.growth ?? 0).toFixed(0),
          Math.max(...rounds.map(({ growth }) => growth)).toFixed(0),
          of("inward").toFixed(0),
          of("outward").toFixed(0),
          of("whole").toFixed(0),
          of("cpu").toFixed(2),
        );
      }
    } finally {
      await stopAll(subjects);
      sink.disconnect();
    }
  },
};

async function send(port: number): Promise<LargeResult> {
  const file = fileURLToPath(new URL("../large-sender.ts", import.meta.url));
  const task = { port, octets: SIZE_MIB * MIB, recipient: "sink@relay.test" };
  const { stdout } = await promisify(execFile)(process.execPath, [file, JSON.stringify(task)]);
  return JSON.parse(stdout);
}
