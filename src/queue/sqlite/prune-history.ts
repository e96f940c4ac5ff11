import type { DatabaseSync } from "node:sqlite";
import type { HistoryBounds } from "../history.ts";
import { integer } from "./columns.ts";

/** Rows a round, so that no round keeps mail waiting. */
const ROUND = 50_000;

/** Deletes the oldest rows of the history as far as `bounds` ask, at most `ROUND`. Rows are numbered in the order of finishing. */
export function pruneHistory(database: DatabaseSync, bounds: HistoryBounds, now: number): void {
  const ends = database.prepare(ENDS).get({ oldest: now - bounds.age });
  if (ends === undefined || ends.last === null) return;
  const last = integer(ends, "last");
  const first = integer(ends, "first");
  const young = ends.young === null ? last + 1 : integer(ends, "young");
  const until = Math.min(Math.max(last - bounds.recipients, young - 1), first + ROUND);
  if (until >= first) database.prepare("DELETE FROM history WHERE id <= ?").run(until);
}

const ENDS = `SELECT (SELECT min(id) FROM history) AS first, (SELECT max(id) FROM history) AS last,
  (SELECT id FROM history WHERE finished_at > :oldest ORDER BY id LIMIT 1) AS young`;
