import { setTimeout as sleep } from "node:timers/promises";
import { head, load, type Measure, median, quiet, row, Sink, startSubjects, stopAll } from "../harness.ts";
import { seed } from "../seed.ts";
import { peakMemory, residentMemory, type Subject } from "../subject.ts";

/** Recipients of one message of the seed. */
const PER_MESSAGE = 10;

/** The queue is filled by the store's own code, deferred for hours, but for one message that is due at the start. */
export const deferred: Measure = {
  name: "deferred",
  what: "a queue of deferred recipients (--messages: how many, default 1,000,000) against an empty one",
  async run(options) {
    const recipients = options.messages ?? 1_000_000;
    const sink = await Sink.start({ size: options.size, certificate: null, privateKey: null });
    const begun = performance.now();
    let startedAt = 0;
    const full = await startSubjects(["postern"], options, {
      postern: {
        prepare: async (folder) => {
          await seed({
            folder,
            recipients,
            perMessage: PER_MESSAGE,
            octets: 1024,
            dueSize: options.size,
            dueNumber: sink.nextNumber,
          });
          process.stdout.write(`seeded in ${((performance.now() - begun) / 1000).toFixed(0)} s\n`);
          startedAt = Date.now();
        },
      },
    });
    const { lastAt } = await sink.arrived(1);
    const empty = await startSubjects(["postern"], options);
    try {
      const rates = new Map<Subject, number[]>();
      const task = { connections: options.connections, size: options.size, mode: "reuse", starttls: false } as const;
      for (let n = 0; n <= options.rounds; n++) {
        for (const subject of n % 2 === 0 ? [...full, ...empty] : [...empty, ...full]) {
          const { seconds } = await load(subject, {
            ...task,
            messages: 5000,
            recipient: "sink@discard.test",
            firstNumber: 1,
          });
          await quiet(subject);
          if (n > 0) rates.set(subject, [...(rates.get(subject) ?? []), 5000 / seconds]);
        }
      }
      await sleep(1000);
      const [ours, other] = [full[0], empty[0]];
      if (ours === undefined || other === undefined) throw new Error("Postern did not start");
      const [all, allEmpty] = [rates.get(ours) ?? [], rates.get(other) ?? []];
      // Of each round, since the machine is not as fast in every one.
      const ratios = all.map((rate, n) => rate / (allEmpty[n] ?? rate));
      head(
        "deferred recipients",
        "accept/s (lowest–highest round)",
        "empty queue",
        "ratio of a round",
        "resident MiB (peak)",
        "start to first delivery, s",
      );
      row(
        recipients,
        spread(all, 0),
        spread(allEmpty, 0),
        spread(ratios, 2),
        `${residentMemory(ours.pid).toFixed(0)} (${peakMemory(ours.pid).toFixed(0)})`,
        ((lastAt - startedAt) / 1000).toFixed(2),
      );
    } finally {
      await stopAll([...full, ...empty]);
      sink.stop();
    }
  },
};

/** Median, lowest and highest. */
function spread(of: readonly number[], digits: number): string {
  const [lowest, highest] = [Math.min(...of), Math.max(...of)];
  return `${median(of).toFixed(digits)} (${lowest.toFixed(digits)}–${highest.toFixed(digits)})`;
}
