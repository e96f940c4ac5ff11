// `npm run crash -- --rounds N` (default: each point once and five random moments) `--workers N` `--point NAME`: see crash.ts.
import { parseArgs } from "node:util";
import { type CrashReport, course, crash, pointsFor } from "./crash.ts";
import { POINTS } from "./points.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: String(POINTS.length + 5) },
    workers: { type: "string", default: "1" },
    point: { type: "string" },
  },
});
const workers = Number(values.workers);
const rounds = Number(values.rounds);
const possible = pointsFor(workers);
if (!(rounds >= 1) || !(workers >= 1)) {
  process.stderr.write("crash: --rounds and --workers take a number from 1\n");
  process.exit(2);
}
if (values.point !== undefined && !possible.some(({ name }) => name === values.point)) {
  process.stderr.write(`crash: no point '${values.point}' here; there are:\n${listing()}`);
  process.exit(2);
}
process.stdout.write(`${listing()}\n`);
const only = values.point === undefined ? {} : { only: values.point };
const report = await crash({
  rounds: course(rounds, { workers, ...only }),
  workers,
  progress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`\n${summary(report)}`);
process.exitCode = isBroken(report) ? 1 : 0;

function listing(): string {
  return possible.map(({ name, by, what }) => `  ${name.padEnd(26)} ${by.padEnd(8)} ${what}\n`).join("");
}

function isBroken({ lost, altered, falseReports, repeats }: CrashReport): boolean {
  return lost.length + altered.length + falseReports.length > 0 || repeats.some(({ kill }) => kill === null);
}

function summary(report: CrashReport): string {
  const { kills, points, sent, acknowledged, arrived, repeats, lost, altered, falseReports } = report;
  const at = [...points].map(([name, { reached, missed }]) => {
    const repeated = repeats.filter(({ kill }) => kill?.point.startsWith(name)).length;
    return `  ${name.padEnd(26)} ${String(reached).padStart(4)} reached ${String(missed).padStart(4)} missed ${String(repeated).padStart(5)} repeats\n`;
  });
  const unexplained = repeats.filter(({ kill }) => kill === null);
  return [
    ...at,
    `kills ${kills}, sent ${sent}, acknowledged ${acknowledged}, recipients reached ${arrived}\n`,
    `repeats ${repeats.length}, of which unexplained ${unexplained.length}; `,
    `lost ${lost.length}, altered ${altered.length}, false reports ${falseReports.length}\n`,
    ...lost.map((each) => `lost: ${each}\n`),
    ...altered.map((each) => `altered: ${each}\n`),
    ...falseReports.map((each) => `false report: ${each}\n`),
    ...unexplained.map(({ recipient }) => `repeated without a reason: ${recipient}\n`),
  ].join("");
}
