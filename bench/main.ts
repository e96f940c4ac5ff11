// The measured numbers: `npm run bench -- MEASURE`. Each measure prints a table in Markdown for RESULTS.md.
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { makeCertificate } from "../src/testing/index.ts";
import { havePostfix } from "../test/interop/postfix.ts";
import { type Measure, type SubjectName, stopOnSignal } from "./harness.ts";
import { deferred } from "./measures/deferred.ts";
import { idle } from "./measures/idle.ts";
import { large } from "./measures/large.ts";
import { growth, latency } from "./measures/load-shapes.ts";
import { slowDisk } from "./measures/slow-disk.ts";
import { tarpit } from "./measures/tarpit.ts";
import { throughput } from "./measures/throughput.ts";
import { harakaProblem } from "./subjects/haraka.ts";

const MEASURES: readonly Measure[] = [...throughput, latency, deferred, idle, large, growth, tarpit, slowDisk];

const HELP = `npm run bench -- MEASURE... | all [options]
  --rounds N        alternating rounds of each measure (default 5)
  --messages N      messages a round (default: the measure's own)
  --connections N   (default 20)
  --size N          octets of a message (default 4096)
  --only SERVERS    some of postern,postfix,haraka,smtp-server,ceiling
  --alone           the same as --only postern

What is not there is left out, with a line that says why: Postfix where it is not installed (Debian: apt-get install postfix) or we are
not root; Haraka where npm cannot fetch it into node_modules/.cache at its first use; smtp-server where the development dependencies
were not installed (npm install). Haraka takes part in accept and relay, smtp-server in accept: npm run bench -- accept relay

${MEASURES.map(({ name, what }) => `  ${name.padEnd(17)} ${what}`).join("\n")}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    messages: { type: "string" },
    connections: { type: "string", default: "20" },
    size: { type: "string", default: "4096" },
    only: { type: "string" },
    alone: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help || positionals.length === 0) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}
const unknown = positionals.filter((name) => name !== "all" && !MEASURES.some((measure) => measure.name === name));
if (unknown.length > 0) {
  process.stderr.write(`bench: no measure '${unknown[0]}'; there are ${MEASURES.map(({ name }) => name).join(", ")}\n`);
  process.exit(2);
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** What can be measured here; says of the others why not. */
async function availableSubjects(): Promise<ReadonlySet<SubjectName>> {
  const wanted = values.alone ? ["postern"] : values.only?.split(",");
  const names: readonly SubjectName[] = ["postern", "postfix", "haraka", "smtp-server", "ceiling"];
  const available = new Set(names.filter((name) => wanted === undefined || wanted.includes(name)));
  if (available.has("postfix") && !(await havePostfix())) {
    available.delete("postfix");
    process.stdout.write("Postfix is left out: it is not installed, or we are not root.\n");
  }
  if (available.has("smtp-server") && !isInstalled("smtp-server")) {
    available.delete("smtp-server");
    process.stdout.write("smtp-server is left out: it is not installed (npm install).\n");
  }
  const problem = available.has("haraka") ? await harakaProblem() : null;
  if (problem !== null) {
    available.delete("haraka");
    process.stdout.write(`Haraka is left out: ${problem}\n`);
  }
  return available;
}

stopOnSignal();
const available = await availableSubjects();
const pair = await makeCertificate({ names: ["bench.test"] });
process.stdout.write(
  `${cpus()[0]?.model ?? "?"} × ${cpus().length}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; ` +
    `${values.connections} connections, ${values.size} octets, ${values.rounds} rounds; load generator, servers and sink on one machine. ` +
    "Haraka does not sync, smtp-server stores nothing, the ceiling does not even parse.\n",
);
for (const measure of MEASURES) {
  if (!positionals.includes("all") && !positionals.includes(measure.name)) continue;
  process.stdout.write(`\n### ${measure.name}: ${measure.what}\n\n`);
  await measure.run({
    rounds: Number(values.rounds),
    messages: values.messages === undefined ? null : Number(values.messages),
    connections: Number(values.connections),
    size: Number(values.size),
    available,
    certificate: pair.certificate,
    privateKey: pair.privateKey,
  });
}
