/**
 * Worlds that once broke a promise, with what it was; they are run before all others. Which world a seed names changes with the simulator
 * and with the code in it: when that changed much, put the bug back into a copy and see that its seeds still find it, or choose others.
 */
export const foundSeeds: readonly { readonly seed: number; readonly found: string }[] = [
  {
    seed: 0,
    found: "a claim whose end the store refused once was never ended: its mail was neither tried nor expired",
  },
  { seed: 11, found: "the same, in a world that is calm after 10 minutes" },
  { seed: 97, found: "the same, with mail whose time was over before anybody looked" },
];
