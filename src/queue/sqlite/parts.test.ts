import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keepSample, stillClock } from "../conformance-kit.ts";
import type { QueueId } from "../model.ts";
import type { OperableStore } from "../store.ts";
import { openSqliteStore } from "./store.ts";

/** Recipients of each message: more than one part, or one page, holds of few messages. */
const EACH = 3000;
const MESSAGES = 8;

async function withStore(body: (store: OperableStore, kept: readonly QueueId[]) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "postern-parts-"));
  const store = await openSqliteStore({ path: join(folder, "queue.sqlite"), clock: stillClock });
  try {
    const kept: QueueId[] = [];
    for (let n = 0; n < MESSAGES; n++) {
      const recipients = Array.from({ length: EACH }, (_, place) => `u${place}@d${n}.test`);
      kept.push((await keepSample(store, recipients, { text: "12345" })).message.id);
    }
    await body(store, kept);
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

test("a queue of many recipients is listed, selected from and counted in bounded parts, and wholly", () =>
  withStore(async (store, kept) => {
    const listed: QueueId[] = [];
    for (let page = await store.list({ limit: 100 }); page.length > 0; ) {
      assert.ok(page.length < MESSAGES, "a page is bounded by recipients");
      listed.push(...page.map(({ id }) => id));
      const after = listed.at(-1);
      page = after === undefined ? [] : await store.list({ limit: 100, after });
    }
    assert.deepEqual(listed, kept);
    const ofAddress = await store.list({ limit: 2, address: "@d7.test" });
    assert.deepEqual(
      ofAddress.map(({ id }) => id),
      kept.slice(7),
    );
    assert.deepEqual(
      (await store.list({ limit: 2, address: "sender@origin.test" })).map(({ id }) => id),
      kept.slice(0, 2),
      "a full page ends where its last message does",
    );
    const filter = { domain: "d7.test", sender: null, receivedBefore: null, reply: null };
    const found: QueueId[] = [];
    let parts = 0;
    for (let after: QueueId | null = null, first = true; first || after !== null; first = false) {
      const part: Awaited<ReturnType<OperableStore["select"]>> = await store.select({
        filter,
        limit: 100,
        ...(after === null ? {} : { after }),
      });
      for (const { id, recipients } of part.matches) found.push(...Array.from(recipients, () => id));
      after = part.last;
      parts++;
    }
    assert.deepEqual([found.length, new Set(found).size, parts > 3], [EACH, 1, true]);
    const { messages, recipients, octets } = await store.counts();
    assert.deepEqual([messages, recipients, octets], [MESSAGES, MESSAGES * EACH, MESSAGES * 5]);
  }));

test("counting comes to its end though messages keep coming", () =>
  withStore(async (store) => {
    let counted: number | null = null;
    const counting = store.counts().then(({ messages }) => {
      counted = messages;
    });
    let came = 0;
    for (; counted === null && came < 3000; came++) await keepSample(store, ["late@x.test"], { text: "12345" });
    assert.ok(counted !== null && counted >= MESSAGES, `${came} came meanwhile, and it is still counting`);
    await counting;
  }));

test("a claim holds no recipients but its own", () =>
  withStore(async (store) => {
    const [claimed] = await store.claimDue({ now: stillClock.now(), limit: 2 });
    assert.equal(claimed?.recipients.length, 2);
    assert.deepEqual(claimed?.message.recipients.map(({ index }) => index).sort(), [...claimed.recipients].sort());
    assert.equal((await store.get(claimed.message.id))?.recipients.length, EACH);
  }));
