/*
 * `npm run simulate -- [--seeds N] [--minutes N] [--from SEED] [--workers N] [--seed SEED] [--events N] [--twice] [--findings N]`:
 * runs N worlds (default 1000), or worlds for N minutes, or the one named, in so many processes (default 1), and tells of those that
 * break a promise. It goes on after one, up to 100 findings. The exit code is 1 when there was one.
 */
import { parseArgs } from "node:util";
import { simulate } from "../../src/testing/index.ts";
import { type Finding, Hunt } from "./hunt.ts";
import { describeSums } from "./sums.ts";
import { describeBroken } from "./worlds.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    minutes: { type: "string" },
    from: { type: "string", default: "0" },
    workers: { type: "string", default: "1" },
    seed: { type: "string" },
    events: { type: "string", default: "60" },
    findings: { type: "string", default: "100" },
    twice: { type: "boolean", default: false },
  },
});

/** Findings that are told with their events; of the others the promise and the seed. */
const TOLD_IN_FULL = 5;

const seed = whole("seed", values.seed);
if (seed === null) await hunt();
else await one(seed);

function whole(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0 && text.trim() !== "") return number;
  process.stderr.write(`simulate: --${name} takes a whole number, not '${text}'\n`);
  process.exit(2);
}

async function one(world: number): Promise<void> {
  const run = await simulate({ seed: world, events: whole("events", values.events) ?? 0 });
  process.stdout.write(run.violations.length > 0 ? `${describeBroken(run)}\n` : `seed ${world}: all promises kept\n`);
  process.stdout.write(`${JSON.stringify({ hash: run.hash, ...run.counts, faults: run.faults })}\n`);
  if (run.violations.length > 0) process.exitCode = 1;
}

async function hunt(): Promise<void> {
  const minutes = whole("minutes", values.minutes);
  const stop = new AbortController();
  let told = 0;
  const hunted = new Hunt({
    from: whole("from", values.from) ?? 0,
    seeds: whole("seeds", values.seeds) ?? (minutes === null ? 1000 : null),
    time: minutes === null ? null : minutes * 60_000,
    workers: Math.max(1, whole("workers", values.workers) ?? 1),
    events: whole("events", values.events) ?? 0,
    twice: values.twice,
    mostFindings: whole("findings", values.findings) ?? 1,
    found: (finding) => void process.stdout.write(`FOUND ${describe(finding, told++ < TOLD_IN_FULL)}\n`),
    signal: stop.signal,
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  const rate = (): string => (hunted.result.worlds / Math.max(1, hunted.time / 1000)).toFixed(1);
  const progress = setInterval(() => {
    const { worlds, findings } = hunted.result;
    process.stdout.write(
      `${Math.round(hunted.time / 60_000)} min: ${worlds} worlds, ${rate()} worlds/s, ${findings} findings\n`,
    );
  }, 60_000);
  const result = await hunted.run();
  clearInterval(progress);
  const next = `next seed ${result.next}`;
  process.stdout.write(`${describeSums(result)}\n`);
  process.stdout.write(`simulate: ${result.worlds} worlds, ${result.findings} findings, ${rate()} worlds/s, ${next}\n`);
  if (result.findings > 0) process.exitCode = 1;
}

function describe(finding: Finding, fully: boolean): string {
  switch (finding.kind) {
    case "broken":
      return describeBroken(fully ? finding.run : { ...finding.run, events: [] });
    case "unsteady":
      return `seed ${finding.seed}: two runs of it differ`;
    case "rejection":
      return `seed ${finding.seed ?? "unknown"}: a rejection that nobody took: ${finding.text}`;
    case "died":
    case "hung":
      return `seed ${finding.seed ?? "unknown"}: ${finding.text}`;
  }
}
