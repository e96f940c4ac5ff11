import { type Clock, encodeUtf8 } from "../base/index.ts";
import {
  at,
  claimed,
  DEFERRED,
  DELIVERED,
  equal,
  FAILED,
  HOUR_MS,
  keepSample,
  newMessage,
  rejects,
  START,
  settlement,
  stillClock,
  textOf,
} from "./conformance-kit.ts";
import type { QueueId } from "./model.ts";
import type { Body, QueueStore } from "./store.ts";

/** What every `QueueStore` must do, as tests without a runner: a store's test file registers each case with its own. */
export interface ConformanceCase {
  readonly title: string;
  /** `open` makes an empty store on its first call and, where the store is durable, opens the same queue after a close. */
  run(open: (clock: Clock) => Promise<QueueStore>): Promise<void>;
}

function within(title: string, body: (store: QueueStore) => Promise<void>): ConformanceCase {
  return {
    title,
    async run(open) {
      const store = await open(stillClock);
      try {
        await body(store);
      } finally {
        await store.close();
      }
    },
  };
}

const keeping: readonly ConformanceCase[] = [
  within("ids grow and never repeat", async (store) => {
    const ids = Array.from({ length: 10_000 }, () => store.nextId());
    equal([...ids].sort().join(), ids.join(), "order of making");
    equal(new Set(ids).size, ids.length, "repetition");
  }),
  within("a kept message comes back as it was", async (store) => {
    const changes = { parameters: { body: "8BITMIME", auth: null, envid: "é+\u0000" } } as const;
    const { message, body } = await keepSample(store, ["a@x.test", "b@y.test"], { text: "héllo", changes });
    equal(await store.get(message.id), message, "message");
    equal(await textOf(body), "héllo", "body at hand");
    equal(await textOf(store.body(message)), "héllo", "stored body");
    equal(await textOf(store.body(message)), "héllo", "stored body, read again");
    equal(store.body(message).size, body.size, "size");
  }),
  within("the null reverse-path is kept, and an empty body too", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { text: "", changes: { reversePath: null } });
    equal((await store.get(message.id))?.reversePath, null, "reverse-path");
    equal(await textOf(store.body(message)), "", "body");
  }),
  within("a large body comes back whole, in pieces, also by two readers", async (store) => {
    await using draft = store.createDraft();
    let expected = 0;
    let sum = 0;
    for (let round = 0; round < 300; round++) {
      const chunk = new Uint8Array(7919).fill(round % 251);
      expected += chunk.length;
      for (const octet of chunk) sum = (sum * 31 + octet) % 1_000_003;
      await draft.append(chunk);
    }
    const { message, body } = await draft.keep(newMessage(draft.id, expected, ["a@x.test"]));
    const read = async (from: Body) => {
      let [octets, check] = [0, 0];
      for await (const chunk of from.chunks()) {
        octets += chunk.length;
        for (const octet of chunk) check = (check * 31 + octet) % 1_000_003;
      }
      return [octets, check];
    };
    const both = await Promise.all([read(body), read(store.body(message))]);
    equal(
      both,
      [
        [expected, sum],
        [expected, sum],
      ],
      "octets",
    );
  }),
  within("a disposed draft leaves nothing, however large", async (store) => {
    for (const octets of [10, 3_000_000]) {
      await using draft = store.createDraft();
      await draft.append(new Uint8Array(octets));
      await draft.append(new Uint8Array(octets));
    }
    equal(await store.counts(), { messages: 0, recipients: 0, held: 0, claimed: 0, octets: 0 }, "counts");
    equal(await store.nextDue(), null, "due");
  }),
  within("a message whose size is not its draft's is a bug, and is not kept", async (store) => {
    await using draft = store.createDraft();
    await draft.append(new Uint8Array(3));
    await rejects(() => draft.keep(newMessage(draft.id, 4, ["a@x.test"])), "keep");
    equal((await store.counts()).messages, 0, "messages");
  }),
];

const claiming: readonly ConformanceCase[] = [
  within("a recipient is claimed once", async (store) => {
    await keepSample(store, ["a@x.test", "b@y.test", "c@x.test"]);
    equal((await claimed(store, START)).sort(), ["a@x.test", "b@y.test", "c@x.test"], "first claim");
    equal(await claimed(store, START), [], "second claim");
    equal((await store.counts()).claimed, 3, "claimed");
    equal(await store.nextDue(), null, "due");
  }),
  within("claims asked for at the same time never overlap", async (store) => {
    for (let n = 0; n < 20; n++) await keepSample(store, [`a${n}@x.test`, `b${n}@x.test`]);
    const claims = await Promise.all(Array.from({ length: 8 }, () => claimed(store, START, 7)));
    equal(claims.flat().length, 40, "claimed");
    equal(new Set(claims.flat()).size, 40, "different");
  }),
  within("the limit counts recipients, the oldest due first", async (store) => {
    await keepSample(store, ["late@x.test"], { changes: { receivedAt: at(20) } });
    await keepSample(store, ["early@x.test", "early2@x.test"], { changes: { receivedAt: at(10) } });
    equal(await claimed(store, at(50), 2), ["early@x.test", "early2@x.test"], "two");
    equal(await claimed(store, at(50), 2), ["late@x.test"], "rest");
  }),
  within("domains can be left out", async (store) => {
    await keepSample(store, ["a@x.test", "b@y.test"]);
    equal(await claimed(store, START, 100, ["x.test"]), ["b@y.test"], "others");
    equal(await claimed(store, START), ["a@x.test"], "left out before");
  }),
  within("what is not due is not claimed, and nextDue says when it is", async (store) => {
    await keepSample(store, ["a@x.test"], { changes: { receivedAt: at(700) } });
    equal(await claimed(store, at(699)), [], "early");
    equal(await store.nextDue(), at(700), "next due");
    equal(await claimed(store, at(700)), ["a@x.test"], "due");
  }),
  within("a higher priority is claimed first, whenever it came due", async (store) => {
    const keep = (to: string, priority: number, due: number) =>
      keepSample(store, [to], { changes: { receivedAt: at(due), parameters: { priority } } });
    await keep("bulk@x.test", -4, 10);
    await keep("late@x.test", 0, 30);
    await keep("early@x.test", 0, 20);
    await keep("urgent@x.test", 9, 40);
    await keep("tomorrow@x.test", 3, 99);
    equal(await store.nextDue(), at(10), "next due");
    equal(await claimed(store, at(50), 2), ["urgent@x.test", "early@x.test"], "two");
    equal(await store.nextDue(), at(10), "next due after two");
    equal(await claimed(store, at(50)), ["late@x.test", "bulk@x.test"], "rest");
    equal(await store.nextDue(), at(99), "next due after all");
  }),
  within("mail for later is due when it is released", async (store) => {
    const parameters = { hold: { for: 60 } };
    const { message } = await keepSample(store, ["a@x.test"], { changes: { parameters } });
    equal(message.recipients[0]?.nextAttempt, at(60_000), "as accepted");
    equal(await store.nextDue(), at(60_000), "next due");
    equal(await claimed(store, at(59_999)), [], "early");
    equal(await claimed(store, at(60_000)), ["a@x.test"], "released");
  }),
  within("a message can be kept claimed, and unclaimed", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@x.test"], { claim: true });
    equal(await claimed(store, START), [], "claimed from the start");
    await store.unclaim(message.id, [1]);
    equal(await claimed(store, START), ["b@x.test"], "unclaimed");
  }),
];

const settling: readonly ConformanceCase[] = [
  within("delivered to all: the message leaves the queue", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@x.test"], { claim: true });
    await store.settle(settlement(message.id, [[0, DELIVERED]]));
    const rest = await store.get(message.id);
    equal(
      rest?.recipients.map(({ state, attempts }) => [state, attempts]),
      [
        ["delivered", 1],
        ["waiting", 0],
      ],
      "half way",
    );
    equal(rest?.recipients[0]?.lastOutcome, DELIVERED, "outcome");
    equal((await store.counts()).claimed, 1, "claimed");
    await store.settle(settlement(message.id, [[1, DELIVERED]]));
    equal(await store.get(message.id), null, "gone");
    equal(await store.counts(), { messages: 0, recipients: 0, held: 0, claimed: 0, octets: 0 }, "counts");
    equal(await store.story(message.id), [], "story");
  }),
  within("deferred: due again at the time given, and the story says why", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    await store.settle(settlement(message.id, [[0, DEFERRED, at(5000)]]));
    equal(await store.nextDue(), at(5000), "next due");
    equal(await claimed(store, at(4999)), [], "too early");
    const [again] = await store.claimDue({ now: at(5000), limit: 10 });
    equal(again?.message.recipients[0]?.attempts, 1, "attempts");
    equal(again?.message.recipients[0]?.lastOutcome, DEFERRED, "outcome");
    const story = await store.story(message.id);
    equal(
      story.map(({ event, recipient }) => [event, recipient]),
      [
        ["accepted", null],
        ["deferred", 0],
      ],
      "story",
    );
  }),
  within("failed: the report goes in by the same settlement, once", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    const parts = [encodeUtf8("Subject: report\r\n"), encodeUtf8("\r\nsorry\r\n")];
    const size = parts.reduce((sum, { length }) => sum + length, 0);
    const report = newMessage(store.nextId(), size, ["sender@origin.test"], { reversePath: null });
    const settled = settlement(message.id, [[0, FAILED]], { message: report, body: parts });
    await store.settle(settled);
    await store.settle(settled);
    equal(
      (await store.list({ limit: 10 })).map(({ id }) => id),
      [report.id],
      "queue",
    );
    equal(await textOf(store.body(report)), "Subject: report\r\n\r\nsorry\r\n", "report");
    equal(await claimed(store, START), ["sender@origin.test"], "report is due");
  }),
  within("a settlement written twice puts its report in once, also with a recipient left waiting", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@x.test"], { claim: true });
    const report = newMessage(store.nextId(), 1, ["sender@origin.test"], { reversePath: null });
    const told = { message: report, body: [Uint8Array.of(65)] };
    const outcomes: Parameters<typeof settlement>[1] = [
      [0, FAILED],
      [1, DEFERRED, at(5000)],
    ];
    await store.settle(settlement(message.id, outcomes, told));
    equal(await claimed(store, START), ["sender@origin.test"], "report is due");
    await store.settle(settlement(report.id, [[0, DELIVERED]]));
    await store.settle(settlement(message.id, outcomes, told));
    equal(
      (await store.list({ limit: 10 })).map(({ id }) => id),
      [message.id],
      "queue",
    );
  }),
  within("a delay is told once, by a report in the same settlement, and the recipient waits on", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@x.test"], { claim: true });
    const report = newMessage(store.nextId(), 1, ["sender@origin.test"], { reversePath: null });
    const told = { message: report, body: [Uint8Array.of(65)] };
    const delayed = settlement(message.id, [[0, DEFERRED, at(5000), true]], told);
    await store.settle(delayed);
    equal(await claimed(store, START), ["sender@origin.test"], "report is due");
    await store.settle(settlement(report.id, [[0, DELIVERED]]));
    await store.settle(delayed);
    equal(
      (await store.list({ limit: 10 })).map(({ id }) => id),
      [message.id],
      "queue",
    );
    await store.settle(settlement(message.id, [[0, DEFERRED, at(6000)]]));
    equal(
      (await store.get(message.id))?.recipients.map(({ warned }) => warned),
      [true, false],
      "warned",
    );
    equal(await store.nextDue(), at(6000), "next due");
  }),
  within("a success is told by a report in the same settlement, once", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@x.test"], { claim: true });
    const report = newMessage(store.nextId(), 1, ["sender@origin.test"], { reversePath: null });
    const delivered = settlement(message.id, [[0, DELIVERED]], { message: report, body: [Uint8Array.of(65)] });
    await store.settle(delivered);
    await store.settle(delivered);
    equal(
      (await store.list({ limit: 10 })).map(({ id }) => id),
      [message.id, report.id],
      "queue",
    );
  }),
  within("settling what is not there changes nothing", async (store) => {
    const report = newMessage(store.nextId(), 1, ["sender@origin.test"]);
    await store.settle(settlement(store.nextId(), [[0, FAILED]], { message: report, body: [Uint8Array.of(65)] }));
    equal((await store.counts()).messages, 0, "messages");
  }),
  within("one settlement that cannot be done fails alone", async (store) => {
    const kept = await Promise.all([0, 1, 2].map((n) => keepSample(store, [`a${n}@x.test`], { claim: true })));
    const [first, second, third] = kept.map(({ message }) => message);
    if (first === undefined || second === undefined || third === undefined) throw new Error("three were kept");
    const all = await Promise.allSettled([
      store.settle(settlement(first.id, [[0, DELIVERED]])),
      store.settle(settlement(second.id, [[0, DEFERRED, at(9)]])),
      store.settle(settlement(third.id, [[0, DELIVERED]])),
    ]);
    equal(
      all.map(({ status }) => status),
      ["fulfilled", "fulfilled", "fulfilled"],
      "settled",
    );
    equal(
      (await store.list({ limit: 9 })).map(({ id }) => id),
      [second.id],
      "left",
    );
  }),
];

const operating: readonly ConformanceCase[] = [
  within("held mail is not due, released mail is", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"]);
    equal(await store.hold(message.id, at(1)), true, "hold");
    equal((await store.get(message.id))?.held, true, "held");
    equal((await store.counts()).held, 1, "count");
    equal((await store.get(message.id))?.recipients[0]?.state, "waiting", "state");
    equal(await store.nextDue(), null, "due");
    equal(await claimed(store, at(9)), [], "claim");
    equal(await store.retry(message.id, at(2)), true, "retry");
    equal(await claimed(store, at(9)), [], "claim after retry");
    equal(await store.release(message.id, at(3)), true, "release");
    equal(await claimed(store, at(9)), ["a@x.test"], "released");
    const events = (await store.story(message.id)).map(({ event }) => event);
    equal(events, ["accepted", "held", "retried", "released"], "story");
  }),
  within("a message held while in flight stays held when deferred", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    await store.hold(message.id, at(1));
    await store.settle(settlement(message.id, [[0, DEFERRED, at(2)]]));
    equal(await claimed(store, at(9)), [], "held");
    await store.release(message.id, at(3));
    equal(await claimed(store, at(9)), ["a@x.test"], "released");
  }),
  within("retry makes waiting recipients due now", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    await store.settle(settlement(message.id, [[0, DEFERRED, at(HOUR_MS)]]));
    await store.retry(message.id, at(2000));
    equal(await store.nextDue(), at(2000), "next due");
  }),
  within("remove deletes, but not what is in flight", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    equal(await store.remove(message.id, at(1)), "claimed", "in flight");
    await store.unclaim(message.id, [0]);
    equal(await store.remove(message.id, at(1)), true, "removed");
    equal(await store.get(message.id), null, "gone");
    equal(await store.remove(message.id, at(1)), false, "again");
  }),
  within("operations on a message that is not there say so", async (store) => {
    const id = store.nextId();
    const answers = [await store.hold(id, START), await store.release(id, START), await store.retry(id, START)];
    equal(answers, [false, false, false], "answers");
    equal(await store.get(id), null, "get");
  }),
  within("expired names messages past their time, held ones too, not those in flight", async (store) => {
    const changes = { expiresAt: at(100) };
    const { message: waiting } = await keepSample(store, ["a@x.test"], { changes });
    const { message: held } = await keepSample(store, ["b@x.test"], { changes });
    await keepSample(store, ["c@x.test"], { changes, claim: true });
    await keepSample(store, ["d@x.test"]);
    await store.hold(held.id, at(1));
    equal(await store.expired(at(99), 10), [], "before");
    equal([...(await store.expired(at(100), 10))].sort(), [waiting.id, held.id], "after");
    equal((await store.expired(at(100), 1)).length, 1, "limit");
  }),
  within("listings come in order of id, page by page, by address", async (store) => {
    const kept: QueueId[] = [];
    for (let n = 0; n < 5; n++) kept.push((await keepSample(store, [`a${n}@x${n % 2}.test`])).message.id);
    const first = await store.list({ limit: 3 });
    equal(
      first.map(({ id }) => id),
      kept.slice(0, 3),
      "first page",
    );
    const after = first.at(-1)?.id;
    if (after === undefined) throw new Error("the first page holds three");
    equal(
      (await store.list({ limit: 3, after })).map(({ id }) => id),
      kept.slice(3),
      "second page",
    );
    const ids = async (address: string) => (await store.list({ limit: 9, address })).map(({ id }) => id);
    equal(await ids("@X1.test"), [kept[1], kept[3]], "domain");
    equal(await ids("a3@x1.test"), [kept[3]], "recipient");
    equal(await ids("a3@x0.test"), [], "other domain");
    equal((await ids("sender@origin.test")).length, 5, "sender");
    equal(await ids("nobody"), [], "no mailbox");
  }),
  within("counts tell messages, waiting recipients and octets", async (store) => {
    await keepSample(store, ["a@x.test", "b@x.test"], { text: "12345" });
    await keepSample(store, ["c@x.test"], { text: "123", claim: true });
    equal(await store.counts(), { messages: 2, recipients: 3, held: 0, claimed: 1, octets: 8 }, "counts");
  }),
  {
    title: "a closed store does nothing more",
    async run(open) {
      const store = await open(stillClock);
      await store.close();
      await store.close();
      await rejects(() => store.counts(), "counts");
    },
  },
];

/** The rules of the port for every store. */
export const storeConformance: readonly ConformanceCase[] = [...keeping, ...claiming, ...settling, ...operating];

/** The rules for stores that outlive their process. */
export const durableConformance: readonly ConformanceCase[] = [
  {
    title: "a reopened queue goes on where it was, without claims",
    async run(open) {
      const before = await open(stillClock);
      const { message } = await keepSample(before, ["a@x.test", "b@x.test", "c@x.test"], { text: "body", claim: true });
      await before.settle(
        settlement(message.id, [
          [0, DELIVERED],
          [1, DEFERRED, at(5000)],
        ]),
      );
      const { message: held } = await keepSample(before, ["d@x.test"]);
      await before.hold(held.id, at(1));
      const [seen, story] = [await before.get(message.id), await before.story(message.id)];
      await before.close();
      const after = await open(stillClock);
      equal(await after.get(message.id), seen, "message");
      equal(await after.story(message.id), story, "story");
      equal(await textOf(after.body(message)), "body", "body");
      equal(await claimed(after, at(4999)), ["c@x.test"], "was in flight");
      equal(await claimed(after, at(5000)), ["b@x.test"], "deferred");
      equal((await after.get(held.id))?.held, true, "held");
      equal(after.nextId() > held.id, true, "ids go on");
      await after.close();
    },
  },
];
