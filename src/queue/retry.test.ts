import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { instant } from "../base/index.ts";
import { nextAttempt, type RetryRule } from "./retry.ts";

const rule: RetryRule = { first: 300, longest: 4000, spread: 0.1, giveUpAfter: 100_000, warnAfter: 50_000 };
const expiresAt = instant(1_000_000);

test("waits double from the first to the longest", () => {
  const waits = [0, 1, 2, 3, 4, 50, 2000].map((before) => nextAttempt({ before, expiresAt }, instant(0), 0, rule));
  const at = [300, 600, 1200, 2400, 4000, 4000, 4000].map((wait) => ({ kind: "retryAt", at: wait }));
  assert.deepEqual(waits, at);
});

test("chance moves a wait by the spread at most", () => {
  assert.deepEqual(nextAttempt({ before: 0, expiresAt }, instant(0), 1, rule), { kind: "retryAt", at: 330 });
  assert.deepEqual(nextAttempt({ before: 0, expiresAt }, instant(0), -1, rule), { kind: "retryAt", at: 270 });
});

test("the last attempt is at the expiry, and giving up comes only after it", () => {
  assert.deepEqual(nextAttempt({ before: 9, expiresAt }, instant(999_999), 0, rule), {
    kind: "retryAt",
    at: 1_000_000,
  });
  assert.deepEqual(nextAttempt({ before: 9, expiresAt }, instant(1_000_000), 0, rule), { kind: "giveUp" });
});

test("a next attempt is later than now and no later than the expiry", () => {
  fc.assert(
    fc.property(
      fc.nat(100),
      fc.integer({ min: 0, max: 999_999 }),
      fc.double({ min: -1, max: 1, noNaN: true }),
      (before, now, jitter) => {
        const step = nextAttempt({ before, expiresAt }, instant(now), jitter, rule);
        assert.ok(step.kind === "retryAt" && step.at > now && step.at <= expiresAt);
      },
    ),
  );
});
