import assert from "node:assert/strict";
import { test } from "node:test";
import { mailbox, newMessage, START } from "./conformance-kit.ts";
import { InHand, type InHandLimits, type Job, senderOf } from "./in-hand.ts";
import { QueueIdSource } from "./queue-id.ts";
import { acceptedMessage } from "./transitions.ts";

const ids = new QueueIdSource({ now: () => START, after: () => ({ cancel() {} }) });

function job(destination: string, sender = "s", count = 1): Job {
  const to = Array.from({ length: count }, (_, n) => `r${n}@${destination}`);
  const message = acceptedMessage(newMessage(ids.next(), 1, to));
  const body = { size: 0, chunks: () => [] };
  return { message, recipients: message.recipients, destination, sender, body, share: { octets: 0, jobs: 0 } };
}

/** In hand of a runner that knows `quick` to answer in good time, and keeps a rate towards "slow". */
function inHand(limits: Omit<InHandLimits, "memory">, quick: ReadonlySet<string> = new Set()): InHand {
  return new InHand(
    { ...limits, memory: 1000 },
    {
      mostOf: (destination) => (destination.startsWith("slow") ? 7 : null),
      isQuick: (destination) => quick.has(destination),
    },
  );
}

function fill(hand: InHand, destination: string, senderOfNext = (_: number) => "s"): number {
  let taken = 0;
  for (;;) {
    const sender = senderOfNext(taken);
    if (!hand.hasRoom({ destination, sender, count: 1 })) return taken;
    hand.take(job(destination, sender));
    taken++;
  }
}

test("a destination fills a part of the window, and others after it find room, however many there are", () => {
  const hand = inHand({ window: 1000, domainWindow: 200 }, new Set(["healthy"]));
  assert.equal(fill(hand, "tar0"), 150);
  for (let n = 1; n < 30; n++) assert.ok(fill(hand, `tar${n}`) >= 1);
  assert.ok(hand.recipients < 800, `${hand.recipients} in hand`);
  assert.ok(fill(hand, "healthy") >= 100, "room is left for the healthy one");
});

test("a quick destination may hold as much as is left, and no more", () => {
  const hand = inHand({ window: 1000, domainWindow: 200 }, new Set(["quick"]));
  assert.equal(fill(hand, "quick"), 500);
});

test("the few messages of another sender have room beside the many of one, and not without end", () => {
  const hand = inHand({ window: 1000, domainWindow: 100 });
  assert.equal(fill(hand, "x"), 100);
  assert.equal(
    fill(hand, "x", () => "other"),
    10,
  );
  assert.ok(fill(hand, "x", (n) => `sender ${n}`) <= 90, "at most twice the share");
});

test("a rate bounds what is in hand", () => {
  const hand = inHand({ window: 1000, domainWindow: 200 }, new Set(["slow and quick"]));
  assert.equal(fill(hand, "slow"), 7);
  assert.equal(fill(hand, "slow and quick"), 7);
  assert.ok(fill(hand, "other") > 100);
});

test("one message to more recipients than the share is taken where nothing else is in hand", () => {
  const hand = inHand({ window: 100, domainWindow: 5 });
  assert.equal(hand.hasRoom({ destination: "x", sender: "s", count: 50 }), true);
  hand.take(job("x", "s", 50));
  assert.equal(hand.hasRoom({ destination: "x", sender: "s", count: 1 }), false);
});

test("the domains of a full destination are left out until it has room for a good part again", () => {
  const hand = inHand({ window: 100, domainWindow: 4 });
  const jobs = [1, 2, 3, 4].map(() => job("x"));
  for (const each of jobs) hand.take(each);
  hand.take(job("y"));
  hand.noteFull("x", "also-there.test");
  assert.deepEqual(hand.crowded(), ["x", "also-there.test"]);
  const signals = jobs.map((each) => hand.release(each));
  assert.deepEqual(signals, [false, true, false, false]);
  assert.deepEqual([hand.crowded(), hand.recipients, hand.heldFor("x")], [[], 1, 0]);
});

test("what a claim may add leaves an eighth to the quick, and a message that is alone has room until then", () => {
  const hand = inHand({ window: 80, domainWindow: 20 }, new Set(["quick"]));
  for (let n = 0; n < 70; n++) {
    assert.equal(hand.hasRoom({ destination: `tar${n}`, sender: "s", count: 1 }), true);
    hand.take(job(`tar${n}`));
  }
  assert.equal(hand.claimable, 0);
  assert.equal(hand.hasRoom({ destination: "another", sender: "s", count: 1 }), false);
  assert.equal(hand.hasRoom({ destination: "quick", sender: "s", count: 1 }), true);
});

test("a destination without room for many recipients is left out of claims, though it has room for fewer", () => {
  const hand = inHand({ window: 100, domainWindow: 10 });
  hand.take(job("x", "s", 8));
  assert.equal(hand.hasRoom({ destination: "x", sender: "s", count: 8 }), false);
  assert.deepEqual(hand.crowded(), []);
  hand.noteFull("x", "x");
  assert.deepEqual(hand.crowded(), ["x"]);
});

test("what a destination may hold is more as soon as it is found to be quick", () => {
  const quick = new Set<string>();
  const hand = inHand({ window: 100, domainWindow: 4 }, quick);
  const jobs = [1, 2, 3, 4].map(() => job("x"));
  for (const each of jobs) hand.take(each);
  assert.deepEqual(hand.crowded(), ["x"]);
  quick.add("x");
  assert.equal(hand.release(jobs[0] ?? assert.fail()), true);
  assert.deepEqual(hand.crowded(), []);
});

test("a quarter of the memory is for the bodies of mail for quick destinations", () => {
  const hand = inHand({ window: 100, domainWindow: 50 }, new Set(["quick"]));
  const held = { ...job("x"), share: { octets: 700, jobs: 0 } };
  hand.take(held);
  const has = (destination: string, octets: number): boolean => hand.hasMemory(destination, octets);
  assert.deepEqual([has("x", 50), has("x", 51), has("quick", 300), has("quick", 301)], [true, false, true, false]);
  assert.equal(has("x", 0), true);
  hand.release(held);
  assert.equal(has("x", 750), true);
});

test("a sender is who logged in, else the reverse-path", () => {
  const origin = newMessage(ids.next(), 1, []).origin;
  assert.equal(senderOf({ origin, reversePath: mailbox("ann@x.test") }), "ann@x.test");
  assert.equal(senderOf({ origin: { ...origin, identity: "ann" }, reversePath: null }), "ann");
  assert.equal(senderOf({ origin, reversePath: null }), "");
});
