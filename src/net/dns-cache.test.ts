import assert from "node:assert/strict";
import { test } from "node:test";
import { fakeClock } from "../testing/index.ts";
import { DnsCache } from "./dns-cache.ts";

const HOUR = 3_600_000;

test("many small answers are kept, and few large ones", async () => {
  for (const [octets, kept] of [
    [100, 10],
    [1000, 5],
    [10_000, 0],
  ] as const) {
    const cache = new DnsCache<{ at: number }>(10, fakeClock().clock);
    for (let at = 0; at < 20; at++) await cache.get(`${at}`, async () => ({ answer: { at }, lifetime: HOUR, octets }));
    let asked = 0;
    for (let at = 19; at >= 0; at--) {
      const answer = await cache.get(`${at}`, async () => {
        asked += 1;
        return { answer: { at }, lifetime: 0, octets };
      });
      assert.equal(answer.at, at);
    }
    assert.equal(20 - asked, kept, `${octets}`);
  }
});

test("a question that breaks is asked again, and nobody waits for it for ever", async () => {
  const cache = new DnsCache<{ at: number }>(10, fakeClock().clock);
  const broken = () => Promise.reject(new Error("broken"));
  await Promise.all([
    assert.rejects(cache.get("a", broken)),
    assert.rejects(cache.get("a", async () => ({ answer: { at: 1 }, lifetime: HOUR, octets: 1 }))),
  ]);
  assert.equal((await cache.get("a", async () => ({ answer: { at: 2 }, lifetime: HOUR, octets: 1 }))).at, 2);
});
