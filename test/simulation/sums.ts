// What many worlds did, added up.
import type { Simulation } from "../../src/testing/index.ts";

/** What is told of one world; a run without its hash and its events. */
export type WorldFigures = Pick<Simulation, "counts" | "faults">;

export interface Sums {
  readonly worlds: number;
  /** By name, as in `Simulation.counts`; `time` in milliseconds. */
  readonly counts: Readonly<Record<string, number>>;
  /** What went wrong, by kind. */
  readonly faults: Readonly<Record<string, number>>;
}

export const noSums: Sums = { worlds: 0, counts: {}, faults: {} };

export function addWorld(sums: Sums, { counts, faults }: WorldFigures): Sums {
  return { worlds: sums.worlds + 1, counts: added(sums.counts, counts), faults: added(sums.faults, faults) };
}

/** The whole on a few lines, for people. */
export function describeSums({ worlds, counts, faults }: Sums): string {
  const { time = 0, steps = 0, ...mail } = counts;
  const wrong = Object.entries(faults).sort(([a], [b]) => a.localeCompare(b));
  return [
    `  worlds ${worlds}, ${Math.round(time / 3_600_000)} hours of virtual time, ${steps} steps`,
    `  messages and recipients: ${listed(Object.entries(mail))}`,
    `  went wrong: ${listed(wrong)}`,
  ].join("\n");
}

function listed(entries: readonly (readonly [string, number])[]): string {
  return entries.map(([name, count]) => `${name} ${count}`).join(", ");
}

function added(sums: Readonly<Record<string, number>>, more: Readonly<Record<string, number>>): Record<string, number> {
  const total: Record<string, number> = { ...sums };
  for (const [name, count] of Object.entries(more)) total[name] = (total[name] ?? 0) + count;
  return total;
}
