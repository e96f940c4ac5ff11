import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { DAY, HOUR, instant, MINUTE, SECOND, silentLog, unwrap } from "../base/index.ts";
import type { MessageSink, Transaction } from "../server/index.ts";
import { parseMailbox, type Reply, reply } from "../smtp/index.ts";
import { type FakeClock, fakeClock } from "../testing/index.ts";
import type { Account, SendingLimits } from "./credential-source.ts";
import { openSendingFile, type SendingFile } from "./sending-file.ts";
import { createSendingLimiter, type SendingLimiter, type SendingSession } from "./sending-limits.ts";
import { SlidingCount } from "./sliding-count.ts";

const NONE: SendingLimits = {
  messages_per_minute: 0,
  messages_per_hour: 0,
  messages_per_day: 0,
  recipients_per_minute: 0,
  recipients_per_hour: 0,
  recipients_per_day: 0,
  new_recipients_per_day: 0,
  message_size: 0,
  sessions: 0,
};

let folder: string;
let time: FakeClock;
let accounts: Map<string, Account>;
let files: SendingFile[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sending-"));
  time = fakeClock(instant(Date.UTC(2026, 10, 22)));
  accounts = new Map();
  for (const name of ["anna", "bob"]) accounts.set(name, { byName: true, grants: [], limits: {} });
  files = [];
});

afterEach(() => {
  for (const file of files) {
    try {
      file.close();
    } catch {} // The limiter has closed it.
  }
  rmSync(folder, { recursive: true });
});

function limiter(users: Partial<SendingLimits>, addresses: Partial<SendingLimits> = {}): SendingLimiter {
  const file = openSendingFile(join(folder, "limits.sqlite"));
  files.push(file);
  return createSendingLimiter({
    accounts: { account: (identity) => accounts.get(identity) ?? null },
    users: () => ({ ...NONE, ...users }),
    addresses: () => ({ ...NONE, ...addresses }),
    file,
    clock: time.clock,
    log: silentLog,
  });
}

async function session(from: SendingLimiter, identity = "anna", address = "192.0.2.1"): Promise<SendingSession> {
  const begun = from.begin({
    sessionId: "s1",
    peer: { address, port: 40_000 },
    local: { address: "192.0.2.25", port: 587 },
    tls: null,
  });
  assert.equal((await begun.admit(identity))?.code, undefined);
  return begun;
}

const TAKEN = reply(250, "2.0.0", "Taken");
const LATER = reply(451, "4.3.0", "Later");

function transaction(recipients: readonly string[]): Transaction {
  return {
    hello: { verb: "EHLO", name: "client.test" },
    identity: "anna",
    reversePath: null,
    parameters: {},
    recipients: recipients.map((recipient) => ({ recipient: unwrap(parseMailbox(recipient)), parameters: {} })),
  };
}

/** Sends one message: the code of the first refusal, else that of the end. */
async function send(by: SendingSession, recipients = ["x@there.test"], answer: Reply = TAKEN): Promise<number> {
  const refused = by.mail(undefined);
  if (refused !== null) return refused.code;
  for (const recipient of recipients) {
    const no = by.recipient(unwrap(parseMailbox(recipient)));
    if (no !== null) return no.code;
  }
  const sink = by.message({ write() {}, finish: () => answer, abort() {} }, transaction(recipients));
  const end = await sink.finish();
  return "code" in end ? end.code : 0;
}

test("a sliding count holds each event for its window, and tells when there is room", () => {
  const count = new SlidingCount(HOUR);
  count.add(instant(0), 2);
  count.add(instant(30 * MINUTE), 3);
  assert.equal(count.total(instant(HOUR)), 5);
  assert.equal(count.fallsTo(4, instant(30 * MINUTE)), HOUR + MINUTE);
  assert.equal(count.fallsTo(2, instant(30 * MINUTE)), 90 * MINUTE + MINUTE);
  assert.equal(count.fallsTo(5, instant(30 * MINUTE)), 30 * MINUTE);
  assert.equal(count.total(instant(HOUR + MINUTE)), 3);
  assert.equal(count.total(instant(3 * HOUR)), 0);
  for (let i = 0; i < 10_000; i++) count.add(instant(4 * HOUR + i * 500), 1);
  assert.ok(count.slots.length <= 62, "memory is bounded");
  count.add(instant(0), 1);
  assert.equal(count.total(instant(0)), 1, "a clock set far back forgets what lies ahead");
});

for (const [limit, window, recipients] of [
  ["messages_per_minute", MINUTE, ["x@there.test", "y@there.test", "z@there.test"]],
  ["messages_per_hour", HOUR, ["x@there.test"]],
  ["messages_per_day", DAY, ["x@there.test"]],
  ["recipients_per_minute", MINUTE, ["x@there.test"]],
  ["recipients_per_hour", HOUR, ["x@there.test"]],
  ["recipients_per_day", DAY, ["x@there.test"]],
] as const) {
  test(`${limit} refuses what is beyond it until the window has passed, to that user alone`, async () => {
    const all = limiter({ [limit]: 2 });
    const [anna, bob] = [await session(all), await session(all, "bob")];
    assert.deepEqual([await send(anna, [...recipients]), await send(anna, [...recipients])], [250, 250]);
    assert.equal(await send(anna, [...recipients]), 450);
    assert.equal(await send(await session(all, "anna", "192.0.2.9"), [...recipients]), 450, "from another address too");
    assert.equal(await send(bob, [...recipients]), 250);
    time.advance(window - SECOND);
    assert.equal(await send(anna, [...recipients]), 450);
    time.advance(window / 60 + 2 * SECOND);
    assert.equal(await send(anna, [...recipients]), 250);
  });
}

test("a refusal tells what the limit is and when to try again", async () => {
  const anna = await session(limiter({ messages_per_hour: 1, new_recipients_per_day: 1 }));
  await send(anna);
  time.advance(20 * MINUTE);
  const refusal = anna.mail(undefined);
  assert.deepEqual(refusal?.status, reply(450, "4.7.1", "").status);
  assert.match(refusal?.lines.join(" ") ?? "", /1 message an hour; try again in 41 minutes$/);
});

test("only what was taken counts, and open transactions hold their place", async () => {
  const all = limiter({ messages_per_hour: 2, recipients_per_hour: 10 });
  const [one, two] = [await session(all), await session(all)];
  assert.equal(await send(one, ["x@there.test"], LATER), 451);
  assert.equal(await send(one, ["x@there.test"], LATER), 451);
  assert.equal(await send(one), 250);
  assert.equal(one.mail(undefined), null);
  assert.equal(two.mail(undefined)?.code, 450, "the last place is held by the other");
  one.end();
  assert.equal(two.mail(undefined), null, "and free when it is gone");
  assert.equal(two.mail(undefined), null, "a new transaction gives back what the one before held");
  const sink = two.message({ write() {}, finish: () => TAKEN, abort() {} }, transaction([]));
  await sink.abort();
  assert.equal(await send(two), 250);
  assert.equal(await send(two), 450);
});

test("new recipients are those not written to within 30 days, by this user, and stay known over a restart", async () => {
  const rules = { new_recipients_per_day: 2 };
  let all = limiter(rules);
  let anna = await session(all);
  assert.equal(await send(anna, ["a@there.test", "A@There.test", "b@there.test"]), 250, "case is no other person");
  assert.equal(await send(anna, ["a@there.test", "b@there.test"]), 250);
  assert.equal(await send(anna, ["c@there.test"]), 450);
  assert.equal(await send(await session(all, "bob"), ["a@there.test", "c@there.test"]), 250, "bob counts for himself");
  all.close();
  all = limiter(rules);
  anna = await session(all);
  assert.equal(await send(anna, ["c@there.test"]), 450);
  assert.equal(await send(anna, ["a@there.test"]), 250);
  time.advance(25 * HOUR);
  assert.equal(await send(anna, ["c@there.test", "d@there.test"]), 250);
  time.advance(29 * DAY);
  assert.equal(await send(anna, ["c@there.test", "d@there.test", "e@there.test", "f@there.test"]), 250);
  time.advance(31 * DAY);
  assert.equal(await send(anna, ["c@there.test", "d@there.test", "e@there.test"]), 450, "all are new again");
});

test("what was counted outlives a restart, and several processes count together", async () => {
  const rules = { messages_per_day: 3 };
  const first = limiter(rules);
  assert.equal(await send(await session(first)), 250);
  first.close();
  const [one, two] = [limiter(rules), limiter(rules)];
  const [here, there] = [await session(one), await session(two)];
  assert.equal(await send(here), 250);
  assert.equal(await send(there), 250);
  time.advance(3 * SECOND);
  assert.deepEqual([await send(here), await send(there)], [450, 450]);
  one.close();
  two.close();
  assert.equal(await send(await session(limiter(rules))), 450, "three, and not more by being written twice");
});

test("a user's own limits count in place of those for all, at once", async () => {
  const all = limiter({ messages_per_hour: 1 });
  const anna = await session(all);
  await send(anna);
  assert.equal(await send(anna), 450);
  accounts.set("anna", { byName: true, grants: [], limits: { messages_per_hour: 3 } });
  await anna.admit("anna");
  assert.deepEqual([await send(anna), await send(anna), await send(anna)], [250, 250, 450]);
  accounts.set("anna", { byName: true, grants: [], limits: { messages_per_hour: 0 } });
  await anna.admit("anna");
  assert.equal(await send(anna), 250);
  accounts.delete("anna");
  assert.equal((await anna.admit("anna"))?.code, 550, "removed meanwhile");
});

test("an address has limits for all its users together, an IPv6 /64 being one", async () => {
  const all = limiter({}, { recipients_per_hour: 2 });
  await send(await session(all, "anna", "2001:db8::1"));
  await send(await session(all, "bob", "2001:db8::2"));
  assert.equal(await send(await session(all, "anna", "2001:db8::3")), 450);
  assert.equal(await send(await session(all, "anna", "2001:db8:0:1::3")), 250);
});

test("sessions of a user are bounded, and a place is free when one ends", async () => {
  const all = limiter({ sessions: 2 });
  const [one] = [await session(all), await session(all)];
  const third = all.begin({
    sessionId: "s3",
    peer: { address: "192.0.2.3", port: 1 },
    local: { address: "::1", port: 1 },
    tls: null,
  });
  assert.equal((await third.admit("anna"))?.code, 421);
  assert.equal(await third.admit("bob"), null);
  one?.end();
  one?.end();
  await session(all);
  assert.equal((await third.admit("anna"))?.code, 421, "an end that is told twice frees one place");
});

test("a message beyond its user's size is refused when announced, and when it turns out so", async () => {
  const anna = await session(limiter({ message_size: 100, messages_per_day: 1 }));
  assert.equal(anna.mail(101)?.code, 552);
  assert.equal(anna.mail(100), null);
  const calls: string[] = [];
  const inner: MessageSink = {
    write: (chunk) => void calls.push(`write ${chunk.length}`),
    finish: () => TAKEN,
    abort: () => void calls.push("abort"),
  };
  const sink = anna.message(inner, transaction(["x@there.test"]));
  for (const octets of [60, 40, 1, 50]) await sink.write(new Uint8Array(octets));
  const end = await sink.finish();
  assert.equal("code" in end && end.code, 552);
  assert.deepEqual(calls, ["write 60", "write 40", "abort"]);
  assert.equal(await send(anna), 250, "it did not count");
});

test("a file that is none is named, with what to do", () => {
  const path = join(folder, "limits.sqlite");
  writeFileSync(path, "not a database, and long enough to be seen as none".repeat(40));
  assert.throws(() => openSendingFile(path), { message: new RegExp(`^cannot open ${path}: .*may be deleted`) });
});

test("a message that was taken is answered so, though it cannot be counted: a refusal now would have it sent again", async () => {
  const by = await session(limiter({ messages_per_day: 5 }));
  assert.equal(by.mail(undefined), null);
  assert.equal(by.recipient(unwrap(parseMailbox("x@there.test"))), null);
  const sink: MessageSink = { write() {}, finish: () => TAKEN, abort() {} };
  const message = by.message(sink, transaction(["x@there.test"]));
  for (const file of files) file.close();
  assert.deepEqual(await message.finish(), TAKEN);
});

test("somebody else's lock on the file keeps no session waiting: what was counted is written when it is gone", async () => {
  const by = await session(limiter({ messages_per_day: 5 }));
  const other = new DatabaseSync(join(folder, "limits.sqlite"));
  const count = (): unknown => other.prepare("SELECT sum(count) AS count FROM counts").get()?.count;
  other.exec("BEGIN IMMEDIATE");
  assert.equal(await send(by), 250);
  const begun = performance.now();
  time.advance(3 * SECOND);
  assert.ok(performance.now() - begun < 1000, "the event loop stood still");
  other.exec("COMMIT");
  assert.equal(count(), null);
  time.advance(15 * SECOND);
  assert.ok(Number(count()) > 0);
  other.close();
});

test("whoever hangs up as soon as the message is whole is counted all the same", async () => {
  const all = limiter({ messages_per_day: 1 });
  const by = await session(all);
  assert.equal(by.mail(undefined), null);
  assert.equal(by.recipient(unwrap(parseMailbox("x@there.test"))), null);
  const stored = Promise.withResolvers<Reply>();
  const sink: MessageSink = { write() {}, finish: () => stored.promise, abort() {} };
  const answer = by.message(sink, transaction(["x@there.test"])).finish();
  by.end();
  assert.equal(await send(await session(all)), 450, "its place is held until the store has said what came of it");
  stored.resolve(TAKEN);
  assert.deepEqual(await answer, TAKEN);
  assert.equal(await send(await session(all)), 450);
});

test("what a session asked for before it ended holds nothing after its end", async () => {
  const asked = Promise.withResolvers<Account>();
  const file = openSendingFile(join(folder, "limits.sqlite"));
  files.push(file);
  const all = createSendingLimiter({
    accounts: { account: () => asked.promise },
    users: () => ({ ...NONE, sessions: 1, messages_per_day: 1 }),
    addresses: () => NONE,
    file,
    clock: time.clock,
    log: silentLog,
  });
  const client = { sessionId: "s1", peer: { address: "192.0.2.1", port: 1 }, local: { address: "::1", port: 1 } };
  const gone = all.begin({ ...client, tls: null });
  const admitted = gone.admit("anna");
  gone.end();
  asked.resolve({ byName: true, grants: [], limits: {} });
  assert.equal(await admitted, null);
  gone.mail(undefined);
  const next = all.begin({ ...client, tls: null });
  assert.equal(await next.admit("anna"), null);
  assert.equal(await send(next), 250);
});

test("a disk that is full is what the log says, though SQLite has ended the transaction by itself", (t) => {
  const file = openSendingFile(join(folder, "limits.sqlite"));
  files.push(file);
  const { exec } = DatabaseSync.prototype;
  t.mock.method(DatabaseSync.prototype, "exec", function (this: DatabaseSync, sql: string) {
    if (sql !== "COMMIT") return exec.call(this, sql);
    // As after SQLITE_FULL (sqlite.org, "lang_transaction", 2.3).
    exec.call(this, "ROLLBACK");
    throw new Error("database or disk is full");
  });
  assert.throws(() => file.save({ counts: [], written: [] }, time.clock.now()), /disk is full/);
});
