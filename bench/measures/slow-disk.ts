import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchOptions, head, load, type Measure, median, quiet, row, startSubjects, stopAll } from "../harness.ts";
import { type LoopDelay, readLoopDelay, watched } from "../loop-delay.ts";

const SYNC_MS = 20;
const CONNECTIONS = 200;
const MESSAGES = 20_000;

interface Round extends LoopDelay {
  readonly rate: number;
}

/**
 * Commits are held up in the thread that owns the file, right where a slow disk does it. The ceiling is beside it as the floor of the
 * delays: what a server that does nothing shows while the load generator has a processor of the same machine.
 */
export const slowDisk: Measure = {
  name: "slow-disk",
  what: `a disk whose sync takes ${SYNC_MS} ms, at ${CONNECTIONS} connections`,
  async run(options) {
    const folder = await mkdtemp(join(tmpdir(), "postern-slow-disk-"));
    head(
      "server",
      "sync takes",
      "messages/s",
      "÷ normal",
      "event loop late, p99 ms",
      "most",
      "without waiting for a processor, p99 ms",
      "most",
    );
    try {
      const normal = await measured("postern", 0, { options, folder });
      tell("Postern", "as it is", normal, normal);
      tell("Postern", `${SYNC_MS} ms more`, await measured("postern", SYNC_MS, { options, folder }), normal);
      if (options.available.has("ceiling"))
        tell("ceiling", "none", await measured("ceiling", 0, { options, folder }), normal);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

async function measured(
  name: "postern" | "ceiling",
  sync: number,
  { options, folder }: { readonly options: BenchOptions; readonly folder: string },
): Promise<readonly Round[]> {
  const file = join(folder, `${name}-${sync}.json`);
  const { flags, env } = watched(file);
  const slow = ["--import", fileURLToPath(new URL("../slow-sync.mjs", import.meta.url))];
  const node = { flags: [...flags, ...slow], env: { ...env, BENCH_SYNC_MS: String(sync) } };
  const subjects = await startSubjects([name], options, { node });
  try {
    const rounds: Round[] = [];
    for (const subject of subjects) {
      const messages = options.messages ?? MESSAGES;
      const task = {
        size: options.size,
        mode: "reuse",
        starttls: false,
        recipient: "sink@discard.test",
        firstNumber: 1,
      } as const;
      await load(subject, { ...task, connections: CONNECTIONS, messages: messages / 4 });
      for (let n = 0; n < options.rounds; n++) {
        await quiet(subject);
        await readLoopDelay(subject.pid, file);
        const { seconds, startedAt } = await load(subject, { ...task, connections: CONNECTIONS, messages });
        const delay = await readLoopDelay(subject.pid, file, startedAt, startedAt + seconds * 1000);
        rounds.push({ rate: messages / seconds, ...delay });
      }
    }
    return rounds;
  } finally {
    await stopAll(subjects);
  }
}

function tell(server: string, sync: string, rounds: readonly Round[], normal: readonly Round[]): void {
  const of = (key: keyof Round): number => median(rounds.map((round) => round[key]));
  const most = (key: keyof Round): number => Math.max(...rounds.map((round) => round[key]));
  const ratio = of("rate") / median(normal.map(({ rate }) => rate));
  row(
    server,
    sync,
    of("rate").toFixed(0),
    ratio.toFixed(2),
    of("p99").toFixed(1),
    most("most").toFixed(1),
    of("ownP99").toFixed(1),
    most("ownMost").toFixed(1),
  );
}
