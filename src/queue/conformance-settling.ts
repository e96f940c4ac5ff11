import { encodeUtf8 } from "../base/index.ts";
import { type ConformanceCase, within } from "./conformance-case.ts";
import {
  at,
  claimed,
  DEFERRED,
  DELIVERED,
  equal,
  FAILED,
  keepSample,
  mailbox,
  newMessage,
  START,
  settlement,
  textOf,
} from "./conformance-kit.ts";
import type { HistoryQuery } from "./store.ts";

export const settling: readonly ConformanceCase[] = [
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
  within("what is over is told, the last first, by message and by address, and what waits is not", async (store) => {
    const { message } = await keepSample(store, ["a@x.test", "b@y.test", "c@x.test"], { claim: true });
    const { message: other } = await keepSample(store, ["d@y.test"], { claim: true, changes: { reversePath: null } });
    await store.settle(settlement(message.id, [[1, DEFERRED, at(5000)]]));
    const over = settlement(message.id, [
      [0, DELIVERED],
      [1, FAILED],
      [2, DEFERRED, at(5000)],
    ]);
    await store.settle(over);
    await store.settle(over);
    await store.settle(settlement(other.id, [[0, DELIVERED]]));
    const told = async (query: Omit<HistoryQuery, "limit">, limit = 9) =>
      (await store.history({ limit, ...query })).map(({ mailbox }) => mailbox.localPart).join("");
    equal(await told({}), "dba", "all");
    equal(await told({}, 2), "db", "limit");
    equal(await told({ id: message.id }), "ba", "message");
    equal(await told({ address: "@Y.test" }), "db", "domain");
    equal(await told({ address: "a@x.test" }), "a", "recipient");
    equal(await told({ address: "sender@origin.test" }), "ba", "sender");
    equal(await told({ address: "nobody" }), "", "no mailbox");
    const [failed] = await store.history({ limit: 1, address: "b@y.test" });
    equal(
      failed,
      {
        id: message.id,
        receivedAt: message.receivedAt,
        finishedAt: at(1000),
        reversePath: message.reversePath,
        mailbox: mailbox("b@y.test"),
        attempts: 2,
        outcome: FAILED,
      },
      "entry",
    );
    await store.remove(message.id, at(9));
    equal(await told({ id: message.id }), "ba", "removed");
  }),
  within("of a reply that a stranger made long a part is kept", async (store) => {
    const { message } = await keepSample(store, ["a@x.test"], { claim: true });
    const reply = { code: 250, status: null, lines: Array.from({ length: 128 }, () => "x".repeat(2000)) };
    const hop = { host: "mx.test", address: null, port: null, tls: null, rule: "none" };
    await store.settle(settlement(message.id, [[0, { kind: "delivered", reply, hop }]]));
    equal(JSON.stringify(await store.history({ limit: 1 })).length < 8000, true, "size");
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
