import { type ConformanceCase, within } from "./conformance-case.ts";
import {
  at,
  claimed,
  DEFERRED,
  equal,
  HOUR_MS,
  keepSample,
  rejects,
  START,
  settlement,
  stillClock,
} from "./conformance-kit.ts";
import type { QueueId } from "./model.ts";

export const operating: readonly ConformanceCase[] = [
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
