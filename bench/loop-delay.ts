// What `loop-watch.mjs` saw, made into figures.
import { readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** Flags of Node and environment for a server whose event loop is to be watched; what it saw is left in `file`. */
export function watched(file: string): { readonly flags: readonly string[]; readonly env: Record<string, string> } {
  return {
    flags: ["--import", fileURLToPath(new URL("./loop-watch.mjs", import.meta.url))],
    env: { BENCH_LOOP_FILE: file },
  };
}

/** When it was, how late, and in that time the main thread's on a processor and waiting for one. All ms. */
type Look = readonly [at: number, late: number, computing: number, waiting: number];

export interface LoopDelay {
  /** Of 100 looks 99 were no later than this, ms. */
  readonly p99: number;
  readonly most: number;
  /** The same without the time in which the thread was ready and another process had the processor. */
  readonly ownP99: number;
  readonly ownMost: number;
}

/** Reads what a watched server saw from `from` to `until` (ms since 1970), and makes it begin anew. */
export async function readLoopDelay(
  pid: number,
  file: string,
  from = 0,
  until = Number.POSITIVE_INFINITY,
): Promise<LoopDelay> {
  await rm(file, { force: true });
  process.kill(pid, "SIGUSR2");
  for (let attempt = 0; attempt < 100; attempt++) {
    await sleep(20);
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.endsWith("]")) {
      const looks: Look[] = JSON.parse(text);
      return loopDelay(looks.filter(([at]) => at >= from && at <= until));
    }
  }
  throw new Error("the event loop's delay was not written");
}

export function loopDelay(looks: readonly Look[]): LoopDelay {
  const late = looks.map(([, each]) => each).sort((a, b) => a - b);
  const own = looks.map(([, each, , waiting]) => Math.max(0, each - waiting)).sort((a, b) => a - b);
  const p99 = (of: readonly number[]): number => of[Math.floor(of.length * 0.99)] ?? 0;
  return { p99: p99(late), most: late.at(-1) ?? 0, ownP99: p99(own), ownMost: own.at(-1) ?? 0 };
}
