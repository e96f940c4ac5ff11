/*
 * JavaScript throws anything, and a `catch` is told nothing of it.
 */

/** As a log takes it. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** In words for a person. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The word that the system has for it (`ENOENT`), for a person who is told the file anyway; without one, all that is known. */
export function codeOf(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
}
