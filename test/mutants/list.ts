import { seededRandom, shuffle } from "../../src/base/index.ts";
import { keepingMutants } from "./keeping.ts";
import { languageMutants } from "./language.ts";
import type { Mutant } from "./mutant.ts";
import { receivingMutants } from "./receiving.ts";
import { sendingMutants } from "./sending.ts";
import { trustMutants } from "./trust.ts";
import { wiringMutants } from "./wiring.ts";

/** All bugs that the tests have to notice. */
export const mutants: readonly Mutant[] = [
  ...languageMutants,
  ...receivingMutants,
  ...keepingMutants,
  ...sendingMutants,
  ...trustMutants,
  ...wiringMutants,
];

/** Some of them; the same seed draws the same. */
export function sampleOf(from: readonly Mutant[], count: number, seed: number): readonly Mutant[] {
  return shuffle(from, seededRandom(seed)).slice(0, count);
}
