import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatReadings } from "./exposition.ts";
import { Meter } from "./meter.ts";

test("a cell is one number for all who ask for its labels", () => {
  const meter = new Meter();
  meter.cell("connections", "mx", "starttls").value++;
  meter.cell("connections", "mx", "starttls").value += 2;
  meter.cell("connections", "mx", "none").value++;
  assert.deepEqual(
    meter.readings().get("connections"),
    new Map([
      ['{service="mx",tls="starttls"}', 3],
      ['{service="mx",tls="none"}', 1],
    ]),
  );
  meter.forget("connections");
  assert.equal(meter.readings().has("connections"), false);
});

test("what is read stays as it was", () => {
  const meter = new Meter();
  const cell = meter.cell("queued");
  const readings = meter.readings();
  cell.value = 7;
  assert.equal(readings.get("queued")?.get(""), 0);
  assert.equal(meter.readings().get("queued")?.get(""), 7);
});

test("labels have a bound: what is beyond it is counted together", () => {
  const meter = new Meter();
  for (let at = 0; at < 1000; at++) meter.cell("refusals", "mx", String(at), "none").value++;
  const series = meter.readings().get("refusals") ?? new Map<string, number>();
  assert.ok(series.size <= 201, String(series.size));
  assert.equal(
    [...series.values()].reduce((sum, each) => sum + each, 0),
    1000,
  );
  assert.equal(series.get('{service="other",code="other",status="other"}'), 1000 - 200);
});

test("no label value breaks out of its quotes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const meter = new Meter();
      meter.cell("tlsFailures", value).value = 1;
      const lines = formatReadings(meter.readings()).trimEnd().split("\n");
      assert.equal(lines.length, 3);
      const [, written = ""] =
        /^postern_tls_failures_total\{service="((?:[^"\\]|\\.)*)"\} 1$/s.exec(lines[2] ?? "") ?? [];
      const read = written.replace(/\\(.)/gs, (_, char: string) => (char === "n" ? "\n" : char));
      assert.equal(read, value);
    }),
  );
});

test("a histogram counts each observation in every bucket that it fits", () => {
  const meter = new Meter();
  const histogram = meter.histogram("sync");
  assert.equal(meter.histogram("sync"), histogram);
  for (const seconds of [0, 0.001, 0.0011, 10, 11]) histogram.observe(seconds);
  const series = meter.readings().get("sync");
  const at = (bound: string) => series?.get(`_bucket{le="${bound}"}`);
  assert.deepEqual([at("0.0005"), at("0.001"), at("0.002"), at("5"), at("10"), at("+Inf")], [1, 2, 3, 3, 4, 5]);
  assert.equal(series?.get("_count"), 5);
  assert.ok(Math.abs((series?.get("_sum") ?? 0) - 21.0021) < 1e-9);
});

test("readings are told with their kind, in a fixed order, and what was not measured is not", () => {
  const meter = new Meter();
  meter.cell("deliveries", "delivered").value = 2;
  meter.cell("connectionsOpen", "mx", "none").value = 1;
  assert.equal(
    formatReadings(meter.readings()),
    [
      "# HELP postern_connections_open Connections that are open.",
      "# TYPE postern_connections_open gauge",
      'postern_connections_open{service="mx",tls="none"} 1',
      "# HELP postern_deliveries_total Recipients an attempt was finished for, by what came of it.",
      "# TYPE postern_deliveries_total counter",
      'postern_deliveries_total{outcome="delivered"} 2',
      "",
    ].join("\n"),
  );
});
