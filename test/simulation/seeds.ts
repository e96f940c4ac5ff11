/** Worlds that once broke a promise, with what it was; they are run before all others. */
export const foundSeeds: readonly { readonly seed: number; readonly found: string }[] = [
  {
    seed: 28,
    found: "a claim whose end the store refused once was never ended: its mail was neither tried nor expired",
  },
  { seed: 63, found: "the same, in a world that is calm after 10 minutes" },
  { seed: 92, found: "the same, with mail whose time was over before anybody looked" },
];
