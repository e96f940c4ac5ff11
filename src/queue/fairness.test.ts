// Mail for healthy destinations beside mail for sick ones: who holds which part of what is shared. Nothing here is a matter of speed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, HOUR, later, MINUTE, SECOND } from "../base/index.ts";
import { fakeClock } from "../testing/index.ts";
import { DELIVERED, mailbox, newMessage } from "./conformance-kit.ts";
import type { DeliveryJob } from "./deliverer.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { Outcome, QueuedMessage } from "./model.ts";
import { createRunner, type RunnerOptions } from "./runner.ts";
import type { AcceptedMessage } from "./store.ts";

type Answer = (job: DeliveryJob, signal: AbortSignal) => readonly Outcome[] | Promise<readonly Outcome[]>;

function bench(answer: Answer, options: Partial<RunnerOptions> = {}) {
  const time = fakeClock();
  const store = createMemoryStore({ clock: time.clock });
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const jobs: string[] = [];
  const runner = createRunner({
    store,
    deliverer: {
      destination: ({ domain }) => domain,
      async deliver(job, signal) {
        const { destination } = job;
        jobs.push(`${job.message.reversePath?.localPart}>${destination}`);
        const now = (running.get(destination) ?? 0) + 1;
        running.set(destination, now);
        most.set(destination, Math.max(now, most.get(destination) ?? 0));
        try {
          return await answer(job, signal);
        } finally {
          running.set(destination, (running.get(destination) ?? 1) - 1);
        }
      },
    },
    reporter: { report: () => assert.fail("nothing is to be reported") },
    clock: time.clock,
    random: { next: () => 0.5 },
    ...options,
  });
  const keep = async (domains: readonly string[], sender: string, claim: boolean): Promise<AcceptedMessage> => {
    const to = domains.map((domain, n) => `r${n}@${domain}`);
    await using draft = store.createDraft();
    draft.append(encodeUtf8("body"));
    const receivedAt = time.clock.now();
    const changes = {
      receivedAt,
      expiresAt: later(receivedAt, 5 * HOUR),
      reversePath: mailbox(`${sender}@sender.test`),
      recipients: to.map((text) => ({ mailbox: mailbox(text), parameters: { notify: ["NEVER"] as const } })),
    };
    return await draft.keep(newMessage(draft.id, 4, to, changes), { claim });
  };
  const offer = async (domain: string, sender = "bulk"): Promise<boolean> =>
    runner.offer(await keep([domain], sender, true));
  return { time, store, runner, keep, offer, jobs, most };
}

const stuck: Answer = (job, signal) =>
  new Promise((resolve) => {
    const outcome: Outcome = {
      kind: "deferred",
      scope: "connection",
      problem: { text: "slow", reply: null, status: "4.4.2" },
      hop: null,
    };
    signal.addEventListener("abort", () => resolve(job.recipients.map(() => outcome)));
  });

test("10,000 messages for a tar-pit and 10,000 for a fast host: the tar-pit holds its share, the fast ones all go", async () => {
  const { time, store, runner, offer, jobs, most } = bench((job, signal) =>
    job.destination === "tar.test" ? stuck(job, signal) : job.recipients.map(() => DELIVERED),
  );
  runner.start();
  await time.run(0);
  for (let n = 0; n < 10_000; n++) {
    await offer("tar.test");
    await offer("fast.test");
    if (n % 500 === 0) await time.run(0);
  }
  await time.run(MINUTE);
  assert.equal(jobs.filter((job) => job === "bulk>fast.test").length, 10_000);
  assert.ok((most.get("tar.test") ?? 0) <= 20, `${most.get("tar.test")} slots of the tar-pit`);
  const { delivering, claimed } = runner.stats();
  assert.equal(delivering, most.get("tar.test"));
  assert.ok(claimed <= 2000, `${claimed} of the tar-pit in hand`);
  assert.equal((await store.counts()).recipients, 10_000);
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

/** How mail for tar-pits and for the fast host stands in the queue. Each message is a list of recipient domains. */
const PILES: Readonly<
  Record<string, (tarpits: readonly string[], messages: number) => readonly (readonly string[])[]>
> = {
  "before the other": (tarpits, messages) => [
    ...Array.from({ length: messages }, (_, n) => [tarpits[n % tarpits.length] ?? ""]),
    ...Array.from({ length: messages }, () => ["fast.test"]),
  ],
  "in the same messages": (tarpits, messages) =>
    Array.from({ length: messages }, (_, n) => [tarpits[n % tarpits.length] ?? "", "fast.test"]),
  "before the other, many recipients each": (tarpits, messages) => [
    ...Array.from({ length: messages / 8 }, (_, n) => Array(8).fill(tarpits[n % tarpits.length] ?? "")),
    ...Array.from({ length: messages }, () => ["fast.test"]),
  ],
};

for (const [pile, make] of Object.entries(PILES)) {
  for (const state of ["just accepted", "found at a start"]) {
    test(`twenty tar-pits, their mail ${pile}, ${state}: the fast host waits for none of them`, async () => {
      const answer: Answer = async (job, signal) => {
        if (job.destination !== "fast.test") return await stuck(job, signal);
        await new Promise<void>((resolve) => void time.clock.after(10, resolve));
        return job.recipients.map(() => DELIVERED);
      };
      const { time, runner, keep, jobs, most } = bench(answer, { limits: { window: 2000, domainWindow: 400 } });
      const tarpits = Array.from({ length: 20 }, (_, n) => `tar${n}.test`);
      const isLive = state === "just accepted";
      if (isLive) runner.start();
      for (const [n, domains] of make(tarpits, 4000).entries()) {
        const accepted = await keep(domains, "bulk", isLive);
        if (isLive) runner.offer(accepted);
        if (isLive && n % 100 === 0) await time.run(10);
      }
      runner.start();
      const begun = time.clock.now();
      const went = (): number => jobs.filter((job) => job === "bulk>fast.test").length;
      while (went() < 4000 && time.clock.now() - begun < MINUTE) await time.run(50);
      // Twenty at a time, 10 ms each: two seconds where nothing stands in their way.
      const took = time.clock.now() - begun;
      assert.ok(took <= 2.5 * SECOND, `${went()} of 4,000 went in ${took / SECOND} s`);
      for (const tarpit of tarpits) assert.ok((most.get(tarpit) ?? 0) >= 1, `${tarpit} has its turns, too`);
      await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
    });
  }
}

test("thousands of tar-pits with one message each leave room for a host that is known to be fast", async () => {
  const { time, runner, offer, jobs } = bench(
    (job, signal) => (job.destination.startsWith("tar") ? stuck(job, signal) : job.recipients.map(() => DELIVERED)),
    { limits: { total: 40, window: 1000, domainWindow: 200 } },
  );
  runner.start();
  await time.run(0);
  await offer("fast.test");
  await time.run(0);
  for (let n = 0; n < 3000; n++) await offer(`tar${n}.test`);
  await time.run(MINUTE);
  assert.ok(runner.stats().claimed >= 800, "the tar-pits fill what they may");
  for (let n = 0; n < 100; n++) assert.equal(await offer("fast.test"), true);
  await time.run(0);
  assert.equal(jobs.filter((job) => job === "bulk>fast.test").length, 101);
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

test("mail that comes due behind thousands of dead domains goes, where its host is known to be fast", async () => {
  const { time, store, runner, keep, offer, jobs } = bench(
    (job, signal) => (job.destination.startsWith("tar") ? stuck(job, signal) : job.recipients.map(() => DELIVERED)),
    { limits: { total: 40, window: 1000, domainWindow: 200 } },
  );
  runner.start();
  await time.run(0);
  await offer("fast.test");
  await time.run(0);
  for (let n = 0; n < 3000; n++) await keep([`tar${n}.test`], "bulk", false);
  await time.run(1);
  for (let n = 0; n < 300; n++) await keep(["fast.test"], "bulk", false);
  runner.poke();
  await time.run(10 * SECOND);
  assert.equal(jobs.filter((job) => job === "bulk>fast.test").length, 301);
  assert.ok(runner.stats().claimed <= 1000);
  assert.equal((await store.counts()).recipients, 3000);
  assert.equal(await offer("fast.test"), true, "and there is room for what is just accepted");
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

test("fifty tar-pits leave room in the window, and slots for those that answer", async () => {
  const { time, runner, offer, jobs } = bench(
    (job, signal) => (job.destination.startsWith("tar") ? stuck(job, signal) : job.recipients.map(() => DELIVERED)),
    { limits: { total: 40, window: 1000, domainWindow: 200 } },
  );
  runner.start();
  await time.run(0);
  await offer("fast.test");
  await time.run(0);
  for (let n = 0; n < 50; n++) for (let m = 0; m < 40; m++) await offer(`tar${n}.test`);
  const { claimed, delivering } = runner.stats();
  assert.ok(claimed <= 850, `${claimed} in hand`);
  assert.ok(delivering <= 30, `${delivering} slots`);
  for (let n = 0; n < 100; n++) assert.equal(await offer("fast.test"), true);
  await time.run(0);
  assert.equal(jobs.filter((job) => job === "bulk>fast.test").length, 101);
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

test("bodies of mail for a tar-pit leave memory to mail for a host that is known to be fast", async () => {
  let isFast = true;
  const { time, runner, offer } = bench(
    (job, signal) =>
      job.destination === "tar.test" || !isFast ? stuck(job, signal) : job.recipients.map(() => DELIVERED),
    { limits: { memory: 400 } },
  );
  runner.start();
  await time.run(0);
  await offer("fast.test");
  await time.run(0);
  for (let n = 0; n < 500; n++) assert.equal(await offer("tar.test"), true);
  assert.equal(runner.stats().octets, 300);
  isFast = false;
  for (let n = 0; n < 50; n++) assert.equal(await offer("fast.test"), true);
  assert.equal(runner.stats().octets, 400);
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

test("one message is not behind the ten thousand of another sender for the same destination", async () => {
  const { time, runner, offer, jobs } = bench(async (job) => {
    await new Promise<void>((resolve) => void time.clock.after(SECOND, resolve));
    return job.recipients.map(() => DELIVERED);
  });
  runner.start();
  await time.run(0);
  for (let n = 0; n < 10_000; n++) await offer("x.test");
  assert.equal(await offer("x.test", "single"), true);
  await time.run(3 * SECOND);
  assert.ok(jobs.includes("single>x.test"), `${jobs.length} went before`);
  await Promise.all([runner.stop(SECOND), time.run(10 * SECOND)]);
});

test("what had no room at its destination is claimed as soon as there is some, and all of it arrives once", async () => {
  const { time, store, runner, offer, jobs } = bench((job) => job.recipients.map(() => DELIVERED), {
    limits: { total: 2, window: 100, domainWindow: 10, destinationStart: 1, destinationMost: 1 },
  });
  for (let n = 0; n < 300; n++) await offer(`x${n % 3}.test`);
  runner.start();
  await time.run(5 * SECOND);
  assert.equal(jobs.length, 300);
  assert.equal((await store.counts()).messages, 0);
  await runner.stop(0);
});

test("mail without a turn counts no attempt, tells no story, and comes when its turn does", async () => {
  let turns = 0;
  const { time, store, runner, offer, jobs } = bench((job) => {
    turns++;
    if (turns > 2) return job.recipients.map(() => DELIVERED);
    const turnAt = later(time.clock.now(), 10 * SECOND);
    const problem = { text: "no turn", reply: null, status: "4.4.5" };
    return job.recipients.map(() => ({ kind: "deferred", scope: "connection", problem, hop: null, turnAt }));
  });
  runner.start();
  await time.run(0);
  await offer("x.test");
  await offer("x.test", "other");
  await time.run(5 * SECOND);
  const [first] = await store.list({ limit: 1 });
  assert.equal(first?.recipients[0]?.attempts, 0);
  assert.equal((await store.story(first?.id ?? (assert.fail() as QueuedMessage["id"]))).length, 1);
  await time.run(30 * SECOND);
  assert.equal((await store.counts()).messages, 0);
  assert.equal(jobs.length, 4);
  await runner.stop(0);
});

test("a rate is kept over a queue of mail, and little of it is in hand", async () => {
  const limit = { messagesPerMinute: 6, connections: null, messagesPerConnection: null };
  const { time, runner, offer, jobs } = bench((job) => job.recipients.map(() => DELIVERED), {
    limitOf: () => limit,
  });
  runner.start();
  await time.run(0);
  for (let n = 0; n < 100; n++) await offer("x.test");
  assert.ok(runner.stats().claimed <= 6);
  for (let minute = 1; minute <= 5; minute++) {
    await time.run(MINUTE);
    assert.ok(jobs.length <= 6 * minute + 1 && jobs.length >= 6 * minute - 1, `${jobs.length} in ${minute} minutes`);
  }
  await runner.stop(0);
});

test("exceptions decide when mail is tried again and when it is given up, by domain and reply", async () => {
  const times = new Map<string, number[]>();
  const begin = fakeClock().clock.now();
  const reply = { code: 451, status: null, lines: ["greylisted"] };
  const problem = { text: "later", reply, status: "4.7.1" };
  const { time, store, runner, offer } = bench(
    (job) => {
      const seen = times.get(job.destination) ?? [];
      times.set(job.destination, [...seen, time.clock.now() - begin]);
      return job.recipients.map(() => ({ kind: "deferred", scope: "recipient", problem, hop: null }));
    },
    {
      rules: { first: 10 * MINUTE, longest: HOUR, giveUpAfter: 5 * HOUR },
      exceptions: [
        { match: "grey.test", reply: "4.7.*", schedule: [MINUTE, 2 * MINUTE] },
        { match: "short.test", reply: null, giveUpAfter: 25 * MINUTE },
      ],
    },
  );
  runner.start();
  for (const domain of ["grey.test", "short.test", "plain.test"]) await offer(domain);
  await time.run(HOUR);
  const minutes = (domain: string) => times.get(domain)?.map((each) => Math.round(each / MINUTE));
  assert.deepEqual(minutes("grey.test")?.slice(0, 4), [0, 1, 3, 5]);
  assert.deepEqual(minutes("plain.test"), [0, 10, 30]);
  assert.deepEqual(minutes("short.test"), [0, 10, 25]);
  assert.equal((await store.list({ limit: 9, address: "@short.test" })).length, 0);
  await runner.stop(0);
});
