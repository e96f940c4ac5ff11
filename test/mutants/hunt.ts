import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";
import { copyTree, root, withMutant } from "./tree.ts";
import { type Trial, tryTests } from "./trial.ts";

export type Verdict =
  /** As it should be; `by`: the test that noticed. */
  | { readonly kind: "caught"; readonly by: string }
  | { readonly kind: "survived" }
  /** The code it changes is another by now: it says nothing until it is written anew. */
  | { readonly kind: "stale" }
  /** Says nothing either: the tests fail without it, or it breaks more than it means to. */
  | { readonly kind: "void"; readonly why: string };

export interface Judged {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  /** Milliseconds. */
  readonly took: number;
}

export interface HuntOptions {
  readonly mutants: readonly Mutant[];
  /** Mutants tried at the same time, each in a copy of the project. */
  readonly workers: number;
  /** Called with each verdict as it comes. */
  readonly judged?: (judged: Judged) => void;
}

/** The longest that one test file may take, milliseconds. */
const TRIAL_TIMEOUT = 90_000;
/** A trial with a bug in it may take this much longer than one without. */
const SLOWER = 4;
const LEAST_TIMEOUT = 30_000;

/** How a test file does without any mutant. */
interface Baseline {
  readonly trial: Trial;
  readonly took: number;
}

/** Puts each mutant in turn into a copy of the project and runs its tests. The project itself is only read. */
export async function hunt({ mutants, workers, judged = () => {} }: HuntOptions): Promise<readonly Judged[]> {
  const folder = await mkdtemp(join(tmpdir(), "postern-mutants-"));
  try {
    // All workers copy one copy, so that who edits the project meanwhile disturbs nothing.
    const snapshot = join(folder, "snapshot");
    await copyTree(root, snapshot);
    const results: Judged[] = [];
    const baselines = new Map<string, Promise<Baseline>>();
    const waiting = [...mutants];
    const worker = async (index: number): Promise<void> => {
      const tree = join(folder, `worker-${index}`);
      await copyTree(snapshot, tree);
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const begun = performance.now();
        const verdict = await judge(mutant, tree, (file) => baselineOf(file, snapshot, baselines));
        const result = { mutant, verdict, took: performance.now() - begun };
        results.push(result);
        judged(result);
      }
    };
    await Promise.all(Array.from({ length: Math.min(workers, mutants.length) }, (_, index) => worker(index)));
    return results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function baselineOf(file: string, tree: string, known: Map<string, Promise<Baseline>>): Promise<Baseline> {
  const begun = performance.now();
  const baseline =
    known.get(file) ??
    tryTests({ tree, file, timeout: TRIAL_TIMEOUT }).then((trial) => ({ trial, took: performance.now() - begun }));
  known.set(file, baseline);
  return baseline;
}

async function judge(mutant: Mutant, tree: string, baseline: (file: string) => Promise<Baseline>): Promise<Verdict> {
  for (const file of mutant.tests) {
    const before = await baseline(file);
    if (before.trial.kind !== "passed" || before.trial.tests === 0) {
      return { kind: "void", why: `${file} does not pass without the mutant: ${describeTrial(before.trial)}` };
    }
    const timeout = Math.min(TRIAL_TIMEOUT, Math.max(LEAST_TIMEOUT, before.took * SLOWER));
    const trial = await withMutant(tree, mutant, () => tryTests({ tree, file, timeout }));
    if (trial === null) return { kind: "stale" };
    if (trial.kind === "failed") return { kind: "caught", by: `${file}: ${trial.title}` };
    if (trial.kind === "hung" && mutant.hangs === true) return { kind: "caught", by: `${file}: no end` };
    if (trial.kind !== "passed") return { kind: "void", why: `${file}: ${describeTrial(trial)}` };
  }
  return { kind: "survived" };
}

function describeTrial(trial: Trial): string {
  switch (trial.kind) {
    case "passed":
      return `${trial.tests} tests passed`;
    case "failed":
      return `'${trial.title}' failed`;
    case "hung":
      return "came to no end";
    case "broken":
      return `broke down: ${trial.why.trim().split("\n").slice(-12).join("\n")}`;
  }
}
