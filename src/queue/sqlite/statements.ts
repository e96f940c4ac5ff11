import type { DatabaseSync, StatementSync } from "node:sqlite";

export type Statements<Name extends string> = Readonly<Record<Name, StatementSync>>;

/** Prepares each statement of a table of SQL, under its name. Throws what SQLite says of one that is wrong. */
export function prepareAll<Name extends string>(
  database: DatabaseSync,
  sql: Readonly<Record<Name, string>>,
): Statements<Name> {
  const prepared = Object.entries<string>(sql).map(([name, text]) => [name, database.prepare(text)]);
  return Object.fromEntries(prepared) as Statements<Name>; // the names are those of `sql`
}
