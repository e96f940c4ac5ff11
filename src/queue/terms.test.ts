import assert from "node:assert/strict";
import { test } from "node:test";
import { HOUR, instant, MINUTE } from "../base/index.ts";
import type { MailParameters } from "../smtp/index.ts";
import { delayReportTime, deliverByTime, expiryTime, isOverdue, releaseTime, remainingTerm } from "./terms.ts";

const ARRIVED = instant(Date.UTC(2026, 10, 22));
const message = (parameters: MailParameters) => ({ receivedAt: ARRIVED, parameters });
const by = (seconds: number, mode: "R" | "N") => message({ by: { seconds, mode, trace: false } });
const past = (milliseconds: number) => instant(ARRIVED + milliseconds);

test("mail for later is released by a length of time or at a time, never before it came (RFC 4865 §4.2)", () => {
  assert.equal(releaseTime(message({})), ARRIVED);
  assert.equal(releaseTime(message({ hold: { for: 60 } })), past(MINUTE));
  assert.equal(releaseTime(message({ hold: { until: "2026-11-22T00:05:00Z" } })), past(5 * MINUTE));
  assert.equal(releaseTime(message({ hold: { until: "2026-11-21T00:00:00Z" } })), ARRIVED);
});

test("its life begins with the release, and ends at the deliver-by-time of mail to be returned", () => {
  assert.equal(expiryTime(message({ hold: { for: 60 } }), HOUR), past(HOUR + MINUTE));
  assert.equal(expiryTime(by(120, "R"), HOUR), past(2 * MINUTE));
  assert.equal(expiryTime(by(7200, "R"), HOUR), past(HOUR), "no longer life by it");
  assert.equal(expiryTime(by(120, "N"), HOUR), past(HOUR));
});

test("a term shrinks on the way and is rounded up; only one to be returned is overdue (RFC 2852 §4.1.3, §4.1.4)", () => {
  assert.equal(remainingTerm(message({}), ARRIVED), undefined);
  assert.equal(remainingTerm(by(120, "R"), past(21_999))?.seconds, 99);
  assert.equal(remainingTerm(by(120, "N"), past(150_000))?.seconds, -30);
  assert.equal(remainingTerm(by(-999_999_999, "N"), past(5000))?.seconds, -999_999_999, "nine digits");
  assert.equal(deliverByTime(by(-5, "N")), past(-5000));
  assert.equal(isOverdue(by(120, "R"), past(119_999)), false);
  assert.equal(isOverdue(by(120, "R"), past(120_000)), true);
  assert.equal(isOverdue(by(120, "N"), past(999_000)), false);
});

test("a delay is told of at its age, or at the time that the sender named", () => {
  assert.equal(delayReportTime(message({ hold: { for: 60 } }), HOUR), past(HOUR + MINUTE));
  assert.equal(delayReportTime(by(120, "N"), HOUR), past(2 * MINUTE));
  assert.equal(delayReportTime(by(120, "R"), HOUR), past(HOUR));
  assert.equal(delayReportTime(by(-120, "N"), HOUR), past(HOUR), "over on arrival");
});
