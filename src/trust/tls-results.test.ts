import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { DAY, instant, MINUTE, silentLog } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import type { TlsResult } from "./model.ts";
import { createTlsResults, dayOf } from "./tls-results.ts";

const NOON = instant(Date.UTC(2030, 4, 1, 12));
const TODAY = dayOf(NOON);

const SUCCESS: TlsResult = {
  domain: "example.org",
  policy: { type: "sts", strings: ["version: STSv1", "mode: enforce"], mxHosts: ["*.example.org"] },
  type: "success",
  host: "mx.example.org",
  sendingAddress: "192.0.2.1",
  receivingAddress: "198.51.100.1",
  reason: null,
};
const EXPIRED: TlsResult = { ...SUCCESS, type: "certificate-expired", reason: "expired yesterday" };

function setUp() {
  const file = new DatabaseSync(":memory:");
  const time = fakeClock(NOON);
  const lines: string[] = [];
  const log = { ...silentLog, warn: (event: string) => void lines.push(event) };
  const open = () => createTlsResults({ file, clock: time.clock, log });
  return { file, time, lines, open, results: open() };
}

test("sessions of one kind are counted together, and written within a minute", () => {
  const { time, results, open } = setUp();
  results.add(SUCCESS);
  results.add({ ...SUCCESS, host: "mx2.example.org", domain: "Example.ORG" });
  for (let i = 0; i < 3; i++) results.add(EXPIRED);
  results.add({ ...EXPIRED, receivingAddress: "198.51.100.2" });
  assert.deepEqual(results.days(), []);
  time.advance(MINUTE);
  const other = open();
  assert.deepEqual(other.days(), [TODAY]);
  assert.deepEqual(other.domains(TODAY), ["example.org"]);
  const { domain: _, ...expired } = EXPIRED;
  assert.deepEqual(other.counts(TODAY, "example.org"), [
    { ...expired, count: 3 },
    {
      policy: SUCCESS.policy,
      type: "success",
      host: null,
      sendingAddress: null,
      receivingAddress: null,
      reason: null,
      count: 2,
    },
    { ...expired, receivingAddress: "198.51.100.2", count: 1 },
  ]);
});

test("counts go on after a restart, and a session counts for the UTC day it was in", () => {
  const { time, results, open } = setUp();
  results.add(SUCCESS);
  results.close();
  const second = open();
  second.add(SUCCESS);
  time.advance(12 * 60 * MINUTE);
  second.add(SUCCESS);
  second.close();
  assert.equal(second.counts(TODAY, "example.org")[0]?.count, 2);
  assert.equal(second.counts(TODAY + 1, "example.org")[0]?.count, 1);
  assert.equal(time.pending, 0);
});

test("a peer cannot make the kinds of a domain and day grow without end", () => {
  const { results } = setUp();
  for (let i = 0; i < 500; i++) results.add({ ...EXPIRED, reason: `reason ${i}` });
  for (let i = 0; i < 300; i++) {
    results.add({ ...EXPIRED, policy: { type: "tlsa", strings: [`3 1 1 ${i}`], mxHosts: [] } });
  }
  results.flush();
  const counts = results.counts(TODAY, "example.org");
  assert.ok(counts.length <= 102, String(counts.length));
  assert.equal(
    counts.reduce((sum, { count }) => sum + count, 0),
    800,
    "none is lost",
  );
  results.add({ ...EXPIRED, domain: "other.example" });
  results.flush();
  assert.equal(results.counts(TODAY, "other.example")[0]?.reason, EXPIRED.reason);
});

test("different policies beyond the bound lose their text, not their count", () => {
  const { results } = setUp();
  for (let i = 0; i < 15; i++) {
    results.add({ ...SUCCESS, policy: { type: "tlsa", strings: [`3 1 1 ${i}`], mxHosts: [] } });
  }
  results.flush();
  const counts = results.counts(TODAY, "example.org");
  assert.equal(counts.length, 11);
  assert.equal(counts.find(({ policy }) => policy.strings.length === 0)?.count, 5);
});

test("results older than ten days go", () => {
  const { time, results } = setUp();
  for (let day = 0; day < 14; day++) {
    results.add(SUCCESS);
    results.flush();
    time.advance(DAY);
  }
  assert.deepEqual(
    results.days(),
    Array.from({ length: 10 }, (_, at) => TODAY + 4 + at),
  );
});

test("many kinds are written before the minute is over", () => {
  const { results } = setUp();
  for (let i = 0; i < 1000; i++) results.add({ ...SUCCESS, domain: `d${i}.example` });
  assert.equal(results.domains(TODAY).length, 1000);
});

test("what cannot be written is told of, kept, and written later", () => {
  const { file, time, lines, results } = setUp();
  results.add(EXPIRED);
  file.exec("ALTER TABLE tls_result RENAME TO away");
  time.advance(2 * MINUTE);
  assert.deepEqual(lines, ["trust.results.failed", "trust.results.failed"]);
  results.add(EXPIRED);
  file.exec("ALTER TABLE away RENAME TO tls_result");
  time.advance(MINUTE);
  assert.equal(results.counts(TODAY, "example.org")[0]?.count, 2);
});

test("a reason in a peer's words is kept to one line", () => {
  const { results } = setUp();
  results.add({ ...EXPIRED, reason: `a\r\nb${"x".repeat(1000)}` });
  results.flush();
  const reason = results.counts(TODAY, "example.org")[0]?.reason ?? "";
  assert.ok(reason.startsWith("a\\u000d\\u000ab") && reason.length < 250);
});
