import assert from "node:assert/strict";
import { test } from "node:test";
import { newMessage } from "./conformance-kit.ts";
import { InHand } from "./in-hand.ts";
import { JobDivision } from "./job-division.ts";
import { memoryBody } from "./memory-body.ts";
import type { QueueId } from "./model.ts";
import { acceptedMessage } from "./transitions.ts";

const IN_MEMORY = memoryBody([new Uint8Array(100)]);
const STORED = memoryBody([new Uint8Array(100)]);

/** A hand of so many recipients in all and for one destination, and octets. */
function division(window: number, memory: number) {
  const inHand = new InHand({ window, domainWindow: window, memory }, { mostOf: () => null, isQuick: () => true });
  const leftOut: string[] = [];
  const divide = (to: readonly string[]) => {
    const message = acceptedMessage(newMessage("0001" as QueueId, 100, to));
    return new JobDivision({
      store: { body: () => STORED },
      inHand,
      destinationOf: ({ mailbox }) => (mailbox.domain.endsWith("hosted.test") ? "host" : mailbox.domain),
      leaveOut: (_, recipients) => leftOut.push(...recipients.map(({ mailbox }) => mailbox.localPart)),
    }).divide({ message, body: IN_MEMORY, inMemory: 100 }, message.recipients);
  };
  return { inHand, leftOut, divide };
}

test("recipients whose mail goes to the same destination are one job, whatever their domains", () => {
  const { divide, inHand } = division(100, 1000);
  const jobs = divide(["a@x.test", "b@one.hosted.test", "c@x.test", "d@two.hosted.test"]);
  assert.deepEqual(
    jobs.map(({ destination, recipients }) => [destination, ...recipients.map(({ index }) => index)]),
    [
      ["x.test", 0, 2],
      ["host", 1, 3],
    ],
  );
  assert.equal(inHand.recipients, 4);
});

test("jobs of one message share its octets, which are free when the last of them is over", () => {
  const { divide, inHand } = division(100, 1000);
  const jobs = divide(["a@x.test", "b@y.test"]);
  assert.equal(inHand.octets, 100);
  for (const [at, job] of jobs.entries()) {
    assert.equal(job.body, IN_MEMORY);
    inHand.release(job);
    assert.equal(inHand.octets, at === 0 ? 100 : 0);
  }
});

test("a body that memory has no room for is read from the store", () => {
  const { divide, inHand } = division(100, 99);
  assert.deepEqual(
    divide(["a@x.test"]).map(({ body }) => body),
    [STORED],
  );
  assert.equal(inHand.octets, 0);
});

test("recipients whose destination is full are left out, and its domains are known from then on", () => {
  const { divide, inHand, leftOut } = division(4, 1000);
  divide(["a@one.hosted.test", "b@one.hosted.test", "c@one.hosted.test", "d@one.hosted.test"]);
  const jobs = divide(["e@two.hosted.test", "f@x.test"]);
  assert.deepEqual(
    jobs.map(({ destination }) => destination),
    ["x.test"],
  );
  assert.deepEqual(leftOut, ["e"]);
  assert.ok(inHand.crowded().includes("two.hosted.test"));
});
