import { type ConformanceCase, within } from "./conformance-case.ts";
import {
  at,
  claimed,
  DEFERRED,
  DELIVERED,
  equal,
  HOUR_MS,
  keepSample,
  rejects,
  START,
  settlement,
  stillClock,
} from "./conformance-kit.ts";
import type { QueueId } from "./model.ts";
import type { QueueFilter } from "./selection.ts";
import type { OperableStore } from "./store.ts";

const ANY: QueueFilter = { domain: null, sender: null, receivedBefore: null, reply: null };

async function selected(store: OperableStore, filter: Partial<QueueFilter>): Promise<string> {
  const { matches } = await store.select({ filter: { ...ANY, ...filter }, limit: 100 });
  const found = await Promise.all(
    matches.map(async ({ id, recipients }) => {
      const message = await store.get(id);
      return recipients.map((place) => message?.recipients[place]?.mailbox.localPart ?? "?");
    }),
  );
  return found.flat().join("");
}

const OVERRIDE = { kind: "smtp", host: "192.0.2.9", port: 2525, tls: "encrypted" } as const;

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
  within(
    "a filter finds waiting recipients by domain, sender, age and reply, held and in flight ones too",
    async (store) => {
      const { message } = await keepSample(store, ["a@x.test", "b@sub.x.test", "c@y.test"], { claim: true });
      const young = { receivedAt: at(5000), reversePath: null };
      const { message: held } = await keepSample(store, ["d@x.test"], { changes: young });
      await store.hold(held.id, at(5001));
      const code = { code: 451, status: null, lines: ["later"] };
      const greylisted = { ...DEFERRED, problem: { text: "later", reply: code, status: "4.7.1" } };
      await store.settle(
        settlement(message.id, [
          [0, greylisted, at(9000)],
          [1, DEFERRED, at(9000)],
        ]),
      );
      equal(await selected(store, {}), "abcd", "all");
      equal(await selected(store, { domain: "x.test" }), "ad", "domain");
      equal(await selected(store, { domain: ".x.test" }), "b", "below");
      equal(await selected(store, { domain: "*" }), "abcd", "any domain");
      equal(await selected(store, { sender: "@Origin.test" }), "abc", "domain of the sender");
      equal(await selected(store, { sender: "nobody@origin.test" }), "", "sender");
      equal(await selected(store, { sender: "<>" }), "d", "null reverse-path");
      equal(await selected(store, { receivedBefore: at(4999) }), "abc", "age");
      equal(await selected(store, { reply: "451" }), "a", "code");
      equal(await selected(store, { reply: "4.7.*" }), "a", "status");
      equal(await selected(store, { reply: "none" }), "b", "no reply");
      equal(await selected(store, { reply: "4*", domain: "y.test" }), "", "both");
      await store.settle(settlement(message.id, [[0, DELIVERED]]));
      equal(await selected(store, { domain: "x.test" }), "d", "delivered");
    },
  ),
  within("a selection goes through the queue part by part", async (store) => {
    const ids: QueueId[] = [];
    for (let n = 0; n < 5; n++) ids.push((await keepSample(store, [n === 3 ? "a@x.test" : "b@y.test"])).message.id);
    const filter = { ...ANY, domain: "x.test" };
    const first = await store.select({ filter, limit: 3 });
    equal(first, { matches: [], last: ids[2] }, "first part");
    const second = await store.select({ filter, limit: 3, ...(first.last === null ? {} : { after: first.last }) });
    equal(second, { matches: [{ id: ids[3], recipients: [0], releaseAt: START }], last: ids[4] }, "second part");
    const third = await store.select({ filter, limit: 3, ...(second.last === null ? {} : { after: second.last }) });
    equal(third, { matches: [], last: null }, "behind the end");
  }),
  within("recipients are made due, rerouted and removed one by one", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@y.test", "c@z.test"], { claim: true });
    const { id } = message;
    const far = at(HOUR_MS);
    await store.settle(
      settlement(id, [
        [0, DEFERRED, far],
        [1, DEFERRED, far],
      ]),
    );
    const alter = (recipients: readonly number[], change: Parameters<typeof store.alter>[0]["change"]) =>
      store.alter({ id, recipients, at: at(2000), change });
    equal(await alter([0], { kind: "retry", dueAt: at(3000) }), true, "retry");
    equal(await store.nextDue(), at(3000), "next due");
    equal(await alter([1], { kind: "reroute", dueAt: at(4000), override: OVERRIDE }), true, "reroute");
    const rerouted = (await store.get(id))?.recipients[1];
    equal([rerouted?.override, rerouted?.nextAttempt], [OVERRIDE, at(4000)], "override");
    equal(await alter([1], { kind: "reroute", dueAt: at(4000), override: null }), true, "back");
    equal("override" in ((await store.get(id))?.recipients[1] ?? {}), false, "as configured");
    equal(await alter([1, 2], { kind: "remove" }), "claimed", "in flight");
    equal((await store.get(id))?.recipients[1]?.state, "waiting", "untouched");
    equal(await alter([0], { kind: "remove" }), true, "remove");
    equal(
      (await store.get(id))?.recipients.map(({ state }) => state),
      ["failed", "waiting", "waiting"],
      "states",
    );
    const events = (await store.story(id)).map(({ event }) => event);
    equal(events.slice(3), ["retried", "rerouted", "rerouted", "removed"], "story");
    await store.unclaim(id, [2]);
    equal(await alter([1, 2], { kind: "remove" }), true, "the last");
    equal(await store.get(id), null, "gone");
    equal(await alter([1], { kind: "remove" }), false, "again");
  }),
  within("what was not tried counts no attempt and tells no story", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    const [recipient] = settlement(message.id, [[0, DEFERRED, at(7000)]]).recipients;
    if (recipient === undefined) throw new Error("a settlement has the recipient it was given");
    await store.settle({ id: message.id, at: at(1), recipients: [{ ...recipient, counted: false }], report: null });
    const [waiting] = (await store.get(message.id))?.recipients ?? [];
    equal([waiting?.attempts, waiting?.nextAttempt, waiting?.state], [0, at(7000), "waiting"], "recipient");
    equal((await store.story(message.id)).length, 1, "story");
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
