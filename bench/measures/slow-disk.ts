import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchOptions, head, load, type Measure, median, quiet, row, startSubjects, stopAll } from "../harness.ts";
import { type LoopDelay, readLoopDelay, watched } from "../loop-delay.ts";

const SYNC_MS = 20;
const CONNECTIONS = [20, 200];

interface Round extends LoopDelay {
  readonly rate: number;
}

/** A server on a disk whose syncs take so much longer, ms. */
interface Setting {
  readonly name: "postern" | "ceiling";
  readonly sync: number;
}

/**
 * Commits are held up in the thread that owns the file, right where a slow disk does it. The ceiling is beside it as the floor of the
 * delays: what a server that does nothing shows while the load generator has a processor of the same machine.
 */
export const slowDisk: Measure = {
  name: "slow-disk",
  what: `a disk whose sync takes ${SYNC_MS} ms, at ${CONNECTIONS.join(" and ")} connections`,
  async run(options) {
    const folder = await mkdtemp(join(tmpdir(), "postern-slow-disk-"));
    const own = "without the time another process had the processor";
    head(
      "server",
      "connections",
      "sync takes",
      "messages/s",
      "÷ normal",
      "loop late, p99 ms",
      "most",
      `${own}, p99 ms`,
      "most",
    );
    try {
      const normal = await measured({ name: "postern", sync: 0 }, { options, folder });
      const slow = await measured({ name: "postern", sync: SYNC_MS }, { options, folder });
      const floor = await measured({ name: "ceiling", sync: 0 }, { options, folder });
      for (const connections of CONNECTIONS) {
        const rate = rateOf(normal, connections);
        tell(["Postern", connections, "as it is"], normal.get(connections), rate);
        tell(["Postern", connections, `${SYNC_MS} ms more`], slow.get(connections), rate);
        tell(["ceiling", connections, "none"], floor.get(connections), rate);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

/** Rounds by connections; none where the server is not available. */
async function measured(
  { name, sync }: Setting,
  { options, folder }: { readonly options: BenchOptions; readonly folder: string },
): Promise<ReadonlyMap<number, readonly Round[]>> {
  const file = join(folder, `${name}-${sync}.json`);
  const { flags, env } = watched(file);
  const slow = ["--import", fileURLToPath(new URL("../slow-sync.mjs", import.meta.url))];
  const node = { flags: [...flags, ...slow], env: { ...env, BENCH_SYNC_MS: String(sync) } };
  const subjects = await startSubjects([name], options, { node });
  const rounds = new Map<number, Round[]>();
  try {
    for (const subject of subjects) {
      await load(subject, { ...TASK, size: options.size, connections: 200, messages: 5000 });
      for (const connections of CONNECTIONS) {
        const messages = options.messages ?? connections * (sync > 0 ? 100 : 200);
        const taken: Round[] = [];
        for (let n = 0; n < options.rounds; n++) {
          await quiet(subject);
          await readLoopDelay(subject.pid, file);
          const { seconds, startedAt } = await load(subject, { ...TASK, size: options.size, connections, messages });
          const delay = await readLoopDelay(subject.pid, file, startedAt, startedAt + seconds * 1000);
          taken.push({ rate: messages / seconds, ...delay });
        }
        rounds.set(connections, taken);
      }
    }
    return rounds;
  } finally {
    await stopAll(subjects);
  }
}

const TASK = { mode: "reuse", starttls: false, recipient: "sink@discard.test", firstNumber: 1 } as const;

function rateOf(rounds: ReadonlyMap<number, readonly Round[]>, connections: number): number {
  return median((rounds.get(connections) ?? []).map(({ rate }) => rate));
}

function tell(what: readonly (string | number)[], rounds: readonly Round[] | undefined, normal: number): void {
  if (rounds === undefined) return;
  const of = (key: keyof Round): number => median(rounds.map((round) => round[key]));
  const most = (key: keyof Round): number => Math.max(...rounds.map((round) => round[key]));
  const delays = [of("p99"), most("most"), of("ownP99"), most("ownMost")];
  row(...what, of("rate").toFixed(0), (of("rate") / normal).toFixed(2), ...delays.map((each) => each.toFixed(1)));
}
