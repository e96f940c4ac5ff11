import fc from "fast-check";
import { inputsFor } from "./mutation.ts";
import type { Target } from "./target.ts";

/** More than this for one input is as good as a hang; generous, since the machine may be busy with other things. */
const MAX_MILLISECONDS = 10_000;

/** An input that broke an invariant, made as small as could be. */
export interface Finding {
  readonly octets: Uint8Array;
  readonly seed: number;
  /** Where in the run of that seed. */
  readonly path: string;
  readonly error: unknown;
}

export interface Turn {
  readonly cases: number;
  readonly finding: Finding | null;
}

/** Runs so many inputs on a target, all of which follow from `seed`. `begun` is told of each before it runs. */
export async function runTurn(
  target: Target,
  corpus: readonly Uint8Array[],
  options: { readonly seed: number; readonly cases: number; readonly begun?: (octets: Uint8Array) => void },
): Promise<Turn> {
  const { seed, cases, begun } = options;
  const property = fc.asyncProperty(inputsFor(target, corpus), async (octets) => {
    begun?.(octets);
    const start = performance.now();
    // A target without I/O is not awaited: that would be most of its time.
    const pending = target.check(octets);
    if (pending !== undefined) await pending;
    const took = performance.now() - start;
    if (took > MAX_MILLISECONDS) throw new Error(`took ${Math.round(took)} ms`);
  });
  const details = await fc.check(property, { seed, numRuns: cases });
  const [octets] = details.counterexample ?? [];
  if (!details.failed || octets === undefined) return { cases: details.numRuns, finding: null };
  const path = details.counterexamplePath ?? "";
  return { cases: details.numRuns, finding: { octets, seed, path, error: details.errorInstance } };
}
