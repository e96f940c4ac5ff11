import type { DatabaseSync } from "node:sqlite";
import type { HistoryBounds } from "../history.ts";
import { integer } from "./columns.ts";

/** Rows a round, so that no round keeps mail waiting: some 5 ms. */
const ROUND = 5000;

/**
 * Deletes the oldest rows of the history as far as `bounds` ask, at most `round`; true when that was not all. Rows are numbered in the
 * order of finishing.
 */
export function pruneHistory(database: DatabaseSync, bounds: HistoryBounds, now: number, round = ROUND): boolean {
  const ends = database.prepare(ENDS).get();
  if (ends === undefined || ends.last === null) return false;
  const [first, last] = [integer(ends, "first"), integer(ends, "last")];
  // No row beyond a round is looked at: a million may be too old.
  const young = database.prepare(YOUNG).get({ oldest: now - bounds.age, until: first + round });
  const firstYoung = young === undefined ? Math.min(last, first + round) + 1 : integer(young, "id");
  const surplus = Math.max(last - bounds.recipients, firstYoung - 1);
  const until = Math.min(surplus, first + round - 1);
  if (until >= first) database.prepare("DELETE FROM history WHERE id <= ?").run(until);
  return surplus > until;
}

const ENDS = "SELECT (SELECT min(id) FROM history) AS first, (SELECT max(id) FROM history) AS last";
const YOUNG = "SELECT id FROM history WHERE finished_at > :oldest AND id <= :until ORDER BY id LIMIT 1";
