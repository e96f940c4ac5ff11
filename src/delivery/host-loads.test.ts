import assert from "node:assert/strict";
import { test } from "node:test";
import { MINUTE, SECOND } from "../base/index.ts";
import { type Limit, noLimit } from "../queue/index.ts";
import { fakeClock } from "../testing/index.ts";
import { createHostLoads, type HostSight, type HostSlot, type HostTurn } from "./host-loads.ts";

const FIRST = 10 * MINUTE;
const DOWN: HostSight = { kind: "unreachable", text: "it refused the connection" };
const ANSWERED: HostSight = { kind: "answered" };

function bench(limits: Partial<Limit> = {}) {
  const time = fakeClock();
  let current = limits;
  const loads = createHostLoads({
    clock: time.clock,
    random: { next: () => 0.5 },
    limitOf: (name) => (name === "mx.test" ? { ...noLimit, ...current } : noLimit),
    first: FIRST,
    longest: 25 * MINUTE,
  });
  const enter = async (host = "mx.test", signal = new AbortController().signal) => await loads.enter(host, 25, signal);
  const change = (next: Partial<Limit>): void => {
    current = next;
    loads.renewLimits();
  };
  return { time, loads, enter, change };
}

function slotOf(turn: HostTurn): HostSlot {
  assert.ok(turn.kind === "slot", turn.kind);
  return turn.slot;
}

test("a host found dead is left alone, one attempt probes it, and each further time it is left alone for longer", async () => {
  const { time, enter } = bench();
  slotOf(await enter()).leave(DOWN);
  const dead = await enter();
  assert.ok(dead.kind === "dead");
  assert.match(dead.text, /refused/);
  // Chance shortens a wait by a tenth here, so that it never outlasts the message's own.
  assert.equal(dead.until - time.clock.now(), 0.9 * FIRST);
  await time.run(0.9 * FIRST - 1);
  assert.equal((await enter()).kind, "dead");
  await time.run(1);
  const probe = slotOf(await enter());
  assert.equal((await enter()).kind, "dead", "while it is probed");
  probe.leave(DOWN);
  await time.run(0.9 * 2 * FIRST - 1);
  assert.equal((await enter()).kind, "dead");
  await time.run(1);
  slotOf(await enter()).leave(ANSWERED);
  const [one, other] = [slotOf(await enter()), slotOf(await enter())];
  one.leave(ANSWERED);
  other.leave(ANSWERED);
});

test("those who began before it was found dead count as one death", async () => {
  const { time, enter } = bench();
  const slots = [await enter(), await enter(), await enter()].map(slotOf);
  for (const slot of slots) slot.leave(DOWN);
  await time.run(0.9 * FIRST);
  assert.equal((await enter()).kind, "slot");
});

test("hosts are known apart, and an operator's word gives each another chance", async () => {
  const { loads, enter } = bench();
  slotOf(await enter()).leave(DOWN);
  assert.equal((await enter("other.test")).kind, "slot");
  loads.resume();
  assert.equal((await enter()).kind, "slot");
});

test("one that answered just now and lets nobody more in is full, not dead, until it lets in none at all", async () => {
  const { enter } = bench();
  slotOf(await enter()).leave(ANSWERED);
  let refusals = 0;
  for (;;) {
    const turn = await enter();
    if (turn.kind === "dead") break;
    slotOf(turn).leave(DOWN);
    refusals++;
  }
  assert.ok(refusals > 1 && refusals <= 6, `${refusals} refusals`);
});

test("connections grow with success up to the limit, and others wait for their turn for a while", async () => {
  const { time, enter } = bench({ connections: 2 });
  const [first, second] = [slotOf(await enter()), slotOf(await enter())];
  const third = enter();
  const fourth = enter();
  first.leave(ANSWERED);
  slotOf(await third).leave(ANSWERED);
  const fifth = slotOf(await fourth);
  const late = enter();
  await time.run(6 * SECOND);
  const turn = await late;
  assert.ok(turn.kind === "busy" && turn.until > time.clock.now());
  second.leave(ANSWERED);
  fifth.leave(ANSWERED);
  assert.equal((await enter()).kind, "slot");
});

test("no more than a few wait with a slot of the runner in their hands", async () => {
  const { time, enter } = bench({ connections: 1 });
  slotOf(await enter());
  const turns = Array.from({ length: 30 }, () => enter());
  const kinds: string[] = [];
  for (const turn of turns) void turn.then(({ kind }) => kinds.push(kind));
  await time.run(0);
  assert.equal(kinds.length, 20);
  await time.run(6 * SECOND);
  assert.deepEqual(new Set(kinds), new Set(["busy"]));
});

test("who is stopped while waiting goes without a turn, at once", async () => {
  const { enter } = bench({ connections: 1 });
  slotOf(await enter());
  const abort = new AbortController();
  const waiting = enter("mx.test", abort.signal);
  abort.abort();
  assert.equal((await waiting).kind, "busy");
});

test("a rate counts for all who come, evenly spaced; a long wait is none of theirs", async () => {
  const { time, enter } = bench({ messagesPerMinute: 20 });
  slotOf(await enter()).leave(ANSWERED);
  const second = enter();
  let got = false;
  void second.then(() => {
    got = true;
  });
  await time.run(3 * SECOND - 1);
  assert.equal(got, false);
  await time.run(1);
  slotOf(await second).leave(ANSWERED);
  const waiting = [enter(), enter(), enter()];
  await time.run(10 * SECOND);
  const kinds = (await Promise.all(waiting)).map(({ kind }) => kind);
  assert.deepEqual(kinds, ["slot", "busy", "busy"]);
});

test("trouble halves what a host is given, and who waits when it is found dead hears of it", async () => {
  const { enter } = bench({ connections: 4 });
  const slots = [await enter(), await enter(), await enter(), await enter()].map(slotOf);
  slots[0]?.leave({ kind: "trouble" });
  slots[1]?.leave({ kind: "nothing" });
  const waiting = enter();
  slots[2]?.leave(DOWN);
  assert.equal((await waiting).kind, "dead");
});

test("changed limits count for hosts that are known, and what is open beyond them ends", async () => {
  const { time, enter, change } = bench({ connections: 3 });
  const slots = [await enter(), await enter(), await enter()].map(slotOf);
  change({ connections: 1, messagesPerMinute: 60 });
  slots[0]?.leave(ANSWERED);
  slots[1]?.leave(ANSWERED);
  const waiting = enter();
  await time.run(SECOND);
  slots[2]?.leave(ANSWERED);
  const only = slotOf(await waiting);
  assert.equal(only.limit.connections, 1);
  change({});
  only.leave(ANSWERED);
  assert.equal(slotOf(await enter()).limit.connections, null);
});
