import assert from "node:assert/strict";
import { test } from "node:test";
import { HOUR, instant } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import { createTlsSessions, type KeptSession } from "./tls-sessions.ts";

const { clock } = fakeClock();

function ticket(number: number, once = true): KeptSession {
  return { session: Buffer.of(number), once, provenAt: clock.now(), chain: [], pathProblem: null };
}

test("the newest first, eight for each key, and none of another", () => {
  const sessions = createTlsSessions({ max: 2, clock });
  for (let number = 1; number <= 20; number += 1) sessions.keep("a", ticket(number));
  sessions.keep("b", ticket(99));
  const taken = Array.from({ length: 10 }, () => sessions.take("a")?.session[0] ?? null);
  assert.deepEqual(taken, [20, 19, 18, 17, 16, 15, 14, 13, null, null]);
  assert.equal(sessions.take("c"), null);
  assert.equal(sessions.take("b")?.session[0], 99);
  assert.equal(sessions.take("b"), null);
});

test("one that may be used again stays, up to its time", () => {
  const time = fakeClock();
  const sessions = createTlsSessions({ max: 2, clock: time.clock });
  sessions.keep("a", { ...ticket(1, false), provenAt: time.clock.now() });
  time.advance(2 * HOUR - 1);
  assert.equal(sessions.take("a")?.session[0], 1);
  assert.equal(sessions.take("a")?.session[0], 1);
  time.advance(1);
  assert.equal(sessions.take("a"), null);
  time.advance(-HOUR);
  assert.equal(sessions.take("a"), null, "it is gone and not only passed over");
});

test("the least used key goes first, and what is forgotten is gone", () => {
  const sessions = createTlsSessions({ max: 2, clock });
  sessions.keep("a", ticket(1, false));
  sessions.keep("b", ticket(2, false));
  assert.notEqual(sessions.take("a"), null);
  sessions.keep("c", ticket(3, false));
  assert.equal(sessions.take("b"), null);
  assert.notEqual(sessions.take("a"), null);
  sessions.forget("a");
  assert.equal(sessions.take("a"), null);
  assert.notEqual(sessions.take("c"), null);
});

test("its own clock is the machine's", () => {
  const sessions = createTlsSessions({ max: 1 });
  assert.ok(Math.abs(sessions.now() - Date.now()) < 1000);
  sessions.keep("a", { ...ticket(1), provenAt: instant(Date.now()) });
  assert.equal(sessions.take("a")?.session[0], 1);
});
