// How SQLite answers each statement of the queue: none may go through a whole table, or sort what is due, however many rows there are.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { DEFAULT_HISTORY } from "../history.ts";
import { Engine } from "./engine.ts";

/** What a plan may hold although it is not a search, by the line of the plan, with the reason. */
const ALLOWED: ReadonlyMap<string, string> = new Map([
  ["SCAN json_each VIRTUAL TABLE INDEX 1:", "the list of domains of the question itself"],
  ["SCAN level", "the priorities found so far: 19 at most"],
  ["SCAN draft", "large messages that were on their way in when the process ended: as many as there were connections"],
  ["SCAN history", "asked by people alone; bounded by the configuration"],
]);

/** Steps of a plan that read no more than is asked for. */
const HARMLESS = [
  /^SEARCH \w+ USING (COVERING INDEX|INDEX|PRIMARY KEY|INTEGER PRIMARY KEY)\b/,
  /^SEARCH \(subquery-\d+\)$/,
  /^SEARCH \w+$/, // its first or last row, for min() or max()
  /^(SCALAR|LIST|CORRELATED SCALAR|CORRELATED LIST) SUBQUERY \d+$/,
  /^(CO-ROUTINE|MATERIALIZE) [\w()-]+$/,
  /^(SETUP|RECURSIVE STEP|MERGE \(UNION\)|LEFT|RIGHT|CREATE BLOOM FILTER|SCAN CONSTANT ROW)$/,
];

let folder = "";
const statements = new Set<string>();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "postern-plans-"));
  class Recorder extends DatabaseSync {
    override prepare(sql: string): StatementSync {
      statements.add(sql);
      return super.prepare(sql);
    }
  }
  const path = join(folder, "queue.sqlite");
  const engine = new Engine({
    settings: { path, role: "owner", maxFileSize: null, history: DEFAULT_HISTORY },
    lock: null,
    onReopen: (failure) => assert.fail(failure.text),
    openDatabase: (at) => new Recorder(at),
  });
  engine.lastId();
  // A row to prune has the statements of that prepared, too.
  const other = new DatabaseSync(path);
  other.exec(`INSERT INTO history (message, received_at, finished_at, local_part, domain, attempts, outcome)
    VALUES (1, 0, 0, 'u', 'x.test', 1, '{}')`);
  other.close();
  engine.tidy();
  engine.close();
});

after(() => rm(folder, { recursive: true }));

function stepsOf(database: DatabaseSync, sql: string): readonly string[] {
  return database
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .all()
    .map(({ detail }) => String(detail));
}

function isHarmless(step: string): boolean {
  return ALLOWED.has(step) || HARMLESS.some((pattern) => pattern.test(step));
}

test("no statement of the queue scans a table or sorts, but for those listed with a reason", () => {
  const queries = [...statements].filter((sql) => !sql.startsWith("PRAGMA"));
  assert.ok(queries.length >= 40, `${queries.length} statements were seen`);
  for (const word of ["FROM recipient", "DELETE FROM history", "max(id)", "expires_at <=", "INSERT INTO story"]) {
    assert.ok(
      queries.some((sql) => sql.includes(word)),
      `none of them has '${word}'`,
    );
  }
  using database = new DatabaseSync(join(folder, "queue.sqlite"), { readOnly: true });
  const used = new Set<string>();
  for (const sql of queries) {
    for (const step of stepsOf(database, sql)) {
      used.add(step);
      assert.ok(isHarmless(step), `${step}\nin: ${sql}`);
    }
  }
  for (const step of ALLOWED.keys()) assert.ok(used.has(step), `nothing needs '${step}' any more`);
});

test("a plan that scans or sorts is seen as such", () => {
  using database = new DatabaseSync(join(folder, "queue.sqlite"), { readOnly: true });
  for (const sql of [
    "SELECT * FROM recipient WHERE next_attempt <= 5",
    "SELECT count(*) FROM message",
    "SELECT message FROM recipient WHERE state = 0 AND priority = 0 ORDER BY domain",
  ]) {
    assert.equal(stepsOf(database, sql).every(isHarmless), false, sql);
  }
});
