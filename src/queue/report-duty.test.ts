import assert from "node:assert/strict";
import { test } from "node:test";
import { HOUR, later } from "../base/index.ts";
import type { MailParameters, RcptParameters } from "../smtp/index.ts";
import { DEFERRED, DELIVERED, FAILED, newMessage, START } from "./conformance-kit.ts";
import type { Outcome, QueueId } from "./model.ts";
import { reportDuty } from "./report-duty.ts";
import { acceptedMessage } from "./transitions.ts";

type Notify = NonNullable<RcptParameters["notify"]>;

interface Asked {
  readonly notify?: Notify;
  readonly by?: MailParameters["by"];
  readonly warned?: boolean;
  /** Age of the message, hours. */
  readonly age?: number;
}

function duty(outcome: Outcome, { notify, by, warned = false, age = 0 }: Asked, nobody = false): string | null {
  const parameters = by === undefined ? {} : { by };
  // An id of the form is all that is needed here.
  const message = acceptedMessage({
    ...newMessage("00000000001" as QueueId, 1, ["a@x.test"], { parameters }),
    ...(nobody ? { reversePath: null } : {}),
  });
  const [first] = message.recipients;
  assert.ok(first !== undefined);
  const recipient = { ...first, warned, parameters: notify === undefined ? {} : { notify } };
  return reportDuty(message, recipient, outcome, { now: later(START, age * HOUR), warnAfter: 4 * HOUR });
}

const onward = (dsn: boolean, deliverBy = false): Outcome => {
  assert.ok(DELIVERED.kind === "delivered");
  return { ...DELIVERED, onward: { dsn, deliverBy } };
};

test("failures are told unless NOTIFY leaves them out (RFC 3461 §5.2.6)", () => {
  assert.equal(duty(FAILED, {}), "failed");
  assert.equal(duty(FAILED, { notify: ["SUCCESS", "FAILURE"] }), "failed");
  for (const notify of [["NEVER"], ["SUCCESS", "DELAY"]] as const) assert.equal(duty(FAILED, { notify }), null);
});

test("delays are told at their time, once, unless NOTIFY leaves them out (RFC 3461 §5.2.5)", () => {
  assert.equal(duty(DEFERRED, { age: 3.9 }), null);
  assert.equal(duty(DEFERRED, { age: 4 }), "delayed");
  assert.equal(duty(DEFERRED, { age: 9, warned: true }), null);
  assert.equal(duty(DEFERRED, { age: 9, notify: ["DELAY"] }), "delayed");
  for (const notify of [["NEVER"], ["SUCCESS", "FAILURE"]] as const) {
    assert.equal(duty(DEFERRED, { age: 9, notify }), null);
  }
});

test("a time to be notified at takes the place of that age (RFC 2852 §4.1.3)", () => {
  const by = { seconds: 3600, mode: "N", trace: false } as const;
  assert.equal(duty(DEFERRED, { by, age: 0.9 }), null);
  assert.equal(duty(DEFERRED, { by, age: 1 }), "delayed");
  assert.equal(duty(DEFERRED, { by, age: 5, notify: ["FAILURE"] }), null);
});

test("successes are told on demand alone: where the way ends, and where nobody after us would (RFC 3461 §5.2.2, §5.2.3)", () => {
  for (const outcome of [DELIVERED, onward(true), onward(false)]) {
    for (const notify of [undefined, ["NEVER"], ["FAILURE", "DELAY"]] as const) {
      assert.equal(duty(outcome, notify === undefined ? {} : { notify }), null);
    }
  }
  const notify: Notify = ["SUCCESS"];
  assert.equal(duty(DELIVERED, { notify }), "delivered");
  assert.equal(duty(onward(false), { notify }), "relayed");
  assert.equal(duty(onward(true), { notify }), null, "the next hop tells it");
});

test("a trace is told by each hop, and a watch that ends here (RFC 2852 §4.1.4, §4.1.4.2)", () => {
  const traced = { seconds: 3600, mode: "R", trace: true } as const;
  assert.equal(duty(onward(true, true), { by: traced }), "relayed");
  assert.equal(duty(onward(true, true), { by: traced, notify: ["FAILURE"] }), "relayed");
  assert.equal(duty(onward(true, true), { by: traced, notify: ["NEVER"] }), null);
  assert.equal(duty(DELIVERED, { by: traced }), null, "delivered is not relayed");
  const watched = { seconds: 3600, mode: "N", trace: false } as const;
  assert.equal(duty(onward(true, true), { by: watched }), null);
  assert.equal(duty(onward(true, false), { by: watched }), "relayed");
  assert.equal(duty(onward(true, false), { by: watched, age: 2 }), null, "it was late already");
  assert.equal(duty(onward(true, false), { by: watched, notify: ["NEVER"] }), null);
});

test("a message from nobody is never reported on (RFC 3461 §5.2)", () => {
  for (const outcome of [FAILED, DEFERRED, DELIVERED, onward(false)]) {
    assert.equal(duty(outcome, { notify: ["SUCCESS", "FAILURE", "DELAY"], age: 99 }, true), null);
  }
});
