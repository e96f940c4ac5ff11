import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, type Instant, instant, later, MINUTE, SECOND } from "../base/index.ts";
import { AuthThrottle, dividedThrottle } from "./auth-throttle.ts";

/** A clock that goes on by what is waited for. */
function waitingClock(): Clock & { pass(by: number): void } {
  let now: Instant = instant(0);
  return {
    now: () => now,
    after(delay, action) {
      now = later(now, delay);
      queueMicrotask(action);
      return { cancel() {} };
    },
    pass(by) {
      now = later(now, by);
    },
  };
}

const RULES = { firstDelay: SECOND, longestDelay: 8 * SECOND, perAddress: 5, perAccount: 8, memory: 15 * MINUTE };

test("each failure takes longer, up to a bound, and is forgotten in time", () => {
  const clock = waitingClock();
  const throttle = new AuthThrottle(clock, { ...RULES, perAddress: 100 });
  const delays = Array.from({ length: 6 }, () => throttle.failed("192.0.2.1", null));
  assert.deepEqual(
    delays,
    [1, 2, 4, 8, 8, 8].map((seconds) => seconds * SECOND),
  );
  assert.equal(throttle.failed("192.0.2.2", null), SECOND, "another address");
  clock.pass(15 * MINUTE);
  assert.equal(throttle.failed("192.0.2.1", null), SECOND);
});

test("an address that guesses many names is no longer checked", () => {
  const throttle = new AuthThrottle(waitingClock(), RULES);
  for (let i = 0; i < 5; i++) {
    assert.equal(throttle.allows("192.0.2.1", `user${i}`), true);
    throttle.failed("192.0.2.1", `user${i}`);
  }
  assert.equal(throttle.allows("192.0.2.1", "another"), false);
  assert.equal(throttle.allows("192.0.2.1", null), false);
  assert.equal(throttle.allows("::ffff:192.0.2.1", "another"), false, "the same address on a dual-stack socket");
  assert.equal(throttle.allows("192.0.2.2", "another"), true);
});

test("an own account does not make an address free to guess at others", () => {
  const throttle = new AuthThrottle(waitingClock(), RULES);
  for (let i = 0; i < 5; i++) {
    throttle.succeeded("192.0.2.1", "mallory");
    throttle.failed("192.0.2.1", "anna");
  }
  assert.equal(throttle.allows("192.0.2.1", "anna"), false);
  assert.equal(throttle.allows("192.0.2.1", "mallory"), true, "the account that is at home there");
});

test("many addresses that guess at one account do not lock its user out", () => {
  const throttle = new AuthThrottle(waitingClock(), RULES);
  throttle.succeeded("198.51.100.1", "anna");
  for (let i = 0; i < 8; i++) throttle.failed(`192.0.2.${i}`, "anna");
  assert.equal(throttle.allows("192.0.2.200", "anna"), false, "a stranger");
  assert.equal(throttle.allows("192.0.2.200", "bob"), true);
  assert.equal(throttle.allows("198.51.100.1", "anna"), true, "where she was before");
  for (let i = 0; i < 5; i++) throttle.failed("198.51.100.1", "anna");
  assert.equal(throttle.allows("198.51.100.1", "anna"), false, "that has a bound too");
  assert.equal(throttle.allows("198.51.100.1", "bob"), true, "and it is hers alone");
});

test("one IPv6 /64 is one address", () => {
  const throttle = new AuthThrottle(waitingClock(), RULES);
  for (const address of [
    "2001:db8:0:1::1",
    "2001:db8::1:0:0:0:2",
    "2001:0DB8:0:1:ffff::",
    "2001:db8:0:1:2:3:4:5",
    "2001:db8:0:1::%e0",
  ]) {
    throttle.failed(address, null);
  }
  assert.equal(throttle.allows("2001:db8:0:1::9", null), false);
  assert.equal(throttle.allows("2001:db8:0:2::9", null), true);
  assert.equal(throttle.allows("::1", null), true);
});

test("what is remembered is bounded, the least used goes first", () => {
  const throttle = new AuthThrottle(waitingClock(), { ...RULES, perAddress: 1, entries: 3 });
  for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.4"])
    throttle.failed(address, null);
  assert.equal(throttle.allows("192.0.2.2", null), true);
  for (const last of [1, 3, 4]) assert.equal(throttle.allows(`192.0.2.${last}`, null), false);
});

test("waits until the whole time has passed, and not at all where it has", async () => {
  const clock = waitingClock();
  const throttle = new AuthThrottle(clock);
  const since = clock.now();
  clock.pass(300);
  await throttle.wait(since, 1000);
  assert.equal(clock.now() - since, 1000);
  await throttle.wait(since, 500);
  assert.equal(clock.now() - since, 1000);
});

test("the counts of several processes together come to those of one", () => {
  const one = dividedThrottle(1);
  for (const workers of [2, 3, 8]) {
    const each = dividedThrottle(workers);
    assert.ok(each.perAddress * workers >= one.perAddress && (each.perAddress - 1) * workers < one.perAddress);
    assert.ok(each.perAccount * workers >= one.perAccount && (each.perAccount - 1) * workers < one.perAccount);
  }
});
