// `npm run soak -- --minutes N` (default 30) `--rate N` (messages a second; default: half of the peak, which is measured first).
import { parseArgs } from "node:util";
import type { Growth } from "./growth.ts";
import { describe, type SoakReport, soak } from "./soak.ts";

const MINUTE = 60_000;
const { values } = parseArgs({
  options: { minutes: { type: "string", default: "30" }, rate: { type: "string" } },
});
const minutes = Number(values.minutes);
const rate = values.rate === undefined ? null : Number(values.rate);
if (!(minutes > 0) || (rate !== null && !(rate > 0))) {
  process.stderr.write("soak: --minutes and --rate take a number above 0\n");
  process.exit(2);
}
const report = await soak({
  length: minutes * MINUTE,
  ...(rate !== null && { rate }),
  progress: (line) => process.stdout.write(`${line}\n`),
});
const problems = problemsOf(report);
process.stdout.write(`\n${tableOf(report)}${problems.map((problem) => `problem: ${problem}\n`).join("")}`);
process.exitCode = problems.length > 0 ? 1 : 0;

function problemsOf({ growth, tally, queued, disturbances }: SoakReport): readonly string[] {
  const grown = growth?.filter((each) => each.grown).map(({ quantity }) => `${quantity} grew`) ?? ["no samples"];
  const some = (what: string, numbers: readonly (number | string)[]): string[] =>
    numbers.length === 0 ? [] : [`${what}: ${numbers.slice(0, 20).join(", ")}`];
  return [
    ...grown,
    ...(queued === 0 ? [] : [`${queued} messages were still in the queue`]),
    ...some("acknowledged and gone", tally.open),
    ...some("repeated without a reason", tally.repeated),
    ...some("altered", tally.altered),
    ...some("bounced or delivered wrongly", tally.wrong),
    ...some("user changes that failed", disturbances.failed),
  ];
}

function tableOf({ peak, rate: used, samples, growth, tally, queued, disturbances }: SoakReport): string {
  const last = samples.at(-1);
  return [
    `rate ${used.toFixed(0)} messages/s${peak === null ? "" : ` of a peak of ${peak.toFixed(0)}`}; `,
    `${disturbances.reloads} reloads, ${disturbances.userChanges} users added and removed, ${disturbances.peers} slow, idle and broken clients\n`,
    last === undefined ? "" : `last: ${describe(last)}\n`,
    ...(growth ?? []).map(rowOf),
    `sent ${tally.sent} = acknowledged ${tally.acknowledged} + not taken ${tally.notTaken}\n`,
    `acknowledged ${tally.acknowledged}: delivered ${tally.delivered}, bounced ${tally.bounced}, open ${tally.open.length}, in the queue ${queued}\n`,
    `repeated after a cut behind the end of data ${tally.excused}, without ${tally.repeated.length}; altered ${tally.altered.length}\n`,
  ].join("");
}

function rowOf({ quantity, early, late, limit, grown }: Growth): string {
  const octets = !["handles", "loopDelay"].includes(quantity);
  const show = (value: number): string =>
    (octets ? `${(value / 1024 / 1024).toFixed(1)} MiB` : String(Math.round(value))).padStart(12);
  return `  ${quantity.padEnd(10)} ${show(early)} -> ${show(late)}  (at most ${show(limit).trim()})${grown ? "  GROWN" : ""}\n`;
}
