import { type ConformanceCase, within } from "./conformance-case.ts";
import { at, claimed, equal, keepSample, newMessage, rejects, START, textOf } from "./conformance-kit.ts";
import type { Body } from "./store.ts";

export const keeping: readonly ConformanceCase[] = [
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
  within("what a draft copies may be used anew, and so may what a reader has done with", async (store) => {
    await using draft = store.createDraft();
    const lent = new Uint8Array(60_000);
    let [size, copied] = [0, 0];
    for (let round = 1; round <= 20; round++) {
      const copies = draft.copies === true;
      const chunk = copies ? lent : new Uint8Array(lent.length);
      await draft.append(chunk.fill(round));
      if (copies) chunk.fill(0);
      if (copies) copied++;
      size += chunk.length;
    }
    const { message, body } = await draft.keep(newMessage(draft.id, size, ["a@x.test"]));
    equal(draft.copies === true, copied > 0, "once it copies it copies on");
    for (const from of [body, store.body(message), body]) {
      let at = 0;
      let wrong = 0;
      for await (const chunk of from.chunks()) {
        for (const octet of chunk) if (octet !== Math.floor(at++ / lent.length) + 1) wrong++;
        from.release?.(chunk);
      }
      equal([at, wrong], [size, 0], "octets");
    }
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

export const claiming: readonly ConformanceCase[] = [
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
    equal(await claimed(store, START, 100, { except: ["x.test"] }), ["b@y.test"], "others");
    equal(await claimed(store, START), ["a@x.test"], "left out before");
  }),
  within("a claim can keep to some domains", async (store) => {
    await keepSample(store, ["a@x.test", "b@y.test", "c@z.test"]);
    equal(await claimed(store, START, 100, { only: [] }), [], "none");
    equal(await claimed(store, START, 100, { only: ["y.test", "other.test"] }), ["b@y.test"], "one");
    equal((await claimed(store, START)).sort(), ["a@x.test", "c@z.test"], "the others");
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
