import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { definitionOf, metricNames } from "./catalogue.ts";
import { daemonCounts, sessionCounts, supervisorCounts } from "./counts.ts";
import { Meter } from "./meter.ts";

const read = (page: string): string => readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");

test("docs/metrics.md lists every metric with its kind, its labels and a meaning, and no other", () => {
  const listed = [...read("metrics.md").matchAll(/^\| `(postern_\w+)` \| (\w+) \| (.*?) \| (.+) \|$/gm)].map(
    ([, name, type, labels = "", meaning = ""]) => {
      assert.ok(meaning.length > 10, name);
      return `${name} ${type} ${[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).join(",")}`;
    },
  );
  const measured = metricNames.map(definitionOf).map(({ name, type, labels }) => `${name} ${type} ${labels.join(",")}`);
  assert.deepEqual(listed.sort(), measured.sort());
});

test("names are as Prometheus wants them, and no two are the same", () => {
  const names = metricNames.map((name) => definitionOf(name).name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, type, help } of metricNames.map(definitionOf)) {
    assert.match(name, /^postern(_[a-z]+)+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.ok(type !== "histogram" || name.endsWith("_seconds"), name);
    assert.doesNotMatch(help, /[\n\\]/);
  }
});

test("every event that is counted is an event of the log", () => {
  const events = new Set([...read("events.md").matchAll(/^\| `([a-z.-]+)` \|/gm)].map(([, name = ""]) => name));
  const meter = new Meter();
  const counted = [
    sessionCounts(meter, { service: "mx", tls: "none" }),
    daemonCounts(meter, ["mx"]),
    supervisorCounts(meter),
  ].flatMap((counts) => [...counts.keys()]);
  assert.ok(counted.length > 20);
  assert.deepEqual(
    counted.filter((name) => !events.has(name)),
    [],
  );
});
