/** One deliberate bug: what it breaks, where, and who is to notice. */
export interface Mutant {
  /** Unique; a few words. */
  readonly name: string;
  /** What operators rely on and this takes away. */
  readonly promise: string;
  /** Path from the root of the project. */
  readonly file: string;
  /** Stands exactly once in the file; else the mutant is stale. */
  readonly search: string;
  readonly replacement: string;
  /** Test files, the one most likely to notice first. At least one of their tests has to fail. */
  readonly tests: readonly string[];
  /** The bug shows as a wait without end: tests that do not come to an end count as a failure. */
  readonly hangs?: true;
}

/** The text with the bug in it; null where the search text does not stand in it exactly once, or nothing would change. */
export function mutated(text: string, { search, replacement }: Pick<Mutant, "search" | "replacement">): string | null {
  const at = text.indexOf(search);
  if (search === replacement || at === -1 || text.indexOf(search, at + 1) !== -1) return null;
  return text.slice(0, at) + replacement + text.slice(at + search.length);
}
