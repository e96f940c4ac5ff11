import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { instant } from "../base/index.ts";
import {
  attemptTimes,
  matchesReply,
  nextAttempt,
  type RetryException,
  type RetryRule,
  retryRuleFor,
  retryRulesFor,
} from "./retry.ts";

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

test("a schedule gives the waits one by one, and repeats the last", () => {
  const listed = { ...rule, schedule: [60, 600, 6000] };
  const waits = [0, 1, 2, 3, 99].map((before) => nextAttempt({ before, expiresAt }, instant(0), 0, listed));
  assert.deepEqual(
    waits,
    [60, 600, 6000, 6000, 6000].map((at) => ({ kind: "retryAt", at })),
  );
  assert.deepEqual(attemptTimes({ ...listed, giveUpAfter: 10_000 }), [0, 60, 660, 6660, 10_000]);
});

const reply = (code: number) => ({ code, status: null, lines: ["no"] });

test("replies are matched by code, by status, by their beginnings, and by there being none", () => {
  const greylisted = { reply: reply(451), status: "4.7.1" };
  const silent = { reply: null, status: "4.4.1" };
  const matching = (problem: typeof greylisted | typeof silent) =>
    ["451", "45*", "4*", "450", "4.7.1", "4.7.*", "4.*", "4.4.1", "4.7.10", "none"].filter((each) =>
      matchesReply(each, problem),
    );
  assert.deepEqual(matching(greylisted), ["451", "45*", "4*", "4.7.1", "4.7.*", "4.*"]);
  assert.deepEqual(matching(silent), ["4.*", "4.4.1", "none"]);
});

test("the first exception that matches domain and reply counts, and fills up from the general rule", () => {
  const exceptions: RetryException[] = [
    { match: "a.test", reply: "421", first: 7 },
    { match: ".a.test", reply: null, schedule: [1] },
    { match: "*", reply: "none", longest: 9000, giveUpAfter: 5 },
    { match: "b.test", reply: null, first: 5000 },
  ];
  const at = (domain: string, problem: { reply: ReturnType<typeof reply> | null; status: string } | null) =>
    retryRuleFor(rule, exceptions, domain, problem);
  assert.deepEqual(at("a.test", { reply: reply(421), status: "4.3.2" }), { ...rule, first: 7 });
  assert.equal(at("a.test", { reply: reply(450), status: "4.2.0" }), rule);
  assert.deepEqual(at("sub.a.test", null), { ...rule, schedule: [1] });
  assert.deepEqual(at("b.test", { reply: null, status: "4.4.1" }), { ...rule, longest: 9000, giveUpAfter: 5 });
  assert.deepEqual(at("b.test", { reply: reply(450), status: "4.2.0" }), { ...rule, first: 5000, longest: 5000 });
  assert.deepEqual(
    retryRulesFor(rule, exceptions, "b.test").map((each) => each.reply),
    ["none", null],
  );
  assert.deepEqual(
    retryRulesFor(rule, exceptions, "c.test").map((each) => each.reply),
    ["none", null],
  );
});
