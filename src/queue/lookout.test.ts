import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, later, MINUTE, SECOND } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import { DELIVERED, keepSample, mailbox } from "./conformance-kit.ts";
import { createMemoryStore } from "./memory-store.ts";
import { createRunner } from "./runner.ts";

const HELD = 600;

test("while much mail is given up, what comes due is delivered, and those given up share commits", async () => {
  const time = fakeClock();
  const store = createMemoryStore({ clock: time.clock });
  let delivered: number | null = null;
  const runner = createRunner({
    store,
    deliverer: {
      destination: ({ domain }) => domain,
      async deliver() {
        delivered = (await store.counts()).held;
        return [DELIVERED];
      },
    },
    reporter: { report: () => assert.fail("nobody wants a report") },
    clock: time.clock,
    random: { next: () => 0.5 },
  });
  const receivedAt = time.clock.now();
  const expiresAt = later(receivedAt, SECOND);
  const silent = { recipients: [{ mailbox: mailbox("a@x.test"), parameters: { notify: ["NEVER"] as const } }] };
  for (let n = 0; n < HELD; n++) {
    const { message } = await keepSample(store, [], { changes: { ...silent, receivedAt, expiresAt } });
    await store.hold(message.id, receivedAt);
  }
  // It waits for its time (RFC 4865), which comes while the disk is busy with the others.
  const parameters = { hold: { for: 65 } };
  await keepSample(store, ["b@y.test"], { changes: { receivedAt, expiresAt: later(receivedAt, DAY), parameters } });
  const settle = store.settle.bind(store);
  let together = 0;
  let most = 0;
  store.settle = async (settlement) => {
    most = Math.max(most, ++together);
    await new Promise<void>((resolve) => void time.clock.after(SECOND, resolve));
    together--;
    await settle(settlement);
  };
  runner.start();
  await time.run(10 * MINUTE);
  assert.equal((await store.counts()).messages, 0);
  assert.ok(delivered !== null && delivered > 0, `${delivered} were still to be given up`);
  assert.ok(most > 1, "one commit for each would take long");
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});
