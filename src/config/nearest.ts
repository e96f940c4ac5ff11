/** The least number of single-character edits that turn `a` into `b` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The one of `known` that somebody who wrote `written` most likely meant; null where none is near. */
export function nearest(written: string, known: readonly string[]): string | null {
  const word = written.toLowerCase().replaceAll("-", "_");
  const bound = Math.max(1, Math.floor(word.length / 3));
  let best: { readonly name: string; readonly edits: number } | null = null;
  for (const name of known) {
    // Far longer names cannot be near; the check also keeps a huge key from costing a huge table.
    if (Math.abs(name.length - word.length) > bound) continue;
    const edits = distance(word, name);
    if (edits <= bound && (best === null || edits < best.edits)) best = { name, edits };
  }
  return best?.name ?? null;
}
