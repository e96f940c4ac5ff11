/*
 * `npm run mutants -- [--only TEXT] [--sample N] [--seed N] [--workers N]`: breaks the code on purpose, one place at a time in a copy,
 * and tells whether the tests notice. All mutants, those whose name or file holds TEXT, or N of them drawn by a seed. The exit code is 1 unless
 * every one of them was caught.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { hunt, type Judged } from "./hunt.ts";
import { mutants, sampleOf } from "./list.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: String(Math.min(4, availableParallelism())) },
  },
});
const [seed, workers, sample] = [values.seed, values.workers, values.sample ?? "0"].map(Number);
if (seed === undefined || workers === undefined || sample === undefined) throw new Error("each number was given");
if (![seed, workers, sample].every(Number.isSafeInteger) || workers < 1) {
  process.stderr.write("mutants: --sample, --seed and --workers take whole numbers\n");
  process.exit(2);
}
const named = mutants.filter(({ name, file }) => `${name} ${file}`.includes(values.only));
const chosen = values.sample === undefined ? named : sampleOf(named, sample, seed);
if (chosen.length === 0) {
  process.stderr.write(`mutants: none has '${values.only}' in its name or file\n`);
  process.exit(2);
}

const begun = performance.now();
const results = await hunt({ mutants: chosen, workers, judged: print });
const uncaught = results.filter(({ verdict }) => verdict.kind !== "caught");
const seconds = Math.round((performance.now() - begun) / 1000);
process.stdout.write(`\n${results.length - uncaught.length} of ${results.length} caught, in ${seconds} s\n`);
for (const { mutant, verdict } of uncaught) {
  process.stdout.write(`  ${verdict.kind}: ${mutant.name} (${mutant.file})\n`);
}
process.exitCode = uncaught.length === 0 ? 0 : 1;

function print({ mutant, verdict, took }: Judged): void {
  const time = `${(took / 1000).toFixed(1)} s`.padStart(7);
  process.stdout.write(`${verdict.kind.padEnd(8)} ${time}  ${mutant.name}: ${detail({ mutant, verdict, took })}\n`);
}

function detail({ mutant, verdict }: Judged): string {
  switch (verdict.kind) {
    case "caught":
      return verdict.by;
    case "survived":
      return `not noticed by ${mutant.tests.join(", ")}; promised is: ${mutant.promise}`;
    case "stale":
      return `its search text does not stand exactly once in ${mutant.file}; write it anew`;
    case "void":
      return verdict.why;
  }
}
