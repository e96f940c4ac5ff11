import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { head, load, type Measure, median, quiet, row, startSubjects, stopAll } from "../harness.ts";

const SYNC_MS = 20;
const CONNECTIONS = 200;

/** Commits are held up in the thread that owns the file, right where a slow disk does it. */
export const slowDisk: Measure = {
  name: "slow-disk",
  what: `a disk whose sync takes ${SYNC_MS} ms, at ${CONNECTIONS} connections`,
  async run(options) {
    const folder = await mkdtemp(join(tmpdir(), "postern-slow-disk-"));
    const preload = fileURLToPath(new URL("../slow-sync.mjs", import.meta.url));
    const messages = options.messages ?? 10_000;
    head("sync takes", "messages/s", "÷ normal", "event loop p99 ms", "highest ms");
    try {
      let normal = 0;
      for (const sync of [0, SYNC_MS]) {
        const file = join(folder, `delay-${sync}.json`);
        const env = { BENCH_SYNC_MS: String(sync), BENCH_DELAY_FILE: file };
        const subjects = await startSubjects(["postern"], options, { postern: { flags: ["--import", preload], env } });
        try {
          for (const subject of subjects) {
            const task = {
              size: options.size,
              mode: "reuse",
              starttls: false,
              recipient: "sink@discard.test",
              firstNumber: 1,
            } as const;
            await load(subject, { ...task, connections: 20, messages: 300 });
            const taken: { readonly rate: number; readonly p99: number; readonly max: number }[] = [];
            for (let n = 0; n < options.rounds; n++) {
              await quiet(subject);
              await readDelay(subject.pid, file);
              const { seconds } = await load(subject, { ...task, connections: CONNECTIONS, messages });
              taken.push({ rate: messages / seconds, ...(await readDelay(subject.pid, file)) });
            }
            const rate = median(taken.map((one) => one.rate));
            if (sync === 0) normal = rate;
            const p99 = median(taken.map((one) => one.p99));
            const max = Math.max(...taken.map((one) => one.max));
            row(
              `${sync === 0 ? "as it is" : `${sync} ms more`}`,
              rate.toFixed(0),
              (rate / normal).toFixed(2),
              p99.toFixed(1),
              max.toFixed(1),
            );
          }
        } finally {
          await stopAll(subjects);
        }
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

/** The event loop's delay since the last time it was read, ms. */
async function readDelay(pid: number, file: string): Promise<{ readonly p99: number; readonly max: number }> {
  await rm(file, { force: true });
  process.kill(pid, "SIGUSR2");
  for (let attempt = 0; attempt < 100; attempt++) {
    await sleep(20);
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.endsWith("}")) return JSON.parse(text);
  }
  throw new Error("the event loop's delay was not written");
}
