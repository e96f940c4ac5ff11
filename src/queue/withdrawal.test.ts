// Mail that waits in memory for its turn, and is not to be tried as it is any more.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, HOUR, later, SECOND } from "../base/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { DELIVERED, newMessage } from "./conformance-kit.ts";
import { createMemoryStore } from "./memory-store.ts";
import { createRunner } from "./runner.ts";
import { Turns } from "./turns.ts";

/** A runner that has one delivery at a time, of a second each. */
function bench() {
  const time = fakeClock();
  const store = createMemoryStore({ clock: time.clock });
  const jobs: string[] = [];
  const runner = createRunner({
    store,
    deliverer: {
      destination: ({ domain }) => domain,
      async deliver({ recipients }) {
        jobs.push(recipients.map(({ mailbox }) => mailbox.localPart).join(" "));
        await new Promise<void>((resolve) => void time.clock.after(SECOND, resolve));
        return recipients.map(() => DELIVERED);
      },
    },
    reporter: { report: () => Promise.reject(new Error("nothing here is reported")) },
    clock: time.clock,
    random: { next: () => 0.5 },
    limits: { destinationStart: 1, destinationMost: 1 },
  });
  const keep = async (to: string) => {
    await using draft = store.createDraft();
    draft.append(encodeUtf8("body"));
    const receivedAt = time.clock.now();
    const message = newMessage(draft.id, 4, [to], { receivedAt, expiresAt: later(receivedAt, HOUR) });
    return (await draft.keep(message)).message.id;
  };
  return { time, store, runner, jobs, keep };
}

test("mail that is held while it waits in memory is not begun any more, and what is under way ends", async () => {
  const { time, store, runner, jobs, keep } = bench();
  const [first, second, third] = [await keep("a@x.test"), await keep("b@x.test"), await keep("c@x.test")];
  runner.start();
  await time.run(10);
  for (const id of [first, second]) {
    await store.hold(id, time.clock.now());
    runner.withdraw(id);
  }
  await time.run(10 * SECOND);
  assert.deepEqual(jobs, ["a", "c"]);
  assert.deepEqual([await store.get(first), await store.get(third)], [null, null]);
  assert.deepEqual([runner.stats().claimed, runner.stats().waiting], [0, 0]);
  await store.release(second, time.clock.now());
  runner.poke();
  await time.run(10 * SECOND);
  assert.deepEqual(jobs, ["a", "c", "b"]);
  await runner.stop(0);
});

test("what is withdrawn and may be tried all the same is found again", async () => {
  const { time, runner, jobs, keep } = bench();
  await keep("a@x.test");
  const second = await keep("b@x.test");
  runner.start();
  await time.run(10);
  runner.withdraw(second);
  await time.run(10 * SECOND);
  assert.deepEqual(jobs, ["a", "b"]);
  await runner.stop(0);
});

test("jobs are taken out of turns whosever they are, and the others keep their order", () => {
  const turns = new Turns<number>();
  for (let job = 0; job < 12; job++) turns.add(job, job % 2, `sender ${job % 3}`);
  turns.take();
  const removed = turns.remove((job) => job % 4 === 1 || job === 0);
  assert.deepEqual(
    removed.toSorted((a, b) => a - b),
    [0, 5, 9],
  );
  assert.equal(turns.size, 8);
  assert.deepEqual(
    turns.drain().toSorted((a, b) => a - b),
    [2, 3, 4, 6, 7, 8, 10, 11],
  );
});
