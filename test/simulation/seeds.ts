/** Worlds that once broke a promise, with what it was; they are run before all others. */
export const foundSeeds: readonly { readonly seed: number; readonly found: string }[] = [];
