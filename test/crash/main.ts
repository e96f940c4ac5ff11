// `npm run crash -- --rounds N` (default 20) `--workers N` (default 1): see crash.ts.
import { parseArgs } from "node:util";
import { crash } from "./crash.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "20" }, workers: { type: "string", default: "1" } },
});
const counts = await crash({
  rounds: Number(values.rounds),
  workers: Number(values.workers),
  progress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(
  `sent ${counts.sent}, acknowledged ${counts.acknowledged}, delivered ${counts.delivered}, ` +
    `repeated ${counts.repeated}, lost ${counts.lost.length}, altered ${counts.altered.length}\n`,
);
process.exitCode = counts.lost.length + counts.altered.length > 0 ? 1 : 0;
