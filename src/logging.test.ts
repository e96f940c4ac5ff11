import assert from "node:assert/strict";
import { test } from "node:test";
import { makeLog } from "./logging.ts";

/** Of no folder: events stand in their tables. */
const EVENT = "test";

function collect(level: "debug" | "info"): {
  log: ReturnType<typeof makeLog>;
  lines: Readonly<Record<string, unknown>>[];
} {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const log = makeLog({ level, format: "json" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { log, lines };
}

test("a line carries the fields of every log that it went through, and its own win", () => {
  const { log, lines } = collect("info");
  const child = log.child({ worker: 2 }).child({ session: "a", port: 1 });
  child.info(EVENT, { port: 25 });
  log.warn(EVENT);
  const [first, second] = lines;
  assert.partialDeepStrictEqual(first, { event: EVENT, level: "info", worker: 2, session: "a", port: 25 });
  assert.partialDeepStrictEqual(second, { event: EVENT, level: "warn" });
  assert.ok(second !== undefined && !("session" in second));
});

test("an exception is written in full, and what is below the level not at all", () => {
  const { log, lines } = collect("info");
  log.child({ session: "a" }).debug(EVENT);
  log.child({ session: "a" }).error(EVENT, { error: new Error("why") });
  assert.equal(lines.length, 1);
  assert.partialDeepStrictEqual(lines[0], { session: "a", err: { type: "Error", message: "why" } });
  const all = collect("debug");
  all.log.debug(EVENT, { a: 1 });
  assert.partialDeepStrictEqual(all.lines[0], { event: EVENT, level: "debug", a: 1 });
});
