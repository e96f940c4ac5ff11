import { describe, test } from "node:test";
import { readCorpus } from "./corpus.ts";
import { runTurn } from "./run.ts";
import { targets } from "./targets.ts";

/** The same inputs each time; `npm run fuzz` looks further. */
const SEED = 20_301;

/** Inputs of chance for a target, fewer where each is a whole session. */
const CASES: Readonly<Record<string, number>> = { server: 60, client: 60, config: 150 };
const MOST_CASES = 600;

for (const target of targets) {
  describe(`fuzz ${target.name}`, () => {
    const corpus = readCorpus(target.name);
    for (const { name, octets } of corpus) test(name, () => target.check(octets));
    test("inputs of chance", async () => {
      const inputs = corpus.map(({ octets }) => octets);
      const { finding } = await runTurn(target, inputs, { seed: SEED, cases: CASES[target.name] ?? MOST_CASES });
      if (finding !== null)
        throw new Error(`broken by ${JSON.stringify(Buffer.from(finding.octets).toString("latin1"))}`, {
          cause: finding.error,
        });
    });
  });
}
