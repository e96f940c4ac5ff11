import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, type Log, later, SECOND, silentLog } from "../base/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { DELIVERED, mailbox, newMessage } from "./conformance-kit.ts";
import type { Deliverer } from "./deliverer.ts";
import { Deliveries } from "./deliveries.ts";
import { events } from "./events.ts";
import type { Job } from "./in-hand.ts";
import { memoryBody } from "./memory-body.ts";
import type { QueueId } from "./model.ts";
import { acceptedMessage } from "./transitions.ts";

const { clock } = fakeClock();

function job(changes: Parameters<typeof newMessage>[3] = {}): Job {
  const expiresAt = later(clock.now(), SECOND);
  const message = acceptedMessage(
    newMessage("0001" as QueueId, 0, ["a@x.test", "b@x.test"], { expiresAt, ...changes }),
  );
  const share = { octets: 0, jobs: 1 };
  return { message, recipients: message.recipients, destination: "x.test", sender: "", body: memoryBody([]), share };
}

function deliveries(deliver: Deliverer["deliver"], destination: Deliverer["destination"] = ({ domain }) => domain) {
  const logged: string[] = [];
  const log: Log = { ...silentLog, error: (event) => void logged.push(event) };
  return { logged, of: new Deliveries({ deliver, destination }, clock, log) };
}

test("what a deliverer makes of a job is told as it is", async () => {
  const { of, logged } = deliveries(async ({ recipients }) => recipients.map(() => DELIVERED));
  assert.deepEqual(await of.deliver(job(), new AbortController()), [DELIVERED, DELIVERED]);
  assert.deepEqual(logged, []);
});

test("what a deliverer throws, or leaves out, defers every recipient and is told in the log alone", async () => {
  for (const deliver of [() => Promise.reject("no error at all"), async () => [DELIVERED]]) {
    const { of, logged } = deliveries(deliver);
    const outcomes = await of.deliver(job(), new AbortController());
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["deferred", "deferred"],
    );
    assert.ok(!JSON.stringify(outcomes).includes("no error"));
    assert.deepEqual(logged, [events.deliveryBroke]);
  }
});

test("mail past the time to deliver by is not tried (RFC 2852 §4.1.3)", async () => {
  const { of } = deliveries(() => assert.fail("tried"));
  const late = job({
    receivedAt: instant(clock.now() - 2 * SECOND),
    parameters: { by: { seconds: 1, mode: "R", trace: false } },
  });
  const outcomes = await of.deliver(late, new AbortController());
  assert.deepEqual(
    outcomes.map((outcome) => outcome.kind !== "delivered" && outcome.problem.status),
    ["5.4.7", "5.4.7"],
  );
});

test("all that is under way is aborted, and nothing that is over", async () => {
  const [over, first, second] = [new AbortController(), new AbortController(), new AbortController()];
  const { of } = deliveries(async ({ recipients }, signal) => {
    if (signal !== over.signal) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return recipients.map(() => DELIVERED);
  });
  await of.deliver(job(), over);
  const waiting = Promise.all([of.deliver(job(), first), of.deliver(job(), second)]);
  of.abortAll();
  await waiting;
  assert.deepEqual(
    [over, first, second].map(({ signal }) => signal.aborted),
    [false, true, true],
  );
});

test("a recipient whose destination cannot be told goes by its domain", () => {
  const { of, logged } = deliveries(
    () => assert.fail("not asked"),
    ({ localPart }) => {
      if (localPart === "a") throw new Error("a bug");
      return "relay.test";
    },
  );
  const [a, b] = job().recipients;
  assert.ok(a && b);
  assert.equal(of.destinationOf(a), mailbox("a@x.test").domain);
  assert.equal(of.destinationOf(b), "relay.test");
  assert.equal(logged.length, 1);
});
