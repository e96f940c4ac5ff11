// Runs worlds, one after the other, and tells of those that broke a promise so that anybody can see them again.
import { type Simulation, simulate } from "../../src/testing/index.ts";

export interface WorldsOptions {
  readonly seeds: Iterable<number>;
  /** Runs each world twice and compares: one seed has to be one run. */
  readonly twice?: boolean;
  /** Stops after so many worlds that broke a promise. */
  readonly mostBroken?: number;
  /** Told of each world that broke a promise, at once. */
  readonly found?: (run: Simulation) => void;
  readonly progress?: (done: number, broken: number) => void;
}

export interface WorldsResult {
  readonly worlds: number;
  readonly broken: readonly Simulation[];
  /** Seeds that gave two different runs. */
  readonly unsteady: readonly number[];
  readonly submitted: number;
  readonly acknowledged: number;
  readonly delivered: number;
  readonly reports: number;
  readonly crashes: number;
  /** Hours of virtual time. */
  readonly hours: number;
}

export async function runWorlds(options: WorldsOptions): Promise<WorldsResult> {
  const { seeds, twice = false, mostBroken = 20, found = () => {}, progress = () => {} } = options;
  const broken: Simulation[] = [];
  const unsteady: number[] = [];
  const sums = { submitted: 0, acknowledged: 0, delivered: 0, reports: 0, crashes: 0, time: 0 };
  let worlds = 0;
  for (const seed of seeds) {
    const run = await simulate({ seed });
    worlds++;
    if (run.violations.length > 0) {
      broken.push(run);
      found(run);
    }
    if (twice && (await simulate({ seed })).hash !== run.hash) unsteady.push(seed);
    for (const key of ["submitted", "acknowledged", "delivered", "reports", "crashes", "time"] as const) {
      sums[key] += run.counts[key];
    }
    progress(worlds, broken.length);
    if (broken.length >= mostBroken) break;
  }
  const { time, ...counts } = sums;
  return { worlds, broken, unsteady, ...counts, hours: Math.round(time / 3_600_000) };
}

/** What to read first when a world broke a promise. */
export function describeBroken({ seed, violations, events }: Simulation): string {
  const lines = violations.slice(0, 5).map(({ invariant, text }) => `  ${invariant}: ${text}`);
  const more = violations.length > 5 ? [`  and ${violations.length - 5} more`] : [];
  const again = `  again: npm run simulate -- --seed ${seed}`;
  return [`seed ${seed}:`, ...lines, ...more, again, ...events.map((event) => `    ${event}`)].join("\n");
}
