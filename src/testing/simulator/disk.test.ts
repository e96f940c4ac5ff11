// The simulated disk keeps the rules of the port, and loses in a power cut what a disk loses.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, encodeUtf8, instant, later } from "../../base/index.ts";
import { newMessage } from "../../queue/conformance-kit.ts";
import { parseQueueId, type QueueStore, StoreError } from "../../queue/index.ts";
import { durableConformance, storeConformance } from "../../queue/store-conformance.ts";
import { Chance } from "./chance.ts";
import { type DiskFate, type DiskWitness, SimulatedDisk } from "./disk.ts";
import { clockOf, Life, VirtualLoop } from "./loop.ts";

const GOOD: DiskFate = { delay: 5, failed: false, full: false };
const NOBODY: DiskWitness = { kept() {}, settled() {}, removed() {} };

function newDisk(parts: { readonly clock?: Clock; readonly fate?: () => DiskFate; readonly seed?: number } = {}) {
  const loop = new VirtualLoop(instant(1_800_000_000_000), (error) => {
    throw error;
  });
  const kept: string[] = [];
  const disk = new SimulatedDisk({
    loop,
    chance: new Chance(parts.seed ?? 1),
    clock: parts.clock ?? clockOf(loop, new Life()),
    fate: parts.fate ?? (() => GOOD),
    moment: () => {},
    count: () => {},
    witness: { ...NOBODY, kept: ({ id }) => void kept.push(id) },
  });
  return { loop, disk, kept };
}

/** Lets virtual time go on until `work` is done. */
async function through<T>(loop: VirtualLoop, work: Promise<T>): Promise<T> {
  const done = { yet: false };
  const finish = (): void => {
    done.yet = true;
  };
  work.then(finish, finish);
  for (let turn = 0; !done.yet; turn++) {
    if (turn === 10_000) throw new Error("it never ends");
    await loop.run(later(loop.now, 10));
  }
  return await work;
}

for (const { title, run } of [...storeConformance, ...durableConformance]) {
  test(`simulated disk: ${title}`, async () => {
    let made: ReturnType<typeof newDisk> | null = null;
    const loops: VirtualLoop[] = [];
    const work = run(async (clock) => {
      made ??= newDisk({ clock });
      loops.push(made.loop);
      return await made.disk.open(new Life());
    });
    while (loops.length === 0) await Promise.resolve();
    const [loop] = loops;
    assert.ok(loop !== undefined);
    await through(loop, work);
  });
}

async function keepOne(store: QueueStore): Promise<string> {
  const draft = store.createDraft();
  const octets = encodeUtf8("Subject: x\r\n\r\ny\r\n");
  await draft.append(octets);
  const { message } = await draft.keep(newMessage(draft.id, octets.length, ["a@x.test"]));
  return message.id;
}

test("what was synced outlives a power cut; what was being written is there whole or not at all", async () => {
  const outcomes = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    const { loop, disk, kept } = newDisk({ seed });
    const life = new Life();
    const store = await disk.open(life);
    const first = await through(loop, keepOne(store));
    void keepOne(store);
    await loop.run(later(loop.now, 2));
    life.end();
    await loop.run(later(loop.now, 100));
    const left = await disk.messages();
    assert.equal(left[0]?.id, first);
    assert.equal(left.length, kept.length);
    outcomes.add(left.length);
  }
  assert.deepEqual([...outcomes].sort(), [1, 2]);
});

test("a failed sync and a full disk store nothing, and say so", async () => {
  for (const [fate, kind] of [
    [{ ...GOOD, failed: true }, "broken"],
    [{ ...GOOD, full: true }, "full"],
  ] as const) {
    const { loop, disk, kept } = newDisk({ fate: () => fate });
    const store = await disk.open(new Life());
    const failure = await through(
      loop,
      keepOne(store).then(
        () => null,
        (error: unknown) => error,
      ),
    );
    assert.ok(failure instanceof StoreError);
    assert.equal(failure.kind, kind);
    assert.deepEqual(kept, []);
    assert.deepEqual(await disk.messages(), []);
  }
});

test("a full disk still lets mail go", async () => {
  const fate = { current: GOOD };
  const { loop, disk } = newDisk({ fate: () => fate.current });
  const store = await disk.open(new Life());
  const id = parseQueueId(await through(loop, keepOne(store)));
  assert.ok(id !== null);
  fate.current = { ...GOOD, full: true };
  assert.equal(await through(loop, store.remove(id, loop.now)), true);
});
