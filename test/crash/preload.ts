// Loaded into the daemon by `--import`, and by Node into each of its threads and processes: watches the system's doors (node:sqlite,
// node:fs/promises) from outside, and kills the process at the planned passage of the planned point. The product knows nothing of it.
import { existsSync, writeFileSync } from "node:fs";
import promises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { basename, dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { isMainThread } from "node:worker_threads";
import { type InsidePoint, PLAN, type Plan } from "./points.ts";

const text = process.env[PLAN];
if (text !== undefined) {
  const plan: Plan = JSON.parse(text); // written by round.ts
  let passages = 0;
  const passed = (point: InsidePoint): void => {
    if (point === plan.point && ++passages === plan.passage) die(plan);
  };
  if (isMainThread) watchMaildir(passed);
  else watchStore(passed);
}

type Passed = (point: InsidePoint) => void;

/** Once: a worker that is started again after this, or another one, lives on. */
function die({ mark, stopParent }: Plan): void {
  if (existsSync(mark)) return;
  writeFileSync(mark, `${process.pid}`);
  if (stopParent) process.kill(process.ppid, "SIGSTOP");
  process.kill(process.pid, "SIGKILL");
}

/** The transaction under way: what its statements have told of it so far. */
type Seen = Set<"accept" | "outcome" | "report" | "append">;

/** Statements of the store by what they begin with. A test checks that each point is reached, so that none can go stale. */
const MESSAGE = "INSERT INTO message";
const HISTORY = "INSERT INTO history";
/** The first piece of a body that does not wait in memory for its end. */
const DRAFT = "INSERT INTO draft";
/** Among the values of a message's row: its sender's local part, null in a report. */
const SENDER_VALUE = 4;

/** In the store's thread, which opens no other database than the queue. */
function watchStore(passed: Passed): void {
  const seen: Seen = new Set();
  const { exec, prepare } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql) {
    if (sql.startsWith("BEGIN IMMEDIATE")) seen.clear();
    if (sql !== "COMMIT") return exec.call(this, sql);
    committing(seen, passed);
    exec.call(this, sql);
    committed(seen, passed);
  };
  DatabaseSync.prototype.prepare = function (sql, ...rest) {
    const statement: StatementSync = prepare.call(this, sql, ...rest);
    if (![MESSAGE, HISTORY, DRAFT].some((begin) => sql.startsWith(begin))) return statement;
    const run = statement.run.bind(statement);
    const watched = (...values: Parameters<typeof run>): ReturnType<typeof run> => {
      const result = run(...values);
      written(sql, values, { seen, passed });
      return result;
    };
    Object.assign(statement, { run: watched });
    return statement;
  };
}

function written(
  sql: string,
  values: readonly unknown[],
  { seen, passed }: { readonly seen: Seen; readonly passed: Passed },
): void {
  if (sql.startsWith(DRAFT)) seen.add("append");
  else if (sql.startsWith(HISTORY)) {
    seen.add("outcome");
    passed("outcome.begun");
  } else if (values[SENDER_VALUE] === null) seen.add("report");
  else {
    seen.add("accept");
    passed("accept.begun");
  }
}

function committing(seen: Seen, passed: Passed): void {
  if (seen.size === 0) passed("opening.uncommitted");
  if (seen.has("accept")) passed("accept.uncommitted");
  if (seen.has("outcome")) passed("outcome.uncommitted");
  if (seen.has("report")) passed("report.uncommitted");
}

function committed(seen: Seen, passed: Passed): void {
  if (seen.has("accept")) passed("accept.committed");
  if (seen.has("append")) passed("body.appended");
  if (seen.has("outcome")) passed("outcome.committed");
  if (seen.has("report")) passed("report.committed");
}

/** Folders of a Maildir are known by their names, which nothing else in a data folder has. */
function watchMaildir(passed: Passed): void {
  const { open, rename, mkdir } = promises;
  promises.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    const name = String(path);
    if (basename(dirname(name)) === "tmp") {
      passed("maildir.opened");
      watchFile(handle, passed);
    } else if (["new", "tmp"].includes(basename(name))) watchDirectory(handle, passed);
    return handle;
  };
  promises.rename = async (from, to) => {
    await rename(from, to);
    if (basename(dirname(String(to))) === "new") passed("maildir.renamed");
  };
  const made = async (...args: Parameters<typeof mkdir>): ReturnType<typeof mkdir> => {
    const first = await mkdir(...args);
    if (["new", "cur", "tmp"].includes(basename(String(args[0])))) passed("maildir.made");
    return first;
  };
  Object.assign(promises, { mkdir: made });
  syncBuiltinESMExports();
}

function watchFile(handle: FileHandle, passed: Passed): void {
  const writeFile = handle.writeFile.bind(handle);
  const sync = handle.sync.bind(handle);
  handle.writeFile = async (...args) => {
    await writeFile(...args);
    passed("maildir.written");
  };
  handle.sync = async () => {
    await sync();
    passed("maildir.synced");
  };
}

function watchDirectory(handle: FileHandle, passed: Passed): void {
  const sync = handle.sync.bind(handle);
  handle.sync = async () => {
    await sync();
    passed("maildir.directory-synced");
  };
}
