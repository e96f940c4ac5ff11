import assert from "node:assert/strict";
import { test } from "node:test";
import { HOUR, later, MINUTE } from "../base/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { DELIVERED, newMessage } from "./conformance-kit.ts";
import type { Job } from "./in-hand.ts";
import { Judgement, type RetryRules } from "./judgement.ts";
import { memoryBody } from "./memory-body.ts";
import type { Outcome, QueueId } from "./model.ts";
import { defaultRetryRule } from "./retry.ts";
import { acceptedMessage } from "./transitions.ts";

const { clock } = fakeClock();
const DEFERRED: Outcome = {
  kind: "deferred",
  scope: "recipient",
  problem: { text: "later", reply: null, status: "4.2.0" },
  hop: null,
};

function job(attempts: number): Job {
  const expiresAt = later(clock.now(), 100 * HOUR);
  const message = acceptedMessage(newMessage("0001" as QueueId, 0, ["a@x.test", "b@x.test"], { expiresAt }));
  const recipients = message.recipients.map((recipient) => ({ ...recipient, attempts }));
  const share = { octets: 0, jobs: 1 };
  return { message, recipients, destination: "x.test", sender: "", body: memoryBody([]), share };
}

function judgement(rules: RetryRules, drawn = 0.5): Judgement {
  return new Judgement(clock, { next: () => drawn }, rules);
}

function waits(of: Judgement, attempts: number): readonly (number | null)[] {
  const concluded = of.conclude(job(attempts), [DEFERRED, DELIVERED]);
  return concluded.map(({ nextAttempt }) => nextAttempt && nextAttempt - clock.now());
}

test("what was delivered is over, and what was deferred waits longer each time", () => {
  const of = judgement({ rules: { first: MINUTE, longest: HOUR, spread: 0 } });
  assert.deepEqual(waits(of, 0), [MINUTE, null]);
  assert.deepEqual(waits(of, 1), [2 * MINUTE, null]);
  assert.equal(of.rule.first, MINUTE);
  assert.equal(of.rule.giveUpAfter, defaultRetryRule.giveUpAfter);
});

test("chance moves the wait to either side by its part", () => {
  const rules = { first: MINUTE, spread: 0.5 };
  assert.deepEqual(waits(judgement({ rules }, 0), 0), [MINUTE / 2, null]);
  assert.deepEqual(waits(judgement({ rules }, 0.75), 0), [1.25 * MINUTE, null]);
});

test("rules that are renewed count for what is concluded from then on, exceptions too", () => {
  const of = judgement({ rules: { first: MINUTE, spread: 0 } });
  of.renew({ rules: { first: HOUR, spread: 0 } });
  assert.deepEqual(waits(of, 0), [HOUR, null]);
  of.renew({ rules: { spread: 0 }, exceptions: [{ match: "x.test", reply: null, first: 2 * MINUTE }] });
  assert.deepEqual(waits(of, 0), [2 * MINUTE, null]);
  of.renew({});
  assert.deepEqual(of.rule, defaultRetryRule);
});

test("a destination in trouble is probed when a new message would be, however long an old one waits", () => {
  const of = judgement({ rules: { first: 10 * MINUTE, longest: HOUR, spread: 0 } });
  const probe = (attempts: number, outcome: Outcome): number =>
    of.probeAt(of.conclude(job(attempts), [outcome, outcome])) - clock.now();
  assert.equal(probe(0, DEFERRED), 10 * MINUTE);
  assert.equal(probe(9, DEFERRED), 10 * MINUTE);
  assert.equal(probe(0, DELIVERED), 10 * MINUTE, "where nothing of it waits, too");
  of.renew({
    rules: { first: 10 * MINUTE, spread: 0 },
    exceptions: [{ match: "*", reply: "none", first: MINUTE }],
  });
  assert.equal(probe(0, DEFERRED), MINUTE, "not later than this message is due");
});
