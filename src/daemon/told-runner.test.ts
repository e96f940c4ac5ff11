import assert from "node:assert/strict";
import { test } from "node:test";
import { createOperations } from "../admin/index.ts";
import { instant, unwrap } from "../base/index.ts";
import { systemClock } from "../net/index.ts";
import { createMemoryStore, type OperableStore, type QueueId } from "../queue/index.ts";
import { parseMailbox } from "../smtp/index.ts";
import { toldRunner } from "./told-runner.ts";

async function queued(store: OperableStore): Promise<QueueId> {
  await using draft = store.createDraft();
  const { message } = await draft.keep({
    id: draft.id,
    receivedAt: instant(Date.now()),
    expiresAt: instant(Date.now() + 100_000),
    reversePath: null,
    parameters: {},
    origin: { service: "mx", sessionId: null, address: null, hello: null, identity: null, tls: null },
    recipients: [{ mailbox: unwrap(parseMailbox("a@x.test")), parameters: {} }],
    size: 0,
  });
  return message.id;
}

test("the runner lets go of what is held or rerouted, and of nothing else", async () => {
  const store = createMemoryStore({ clock: systemClock });
  const withdrawn: string[] = [];
  const runner = { withdraw: (id: QueueId) => void withdrawn.push(id) };
  const operations = toldRunner(createOperations({ store, clock: systemClock }), () => runner);
  const [first, second] = [await queued(store), await queued(store)];
  await operations.act("hold", { id: first }, { dryRun: true });
  await operations.act("hold", { id: "00000000000" });
  await operations.act("retry", { all: true });
  assert.deepEqual(withdrawn, []);
  await operations.act("hold", { id: first });
  assert.deepEqual(withdrawn, [first]);
  await operations.act("release", { id: first });
  await operations.act("reroute", { all: true }, { override: null });
  assert.deepEqual(withdrawn.slice(1).toSorted(), [first, second].toSorted());
  await operations.act("remove", { all: true });
  assert.equal(withdrawn.length, 3);
});
