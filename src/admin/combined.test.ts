import assert from "node:assert/strict";
import { test } from "node:test";
import { later, unwrap } from "../base/index.ts";
import { systemClock } from "../net/index.ts";
import { createMemoryStore, type OperableStore, type QueueId } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { combineOperations } from "./combined.ts";
import { createOperations, type ListRequest } from "./operations.ts";

/** A store whose ids are not those of others: made one after the other, on one clock. */
async function queued(store: OperableStore): Promise<QueueId> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  await using draft = store.createDraft();
  await draft.append(new Uint8Array(10));
  const now = systemClock.now();
  await draft.keep({
    id: draft.id,
    receivedAt: now,
    expiresAt: later(now, 3_600_000),
    reversePath: null,
    parameters: {},
    origin: { service: "local", sessionId: null, address: null, hello: null, identity: null, tls: null },
    recipients: [{ mailbox: unwrap(parseMailbox("a@b.test")), parameters: {} }],
    size: 10,
  });
  return draft.id;
}

async function threeQueues() {
  const stores = [1, 2, 3].map(() => createMemoryStore({ clock: systemClock }));
  const ids: QueueId[] = [];
  for (let round = 0; round < 3; round++) for (const store of stores) ids.push(await queued(store));
  const queues = stores.map((store) => createOperations({ store, clock: systemClock }));
  const operations = combineOperations(() => queues);
  return { stores, ids, queues, operations };
}

test("messages of all queues stand in one order, page by page", async () => {
  const { ids, operations } = await threeQueues();
  for (const limit of [1, 2, 4, 9, 20]) {
    const seen: string[] = [];
    for (;;) {
      const after = seen.at(-1);
      const page = await operations.list({ limit, after });
      assert.ok(page.length <= limit);
      seen.push(...page.map(({ id }) => id));
      if (page.length === 0) break;
    }
    assert.deepEqual(seen, ids, `by ${limit}`);
  }
});

test("nothing is skipped where queues answer with fewer messages than were asked for", async () => {
  const { ids, queues } = await threeQueues();
  // As a queue does whose messages have very many recipients.
  const short = queues.map((queue, n) => ({
    ...queue,
    list: (request: ListRequest) => queue.list({ ...request, limit: Math.min(request.limit, n + 1) }),
  }));
  const operations = combineOperations(() => short);
  const seen: string[] = [];
  for (let page = await operations.list({ limit: 20 }); page.length > 0; ) {
    seen.push(...page.map(({ id }) => id));
    page = await operations.list({ limit: 20, after: seen.at(-1) });
  }
  assert.deepEqual(seen, ids);
});

test("mail that arrives while all of the queue is changed is left alone", async () => {
  const store = createMemoryStore({ clock: systemClock });
  const ids = [await queued(store), await queued(store)];
  const hold = store.hold.bind(store);
  let arrived = 0;
  store.hold = async (...order) => {
    if (arrived++ < 10) await queued(store);
    return await hold(...order);
  };
  const report = await createOperations({ store, clock: systemClock }).act("hold", { all: true });
  assert.deepEqual([report.done, arrived], [ids, ids.length]);
  assert.equal((await store.counts()).messages, 2 * ids.length);
});

test("a message is found, changed and counted whatever queue it is in", async () => {
  const { ids, stores, operations } = await threeQueues();
  for (const id of ids) {
    assert.equal((await operations.show(id))?.id, id);
    assert.deepEqual(await operations.act("hold", { id: id.toLowerCase() }), {
      done: [id],
      recipients: 1,
      refused: [],
    });
  }
  assert.deepEqual(await operations.counts(), { messages: 9, recipients: 9, held: 9, claimed: 0, octets: 90 });
  assert.deepEqual(await operations.act("remove", { id: "nonsense" }), {
    done: [],
    recipients: 0,
    refused: [{ id: "nonsense", reason: "unknown" }],
  });
  assert.equal(await operations.show("nonsense"), null);
  assert.deepEqual(await operations.act("release", { all: true }), { done: ids, recipients: 9, refused: [] });

  const [claimed] = (await stores[1]?.claimDue({ now: later(systemClock.now(), 1000), limit: 1 })) ?? [];
  assert.ok(claimed !== undefined);
  const refused = [{ id: claimed.message.id, reason: "in flight" }];
  assert.deepEqual(await operations.act("remove", { id: claimed.message.id }), { done: [], recipients: 0, refused });
  const all = await operations.act("remove", { all: true });
  assert.deepEqual(all, {
    done: ids.filter((id) => id !== claimed.message.id),
    recipients: 8,
    refused,
  });
});

test("what is over stands in one order too, whatever queue it was in", async () => {
  const { ids, stores, operations } = await threeQueues();
  const hop = { host: "mx", address: null, port: null, tls: null, rule: "off" };
  const start = systemClock.now();
  for (const [round, id] of ids.entries()) {
    const settled = {
      index: 0,
      outcome: { kind: "delivered", reply: null, hop },
      nextAttempt: null,
      warned: false,
    } as const;
    await stores[round % 3]?.settle({ id, at: later(start, round), recipients: [settled], report: null });
  }
  const told = async (limit: number) => (await operations.history({ limit })).map(({ id }) => id);
  assert.deepEqual(await told(99), ids.toReversed());
  assert.deepEqual(await told(2), ids.toReversed().slice(0, 2));
});
