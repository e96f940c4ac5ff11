/*
 * `npm run fuzz -- [--minutes N] [--target NAME] [--seed S]`: throws inputs at the targets, in turns, until the time is up. What breaks
 * an invariant is made small, saved in the corpus of its target, and told with the seed that finds it again.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { readCorpus, saveCase } from "./corpus.ts";
import { type Finding, runTurn } from "./run.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";
import { startWatchdog } from "./watchdog.ts";

/** A turn takes about this long, in milliseconds; the first ones find out how many cases that is. */
const TURN = 1000;
const FIRST_CASES = 50;

/** A target that breaks so often has told enough. */
const MOST_FINDINGS = 5;

interface Standing {
  readonly target: Target;
  readonly corpus: readonly Uint8Array[];
  cases: number;
  turnCases: number;
  milliseconds: number;
  findings: number;
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    target: { type: "string", multiple: true, default: [] },
    seed: { type: "string" },
  },
});
const minutes = Number(values.minutes);
const wanted = targets.filter(({ name }) => values.target.length === 0 || values.target.includes(name));
const firstSeed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!(minutes > 0) || wanted.length === 0 || !Number.isInteger(firstSeed)) {
  process.stderr.write(`fuzz: --minutes N, --seed S, --target of ${targets.map(({ name }) => name).join(", ")}\n`);
  process.exit(2);
}

const standings: Standing[] = wanted.map((target) => ({
  target,
  corpus: readCorpus(target.name).map(({ octets }) => octets),
  cases: 0,
  turnCases: FIRST_CASES,
  milliseconds: 0,
  findings: 0,
}));

let current: { readonly name: string; readonly octets: Uint8Array } | null = null;
let strays = 0;
// What is thrown in a callback belongs to the input that is running, or to the one just before it.
process.on("uncaughtException", (error) => {
  strays++;
  const file = current === null ? "none" : saveCase(current.name, "found", current.octets);
  process.stdout.write(`FOUND ${current?.name}: thrown outside of the check, input ${file}\n${String(error.stack)}\n`);
  if (strays >= MOST_FINDINGS) process.exit(1);
});

const bark = startWatchdog();
const end = performance.now() + minutes * 60_000;
process.stdout.write(`fuzz: ${wanted.length} targets, ${minutes} minutes, seed ${firstSeed}\n`);
for (let seed = firstSeed; performance.now() < end; seed = (seed + 1) >>> 0) {
  for (const standing of standings) if (performance.now() < end) await takeTurn(standing, seed);
  if (standings.every(({ findings }) => findings >= MOST_FINDINGS)) break;
}
for (const { target, cases, milliseconds, findings } of standings) {
  const rate = Math.round((cases * 1000) / Math.max(1, milliseconds));
  process.stdout.write(
    `${target.name.padEnd(20)} ${String(cases).padStart(10)} cases ${String(rate).padStart(7)}/s ${findings} found\n`,
  );
}
const total = standings.reduce((sum, { cases }) => sum + cases, 0);
const found = standings.reduce((sum, { findings }) => sum + findings, strays);
const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
process.stdout.write(`fuzz: ${total} cases, ${found} findings, ${memory} MiB resident\n`);
process.exit(found === 0 ? 0 : 1);

async function takeTurn(standing: Standing, seed: number): Promise<void> {
  const { target, corpus } = standing;
  if (standing.findings >= MOST_FINDINGS) return;
  const start = performance.now();
  const begun = (octets: Uint8Array): void => {
    current = { name: target.name, octets };
    bark(target.name, octets);
  };
  const { cases, finding } = await runTurn(target, corpus, { seed, cases: standing.turnCases, begun });
  const took = performance.now() - start;
  standing.cases += cases;
  standing.milliseconds += took;
  if (finding !== null) {
    standing.findings++;
    tell(target, finding);
  } else standing.turnCases = Math.max(FIRST_CASES, Math.round((cases * TURN) / Math.max(took, TURN / 10)));
}

function tell(target: Target, { octets, seed, path, error }: Finding): void {
  const file = saveCase(target.name, "found", octets);
  process.stdout.write(`FOUND ${target.name}: seed ${seed}, path ${path}, input ${file}\n`);
  process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
}
