import assert from "node:assert/strict";
import { test } from "node:test";
import { SECOND, unwrap } from "../base/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { type DomainVerdict, withinPatience } from "./mail-domains.ts";

const mailbox = unwrap(parseMailbox("x@there.test"));

test("an answer in time counts, and its timer is gone", async () => {
  const time = fakeClock();
  const domains = withinPatience({ check: async (): Promise<DomainVerdict> => "nullMx" }, time.clock);
  assert.equal(await domains.check(mailbox), "nullMx");
  time.advance(3600 * SECOND);
  assert.equal(await domains.check(mailbox), "nullMx", "nothing was late");
});

test("an answer that needs no look is given as it is", () => {
  assert.equal(withinPatience({ check: () => "reachable" }, fakeClock().clock).check(mailbox), "reachable");
});

test("what takes too long is unknown, and for a minute nothing is asked", async () => {
  const time = fakeClock();
  let asked = 0;
  let answer: (verdict: DomainVerdict) => void = () => {};
  const slow = () => {
    asked++;
    return new Promise<DomainVerdict>((resolve) => {
      answer = resolve;
    });
  };
  const domains = withinPatience({ check: slow }, time.clock);
  const first = domains.check(mailbox);
  time.advance(5 * SECOND);
  assert.equal(await first, "unknown");
  answer("nullMx"); // too late, and harmless
  time.advance(59 * SECOND);
  assert.equal(domains.check(mailbox), "unknown");
  assert.equal(asked, 1);
  time.advance(2 * SECOND);
  const again = domains.check(mailbox);
  answer("noDomain");
  assert.equal(await again, "noDomain");
  assert.equal(asked, 2);
});
