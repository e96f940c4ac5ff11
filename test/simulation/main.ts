/*
 * `npm run simulate -- [--seeds N] [--from SEED] [--seed SEED] [--events N] [--twice]`: runs N worlds (default 1000), or the one named,
 * and tells of those that break a promise. The exit code is 1 when one did.
 */
import { parseArgs } from "node:util";
import { simulate } from "../../src/testing/index.ts";
import { describeBroken, runWorlds } from "./worlds.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    seed: { type: "string" },
    events: { type: "string", default: "60" },
    twice: { type: "boolean", default: false },
  },
});
const [count, from, events] = [values.seeds, values.from, values.events].map(Number);
const single = values.seed === undefined ? null : Number(values.seed);
const numbers = [count, from, events, single ?? 0];
if (count === undefined || from === undefined || numbers.some((number) => !Number.isSafeInteger(number))) {
  process.stderr.write("simulate: --seeds, --from, --seed and --events take whole numbers\n");
  process.exit(2);
}

const begun = performance.now();
process.on("unhandledRejection", (reason) => {
  process.stdout.write(`FOUND a rejection that nobody took: ${reason instanceof Error ? reason.stack : reason}\n`);
  process.exitCode = 1;
});
if (single === null) await many(from, count, values.twice);
else await one(single);

async function one(seed: number): Promise<void> {
  const run = await simulate({ seed, events: events ?? 60 });
  process.stdout.write(run.violations.length > 0 ? `${describeBroken(run)}\n` : `seed ${seed}: all promises kept\n`);
  process.stdout.write(`${JSON.stringify({ hash: run.hash, ...run.counts })}\n`);
  if (run.violations.length > 0) process.exitCode = 1;
}

async function many(first: number, worlds: number, twice: boolean): Promise<void> {
  let told = performance.now();
  const result = await runWorlds({
    seeds: (function* () {
      for (let seed = first; seed < first + worlds; seed++) yield seed;
    })(),
    twice,
    found: (run) => void process.stdout.write(`FOUND ${describeBroken(run)}\n`),
    progress(done, broken) {
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      process.stdout.write(`${done} worlds, ${broken} broke a promise\n`);
    },
  });
  const { broken, unsteady, ...sums } = result;
  for (const seed of unsteady) process.stdout.write(`FOUND seed ${seed}: two runs of it differ\n`);
  const seconds = (performance.now() - begun) / 1000;
  const rate = Math.round(result.worlds / seconds);
  process.stdout.write(`simulate: ${JSON.stringify(sums)}, ${broken.length} broke a promise, ${rate} worlds/s\n`);
  if (broken.length + unsteady.length > 0) process.exitCode = 1;
}
