import assert from "node:assert/strict";
import { test } from "node:test";
import { mailbox, newMessage, START } from "./conformance-kit.ts";
import { InHand, type Job, senderOf } from "./in-hand.ts";
import { QueueIdSource } from "./queue-id.ts";
import { acceptedMessage } from "./transitions.ts";

const ids = new QueueIdSource({ now: () => START, after: () => ({ cancel() {} }) });

function job(destination: string, sender = "s", count = 1): Job {
  const to = Array.from({ length: count }, (_, n) => `r${n}@${destination}`);
  const message = acceptedMessage(newMessage(ids.next(), 1, to));
  const body = { size: 0, chunks: () => [] };
  return { message, recipients: message.recipients, destination, sender, body, share: { octets: 0, jobs: 0 } };
}

function fill(hand: InHand, destination: string, isQuick: boolean, senderOfNext = (_: number) => "s"): number {
  let taken = 0;
  for (;;) {
    const sender = senderOfNext(taken);
    if (!hand.hasRoom({ destination, sender, count: 1, isQuick })) return taken;
    hand.take(job(destination, sender));
    taken++;
  }
}

test("a destination fills a part of the window, and others after it find room, however many there are", () => {
  const hand = new InHand({ window: 1000, domainWindow: 200 });
  assert.equal(fill(hand, "tar0", false), 150);
  for (let n = 1; n < 30; n++) assert.ok(fill(hand, `tar${n}`, false) >= 1);
  assert.ok(hand.recipients < 800, `${hand.recipients} in hand`);
  assert.ok(fill(hand, "healthy", true) >= 100, "room is left for the healthy one");
});

test("a quick destination may hold as much as is left, and no more", () => {
  const hand = new InHand({ window: 1000, domainWindow: 200 });
  assert.equal(fill(hand, "quick", true), 500);
});

test("the few messages of another sender have room beside the many of one, and not without end", () => {
  const hand = new InHand({ window: 1000, domainWindow: 100 });
  assert.equal(fill(hand, "x", false), 100);
  assert.equal(
    fill(hand, "x", false, () => "other"),
    10,
  );
  assert.ok(fill(hand, "x", false, (n) => `sender ${n}`) <= 90, "at most twice the share");
});

test("a rate bounds what is in hand", () => {
  const hand = new InHand({ window: 1000, domainWindow: 200 }, (destination) => (destination === "slow" ? 7 : null));
  assert.equal(fill(hand, "slow", true), 7);
  assert.ok(fill(hand, "other", false) > 100);
});

test("one message to more recipients than the share is taken where nothing else is in hand", () => {
  const hand = new InHand({ window: 100, domainWindow: 5 });
  assert.equal(hand.hasRoom({ destination: "x", sender: "s", count: 50, isQuick: false }), true);
  hand.take(job("x", "s", 50));
  assert.equal(hand.hasRoom({ destination: "x", sender: "s", count: 1, isQuick: false }), false);
});

test("the domains of a full destination are left out until it has room for a good part again", () => {
  const hand = new InHand({ window: 100, domainWindow: 4 });
  const jobs = [1, 2, 3, 4].map(() => job("x"));
  for (const each of jobs) hand.take(each);
  hand.take(job("y"));
  hand.noteFull("x", "also-there.test");
  assert.deepEqual(hand.crowded(), ["x", "also-there.test"]);
  const signals = jobs.map((each) => hand.release(each));
  assert.deepEqual(signals, [false, true, false, false]);
  assert.deepEqual([hand.crowded(), hand.recipients, hand.heldFor("x")], [[], 1, 0]);
});

test("a sender is who logged in, else the reverse-path", () => {
  const origin = newMessage(ids.next(), 1, []).origin;
  assert.equal(senderOf({ origin, reversePath: mailbox("ann@x.test") }), "ann@x.test");
  assert.equal(senderOf({ origin: { ...origin, identity: "ann" }, reversePath: null }), "ann");
  assert.equal(senderOf({ origin, reversePath: null }), "");
});
