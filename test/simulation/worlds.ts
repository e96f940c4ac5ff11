// Runs worlds, one after the other in this process, and tells of those that broke a promise so that anybody can see them again.
import { type Simulation, simulate } from "../../src/testing/index.ts";
import { addWorld, noSums, type Sums } from "./sums.ts";

export interface WorldsOptions {
  readonly seeds: Iterable<number>;
  /** Runs each world twice and compares: one seed has to be one run. */
  readonly twice?: boolean;
}

export interface WorldsResult extends Sums {
  readonly broken: readonly Simulation[];
  /** Seeds that gave two different runs. */
  readonly unsteady: readonly number[];
}

export async function runWorlds({ seeds, twice = false }: WorldsOptions): Promise<WorldsResult> {
  const broken: Simulation[] = [];
  const unsteady: number[] = [];
  let sums = noSums;
  for (const seed of seeds) {
    const run = await simulate({ seed });
    sums = addWorld(sums, run);
    if (run.violations.length > 0) broken.push(run);
    if (twice && (await simulate({ seed })).hash !== run.hash) unsteady.push(seed);
  }
  return { ...sums, broken, unsteady };
}

/** What to read first when a world broke a promise. */
export function describeBroken({
  seed,
  violations,
  events,
}: Pick<Simulation, "seed" | "violations" | "events">): string {
  const lines = violations.slice(0, 5).map(({ invariant, text }) => `  ${invariant}: ${text}`);
  const more = violations.length > 5 ? [`  and ${violations.length - 5} more`] : [];
  const again = `  again: npm run simulate -- --seed ${seed}`;
  return [`seed ${seed}:`, ...lines, ...more, again, ...events.map((event) => `    ${event}`)].join("\n");
}
