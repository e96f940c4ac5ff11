import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { it } from "node:test";

const LOGGING = new URL("./logging.ts", import.meta.url).href;

/** What a process that runs `body` with a `log` writes. */
function written(body: string): readonly { readonly event: string; readonly time: string }[] {
  const script = `import { makeLog } from ${JSON.stringify(LOGGING)};
    const log = makeLog({ level: "info", format: "json" }); ${body}`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

it("writes the last lines of a process that ends in the same turn", () => {
  const lines = written(`log.info("one.first"); log.error("one.last"); process.exit(3);`);
  assert.deepEqual(
    lines.map(({ event }) => event),
    ["one.first", "one.last"],
  );
});

it("writes the last lines of a process that ends by an exception", () => {
  const lines = written(`log.info("one.first"); throw new Error("unexpected");`);
  assert.deepEqual(
    lines.map(({ event }) => event),
    ["one.first"],
  );
});

it("writes more than it gathers, in order", () => {
  const lines = written(`for (let at = 0; at < 3000; at++) log.info("line." + at, { filler: "x".repeat(50) });`);
  assert.equal(lines.length, 3000);
  assert.ok(lines.every(({ event }, at) => event === `line.${at}`));
});

it("tells the time of each line in milliseconds", () => {
  const before = Date.now();
  const lines = written(`log.info("a.b"); setTimeout(() => log.info("a.c"), 1100);`);
  const times = lines.map(({ time }) => Date.parse(time));
  assert.ok(lines.every(({ time }) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time)));
  const [first = 0, second = 0] = times;
  assert.ok(before <= first && first + 1000 <= second && second <= Date.now());
});
