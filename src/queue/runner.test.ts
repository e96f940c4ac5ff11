import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, HOUR, type Log, later, MINUTE, SECOND, silentLog } from "../base/index.ts";
import type { ReversePath } from "../smtp/index.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { DELIVERED, FAILED, mailbox, newMessage } from "./conformance-kit.ts";
import type { Deliverer, DeliveryJob, Reporter } from "./deliverer.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { NewMessage, Outcome, QueueId } from "./model.ts";
import { createRunner, type RunnerOptions } from "./runner.ts";
import { StoreError } from "./store.ts";

function deferred(scope: "host" | "recipient" | "message" | "connection"): Outcome {
  return { kind: "deferred", scope, problem: { text: "later", reply: null, status: "4.4.1" }, hop: null };
}

const SENDER: ReversePath = mailbox("s@sender.test");

type Answer = (job: DeliveryJob, signal: AbortSignal) => Promise<readonly Outcome[]> | readonly Outcome[];

/** A runner on a memory store, with a clock of its own and a deliverer that notes what it is given. */
class Bench {
  readonly time = fakeClock();
  readonly plain = createMemoryStore({ clock: this.time.clock });
  answer: Answer = (job) => job.recipients.map(() => DELIVERED);
  readonly slow: Answer = async (job) => {
    await new Promise<void>((resolve) => void this.time.clock.after(SECOND, resolve));
    return job.recipients.map(() => DELIVERED);
  };
  readonly jobs: string[] = [];
  readonly reported: string[] = [];
  readonly logged: string[] = [];
  reportFails = false;
  #running = 0;
  mostRunning = 0;

  readonly deliverer: Deliverer = {
    destination: ({ domain }) => domain,
    deliver: async (job, signal) => {
      this.jobs.push(job.recipients.map(({ mailbox }) => `${mailbox.localPart}@${mailbox.domain}`).join(" "));
      this.mostRunning = Math.max(this.mostRunning, ++this.#running);
      try {
        return await this.answer(job, signal);
      } finally {
        this.#running--;
      }
    },
  };

  readonly reporter: Reporter = {
    report: async (message, _body, items) => {
      if (this.reportFails) throw new Error("a bug in the reporter");
      this.reported.push(
        ...items.map(({ recipient, outcome, action }) => {
          const said = action === "failed" && outcome.kind !== "delivered" ? outcome.problem.status : action;
          return `${recipient.mailbox.localPart} ${said}`;
        }),
      );
      assert.ok(message.reversePath !== null, "no report makes a report");
      const body = [encodeUtf8("report")];
      return {
        message: this.message(this.plain.nextId(), 6, [`${message.reversePath.localPart}@sender.test`], null),
        body,
      };
    },
  };

  readonly log: Log = { ...silentLog, error: (event) => void this.logged.push(event) };

  runner(changes: Partial<RunnerOptions> = {}) {
    const { plain: store, deliverer, reporter, time, log } = this;
    const random = { next: () => 0.5 };
    return createRunner({ store, deliverer, reporter, clock: time.clock, random, log, ...changes });
  }

  /** Bears the time of the bench's clock and lives for five hours. */
  message(id: QueueId, size: number, to: readonly string[], reversePath: ReversePath = SENDER): NewMessage {
    const receivedAt = this.time.clock.now();
    return newMessage(id, size, to, { receivedAt, expiresAt: later(receivedAt, 5 * HOUR), reversePath });
  }

  async keep(to: readonly string[], claim = false, changes: Partial<NewMessage> = {}) {
    await using draft = this.plain.createDraft();
    draft.append(encodeUtf8("body"));
    return await draft.keep({ ...this.message(draft.id, 4, to), ...changes }, { claim });
  }

  messages = async (): Promise<number> => (await this.plain.counts()).messages;
}

test("what is in the queue at the start is delivered, one job for each destination", async () => {
  const bench = new Bench();
  await bench.keep(["a@x.test", "b@y.test", "c@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(0);
  assert.deepEqual(bench.jobs, ["a@x.test c@x.test", "b@y.test"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("an offered message is delivered from memory without a look at the store", async () => {
  const bench = new Bench();
  bench.plain.body = () => assert.fail("read from the store");
  const runner = bench.runner();
  runner.start();
  await bench.time.run(0);
  assert.equal(runner.offer(await bench.keep(["a@x.test"], true)), true);
  await bench.time.run(0);
  assert.deepEqual(bench.jobs, ["a@x.test"]);
  assert.equal(await bench.messages(), 0);
  assert.deepEqual(runner.stats(), { delivering: 0, waiting: 0, claimed: 0, octets: 0, destinations: 0 });
  await runner.stop(0);
});

test("what does not fit into memory is delivered all the same, from the store", async () => {
  const bench = new Bench();
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  bench.answer = async (job) => {
    await gate;
    return job.recipients.map(() => DELIVERED);
  };
  // Three quarters of it, since nothing is known of the destination: two bodies.
  const runner = bench.runner({ limits: { memory: 12 } });
  runner.start();
  const taken: boolean[] = [];
  for (let n = 0; n < 5; n++) taken.push(runner.offer(await bench.keep([`a${n}@x.test`], true)));
  assert.deepEqual(taken, [true, true, true, true, true]);
  assert.equal(runner.stats().octets, 8);
  await bench.time.run(0);
  open();
  await bench.time.run(2 * SECOND);
  assert.equal(bench.jobs.length, 5);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("a deferred recipient is tried again after the first wait, then twice that", async () => {
  const bench = new Bench();
  const times: number[] = [];
  const begin = bench.time.clock.now();
  bench.answer = () => {
    times.push(bench.time.clock.now() - begin);
    return [times.length < 3 ? deferred("recipient") : DELIVERED];
  };
  const runner = bench.runner();
  runner.offer(await bench.keep(["a@x.test"], true));
  runner.start();
  await bench.time.run(16 * MINUTE);
  assert.deepEqual(times, [0, 5 * MINUTE, 15 * MINUTE]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("a failed recipient is reported in the same commit, and the report is delivered too", async () => {
  const bench = new Bench();
  bench.answer = (job) => job.recipients.map(({ mailbox }) => (mailbox.localPart === "bad" ? FAILED : DELIVERED));
  const runner = bench.runner();
  runner.start();
  runner.offer(await bench.keep(["bad@x.test", "good@x.test"], true));
  await bench.time.run(0);
  assert.deepEqual(bench.reported, ["bad 5.1.1"]);
  assert.deepEqual(bench.jobs, ["bad@x.test good@x.test", "s@sender.test"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("a message that can never be delivered gets its last attempt at its expiry, then a report", async () => {
  const bench = new Bench();
  bench.answer = (job) => [job.destination === "sender.test" ? DELIVERED : deferred("recipient")];
  const { message } = await bench.keep(["a@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(5 * HOUR - SECOND);
  assert.notEqual(await bench.plain.get(message.id), null);
  const before = bench.jobs.length;
  await bench.time.run(2 * SECOND);
  assert.deepEqual(bench.jobs.slice(before), ["a@x.test", "s@sender.test"]);
  assert.deepEqual(bench.reported, ["a 4.4.7"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("held mail expires too, without an attempt", async () => {
  const bench = new Bench();
  const { message } = await bench.keep(["a@x.test"]);
  await bench.plain.hold(message.id, bench.time.clock.now());
  const runner = bench.runner();
  runner.start();
  await bench.time.run(5 * HOUR - MINUTE);
  assert.equal(await bench.messages(), 1);
  await bench.time.run(3 * MINUTE);
  assert.deepEqual(bench.jobs, ["s@sender.test"]);
  assert.deepEqual(bench.reported, ["a 4.4.7"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("after host trouble other mail of that destination is put off untried, and a probe brings it all back", async () => {
  const bench = new Bench();
  let dead = true;
  bench.answer = (job) =>
    job.recipients.map(() => (dead && job.destination === "x.test" ? deferred("host") : DELIVERED));
  for (let n = 0; n < 40; n++) await bench.keep([`a${n}@x.test`]);
  await bench.keep(["b@y.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(MINUTE);
  // As many as may run at once had started before the first one failed.
  assert.equal(bench.jobs.filter((job) => job.endsWith("@x.test")).length, 5);
  assert.ok(bench.jobs.includes("b@y.test"));
  const late = await bench.keep(["late@x.test"]);
  runner.poke();
  await bench.time.run(SECOND);
  dead = false;
  await bench.time.run(20 * MINUTE);
  assert.equal(await bench.plain.get(late.message.id), null);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("the long waits of an old message do not keep new mail from a host that is back", async () => {
  const bench = new Bench();
  let dead = true;
  bench.answer = (job) => job.recipients.map(() => (dead ? deferred("host") : DELIVERED));
  const runner = bench.runner();
  runner.start();
  runner.offer(await bench.keep(["old@x.test"], true));
  // 0, 5, 15, 35, 75 minutes: the next attempt is more than an hour away.
  await bench.time.run(76 * MINUTE);
  assert.equal(bench.jobs.length, 5);
  dead = false;
  await bench.time.run(5 * MINUTE);
  runner.offer(await bench.keep(["new@x.test"], true));
  await bench.time.run(SECOND);
  assert.deepEqual(bench.jobs.slice(5), ["new@x.test"]);
  await runner.stop(0);
});

test("where reports cannot be made a sweep of expired mail ends all the same, and reaches every message", async () => {
  const bench = new Bench();
  bench.reportFails = true;
  for (let n = 0; n < 150; n++) {
    const { message } = await bench.keep([`a${n}@x.test`]);
    await bench.plain.hold(message.id, bench.time.clock.now());
  }
  const runner = bench.runner();
  runner.start();
  await bench.time.run(5 * HOUR + 90 * SECOND);
  assert.ok(bench.logged.length >= 150 && bench.logged.length <= 300, `${bench.logged.length} reports tried`);
  bench.reportFails = false;
  await bench.time.run(MINUTE);
  assert.equal(bench.reported.length, 150);
  await runner.stop(0);
});

test("mail accepted while its destination is suspended is put off untried", async () => {
  const bench = new Bench();
  bench.answer = () => [deferred("host")];
  const runner = bench.runner();
  runner.start();
  runner.offer(await bench.keep(["first@x.test"], true));
  await bench.time.run(SECOND);
  const { message } = await bench.keep(["second@x.test"]);
  runner.offer(await bench.keep(["third@x.test"], true));
  await bench.time.run(SECOND);
  assert.deepEqual(bench.jobs, ["first@x.test"]);
  assert.equal((await bench.plain.counts()).claimed, 0);
  bench.answer = () => [DELIVERED];
  await bench.time.run(15 * MINUTE);
  assert.equal(await bench.plain.get(message.id), null);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("what waits for a suspended destination has no attempts counted, keeps its reason, and comes back when it is tried again", async () => {
  const bench = new Bench();
  bench.answer = () => [deferred("host")];
  const tried = await bench.keep(["tried@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(SECOND);
  const ids = [];
  for (let n = 0; n < 5; n++) {
    const accepted = await bench.keep([`w${n}@x.test`], true);
    ids.push(accepted.message.id);
    runner.offer(accepted);
  }
  await bench.time.run(2 * HOUR);
  const attempts = bench.jobs.length;
  assert.ok(attempts > 10 && attempts < 40, `${attempts} probes of a dead destination in two hours`);
  let counted = 0;
  for (const id of [tried.message.id, ...ids]) {
    const recipient = (await bench.plain.get(id))?.recipients[0];
    counted += recipient?.attempts ?? 0;
    assert.ok(recipient?.lastOutcome?.kind === "deferred");
    assert.ok(recipient.nextAttempt <= bench.time.clock.now() + 72 * MINUTE);
  }
  assert.equal(counted, attempts, "each attempt is counted once, and nothing else is");
  const untried = await bench.keep(["late@x.test"], true);
  runner.offer(untried);
  await bench.time.run(0);
  const [late] = (await bench.plain.get(untried.message.id))?.recipients ?? [];
  assert.equal(late?.attempts, 0);
  assert.ok((late?.nextAttempt ?? 0) <= bench.time.clock.now() + 6 * MINUTE, "no wait is longer than the suspension");
  bench.answer = () => [DELIVERED];
  await bench.time.run(6 * MINUTE);
  assert.equal(await bench.plain.get(untried.message.id), null);
  await runner.stop(0);
});

test("concurrency for one destination starts low, grows, and stays within its bounds", async () => {
  const bench = new Bench();
  bench.answer = bench.slow;
  for (let n = 0; n < 100; n++) await bench.keep([`a${n}@x.test`]);
  const runner = bench.runner({ limits: { destinationStart: 2, destinationMost: 7 } });
  runner.start();
  await bench.time.run(0);
  assert.equal(bench.mostRunning, 2);
  await bench.time.run(MINUTE);
  assert.equal(bench.mostRunning, 7);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

for (const [what, broken] of [
  ["an exception of the deliverer", () => assert.fail("a bug")],
  ["a wrong number of outcomes", () => []],
] as const) {
  test(`${what} is logged and defers`, async () => {
    const bench = new Bench();
    bench.answer = broken;
    const { message } = await bench.keep(["a@x.test"]);
    const runner = bench.runner();
    runner.start();
    await bench.time.run(SECOND);
    assert.deepEqual(bench.logged, ["queue.delivery.broke"]);
    const [recipient] = (await bench.plain.get(message.id))?.recipients ?? [];
    assert.equal(recipient?.state, "waiting");
    assert.equal(recipient?.attempts, 1);
    assert.equal(recipient?.lastOutcome?.kind, "deferred");
    await runner.stop(0);
  });
}

test("a failure whose report cannot be made stays in the queue", async () => {
  const bench = new Bench();
  bench.reportFails = true;
  bench.answer = (job) => [job.destination === "sender.test" ? DELIVERED : FAILED];
  await bench.keep(["a@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(SECOND);
  assert.deepEqual(bench.logged, ["queue.report.broke"]);
  assert.equal(await bench.messages(), 1);
  bench.reportFails = false;
  await bench.time.run(2 * HOUR);
  assert.deepEqual(bench.reported, ["a 5.1.1"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("while outcomes cannot be written nothing is delivered again, and the slot is free for others", async () => {
  const bench = new Bench();
  let full = true;
  const settle = bench.plain.settle.bind(bench.plain);
  bench.plain.settle = async (settlement) => {
    if (full) throw new StoreError("full", "no space left");
    await settle(settlement);
  };
  for (let n = 0; n < 8; n++) await bench.keep([`a${n}@x.test`]);
  const runner = bench.runner({ limits: { destinationStart: 1, destinationMost: 1 } });
  runner.start();
  await bench.time.run(10 * MINUTE);
  assert.equal(bench.jobs.length, 8);
  assert.equal(await bench.messages(), 8);
  assert.equal(runner.stats().claimed, 8);
  full = false;
  await bench.time.run(2 * MINUTE);
  assert.equal(bench.jobs.length, 8);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("a store that cannot be read is asked again", async () => {
  const bench = new Bench();
  let broken = true;
  const claimDue = bench.plain.claimDue.bind(bench.plain);
  bench.plain.claimDue = async (query) => {
    if (broken) throw new StoreError("broken", "input/output error");
    return await claimDue(query);
  };
  await bench.keep(["a@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(10 * SECOND);
  assert.ok(bench.logged.length >= 5 && bench.logged.length <= 15, `${bench.logged.length} tries`);
  broken = false;
  await bench.time.run(5 * SECOND);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("a queue larger than the window is worked off within it", async () => {
  const bench = new Bench();
  for (let n = 0; n < 200; n++) await bench.keep([`a${n}@x${n % 7}.test`]);
  const runner = bench.runner({ limits: { window: 20, domainWindow: 3 } });
  let most = 0;
  bench.answer = async (job) => {
    most = Math.max(most, runner.stats().claimed);
    return job.recipients.map(() => DELIVERED);
  };
  runner.start();
  await bench.time.run(5 * MINUTE);
  assert.equal(await bench.messages(), 0);
  assert.equal(new Set(bench.jobs).size, 200);
  assert.equal(bench.jobs.length, 200);
  assert.ok(most <= 20, `${most} claimed`);
  await runner.stop(0);
});

test("stop lets a delivery end in its grace, unclaims what waits, and starts nothing", async () => {
  const bench = new Bench();
  bench.answer = bench.slow;
  for (let n = 0; n < 4; n++) await bench.keep([`a${n}@x.test`]);
  const runner = bench.runner({ limits: { destinationStart: 1, destinationMost: 1 } });
  runner.start();
  await bench.time.run(0);
  const stopped = runner.stop(10 * SECOND);
  await bench.time.run(2 * SECOND);
  await stopped;
  assert.equal(bench.jobs.length, 1);
  const { messages, claimed } = await bench.plain.counts();
  assert.deepEqual({ messages, claimed }, { messages: 3, claimed: 0 });
  assert.equal(runner.offer(await bench.keep(["b@x.test"], true)), false);
  await bench.time.run(0);
  assert.equal((await bench.plain.counts()).claimed, 0);
});

test("stop aborts what does not end in its grace; that was no attempt", async () => {
  const bench = new Bench();
  bench.answer = (job, signal) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(job.recipients.map(() => deferred("connection"))));
    });
  const { message } = await bench.keep(["a@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(0);
  await Promise.all([runner.stop(SECOND), bench.time.run(2 * SECOND)]);
  assert.equal((await bench.plain.get(message.id))?.recipients[0]?.attempts, 0);
  assert.equal((await bench.plain.counts()).claimed, 0);
});

test("poke finds what an operator made due", async () => {
  const bench = new Bench();
  bench.answer = () => [bench.jobs.length === 1 ? deferred("host") : DELIVERED];
  const { message } = await bench.keep(["a@x.test"]);
  const runner = bench.runner();
  runner.start();
  await bench.time.run(SECOND);
  await bench.plain.retry(message.id, bench.time.clock.now());
  runner.poke();
  await bench.time.run(0);
  assert.equal(bench.jobs.length, 2);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

const TIMED = { seconds: 3600, trace: false } as const;

test("mail that waits too long is reported as delayed, once, at the time for it", async () => {
  const bench = new Bench();
  bench.answer = (job) => [job.destination === "sender.test" ? DELIVERED : deferred("recipient")];
  const { message } = await bench.keep(["a@x.test"], false, {
    recipients: [{ mailbox: mailbox("a@x.test"), parameters: {} }],
  });
  const runner = bench.runner({ rules: { warnAfter: 2 * HOUR } });
  runner.start();
  await bench.time.run(2 * HOUR - SECOND);
  assert.deepEqual(bench.reported, []);
  await bench.time.run(2 * SECOND);
  assert.deepEqual(bench.reported, ["a delayed"]);
  assert.equal((await bench.plain.get(message.id))?.recipients[0]?.warned, true);
  await bench.time.run(2 * HOUR);
  assert.deepEqual(bench.reported, ["a delayed"]);
  await bench.time.run(HOUR);
  assert.deepEqual(bench.reported, ["a delayed", "a 4.4.7"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("renewed waits count from the next conclusion on, also for the delay that is told of", async () => {
  const bench = new Bench();
  const tried: number[] = [];
  bench.answer = (job) => {
    if (job.destination === "x.test") tried.push(bench.time.clock.now() - job.message.receivedAt);
    return [job.destination === "sender.test" ? DELIVERED : deferred("recipient")];
  };
  await bench.keep(["a@x.test"], false, { recipients: [{ mailbox: mailbox("a@x.test"), parameters: {} }] });
  const fixed = (wait: number) => ({ first: wait, longest: wait, spread: 0 });
  const runner = bench.runner({ rules: { ...fixed(HOUR), warnAfter: 100 * HOUR } });
  runner.start();
  await bench.time.run(SECOND);
  runner.renew({ rules: { ...fixed(MINUTE), warnAfter: HOUR } });
  await bench.time.run(HOUR + 3 * MINUTE);
  assert.deepEqual(bench.reported, ["a delayed"]);
  assert.deepEqual(
    tried.map((at) => Math.round(at / MINUTE)),
    [0, 60, 61, 62, 63],
  );
  runner.renew({ rules: fixed(MINUTE), exceptions: [{ match: "x.test", reply: null, schedule: [HOUR] }] });
  await bench.time.run(30 * MINUTE);
  assert.equal(tried.length, 6);
  await runner.stop(0);
});

test("mail to be returned when it is late is not tried any more then (RFC 2852 §4.1.3)", async () => {
  const bench = new Bench();
  const tried: number[] = [];
  bench.answer = (job) => {
    if (job.destination === "x.test") tried.push(bench.time.clock.now() - job.message.receivedAt);
    return [job.destination === "sender.test" ? DELIVERED : deferred("recipient")];
  };
  const expiresAt = later(bench.time.clock.now(), HOUR);
  await bench.keep(["a@x.test"], false, { expiresAt, parameters: { by: { ...TIMED, mode: "R" } } });
  const runner = bench.runner();
  runner.start();
  await bench.time.run(HOUR + SECOND);
  assert.ok(tried.length > 2 && tried.every((at) => at < HOUR), tried.join());
  assert.deepEqual(bench.reported, ["a 5.4.7"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("mail for later is tried when it is released, whether it was offered or found (RFC 4865 §4.2)", async () => {
  const bench = new Bench();
  const runner = bench.runner();
  runner.start();
  await bench.time.run(0);
  const parameters = { hold: { for: 5400 } };
  assert.equal(runner.offer(await bench.keep(["a@x.test"], true, { parameters })), false);
  await bench.time.run(90 * MINUTE - SECOND);
  assert.deepEqual(bench.jobs, []);
  await bench.time.run(SECOND);
  assert.deepEqual(bench.jobs, ["a@x.test"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});

test("urgent mail is delivered before the rest of what waits for a destination", async () => {
  const bench = new Bench();
  bench.answer = bench.slow;
  for (const [name, priority] of [
    ["plain", 0],
    ["bulk", -5],
    ["urgent", 7],
  ] as const) {
    await bench.keep([`${name}@x.test`], false, { parameters: { priority } });
  }
  const runner = bench.runner({ limits: { destinationStart: 1, destinationMost: 1 } });
  runner.start();
  await bench.time.run(MINUTE);
  assert.deepEqual(bench.jobs, ["urgent@x.test", "plain@x.test", "bulk@x.test"]);
  await runner.stop(0);
});

test("a success that was asked for is reported; its report is not waited for when it cannot be made", async () => {
  const bench = new Bench();
  const recipients = [{ mailbox: mailbox("a@x.test"), parameters: { notify: ["SUCCESS"] as const } }];
  const runner = bench.runner();
  runner.start();
  runner.offer(await bench.keep(["a@x.test"], true, { recipients }));
  await bench.time.run(0);
  assert.deepEqual(bench.reported, ["a delivered"]);
  assert.deepEqual(bench.jobs, ["a@x.test", "s@sender.test"]);
  bench.reportFails = true;
  runner.offer(await bench.keep(["a@x.test"], true, { recipients }));
  await bench.time.run(0);
  assert.deepEqual(bench.logged, ["queue.report.broke"]);
  assert.equal(await bench.messages(), 0);
  await runner.stop(0);
});
