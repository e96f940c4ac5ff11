import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok, unwrap } from "../base/index.ts";
import { reply } from "../smtp/index.ts";
import { fakeClock } from "../testing/index.ts";
import { type ClientSession, createPool, type RecipientResult, wasDead } from "./index.ts";

interface FakeSession extends ClientSession {
  /** The server closes it. */
  vanish(): void;
  /** It is of no use any more, and nobody is told. */
  spoil(): void;
  transactions: number;
  quits: number;
}

function fakeSession(): FakeSession {
  const listeners: (() => void)[] = [];
  let usable = true;
  const vanish = (): void => {
    usable = false;
    for (const listener of listeners.splice(0)) listener();
  };
  const session: FakeSession = {
    greeting: reply(220, null, "mx.test"),
    extensions: new Map(),
    tls: null,
    transactions: 0,
    quits: 0,
    get usable() {
      return usable;
    },
    send: () => Promise.resolve([]),
    quit() {
      session.quits++;
      vanish();
      return Promise.resolve();
    },
    destroy: vanish,
    onClose: (listener) => void listeners.push(listener),
    vanish,
    spoil: () => {
      usable = false;
    },
  };
  return session;
}

function opener(): {
  readonly made: FakeSession[];
  readonly open: () => Promise<ReturnType<typeof ok<ClientSession>>>;
} {
  const made: FakeSession[] = [];
  return {
    made,
    open() {
      const session = fakeSession();
      made.push(session);
      return Promise.resolve(ok<ClientSession>(session));
    },
  };
}

test("an idle session that is of no use any more is given to nobody, also when nobody was told", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  unwrap(await pool.lease("a", open)).release();
  made[0]?.spoil();
  const second = unwrap(await pool.lease("a", open));
  assert.equal(second.reused, false);
  assert.equal(second.session, made[1]);
});

test("a released session serves the next message to the same key, and no other key", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  const first = unwrap(await pool.lease("a", open));
  assert.equal(first.reused, false);
  first.release();
  assert.equal(pool.idle, 1);
  const other = unwrap(await pool.lease("b", open));
  assert.equal(other.reused, false);
  const second = unwrap(await pool.lease("a", open));
  assert.equal(second.reused, true);
  assert.equal(second.session, first.session);
  assert.equal(made.length, 2);
  const third = unwrap(await pool.lease("a", open));
  assert.notEqual(third.session, second.session);
});

test("a session that died idle is never handed out", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  unwrap(await pool.lease("a", open)).release();
  made[0]?.vanish();
  assert.equal(pool.idle, 0);
  assert.equal(unwrap(await pool.lease("a", open)).reused, false);
});

test("an unusable session is not taken back", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  const lease = unwrap(await pool.lease("a", open));
  made[0]?.vanish();
  lease.release();
  assert.equal(pool.idle, 0);
});

test("fresh passes idle sessions over", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  unwrap(await pool.lease("a", open)).release();
  assert.equal(unwrap(await pool.lease("a", open, { fresh: true })).reused, false);
  assert.equal(made.length, 2);
  assert.equal(pool.idle, 1);
});

test("idle sessions get QUIT after the idle timeout, counted anew after each use", async () => {
  const time = fakeClock();
  const pool = createPool({ clock: time.clock, idleTimeout: 1000 });
  const { made, open } = opener();
  unwrap(await pool.lease("a", open)).release();
  time.advance(900);
  const lease = unwrap(await pool.lease("a", open));
  time.advance(5000);
  assert.equal(made[0]?.quits, 0);
  lease.release();
  time.advance(999);
  assert.equal(made[0]?.quits, 0);
  time.advance(1);
  assert.equal(made[0]?.quits, 1);
  assert.equal(pool.idle, 0);
  assert.equal(time.pending, 0);
});

test("no more idle sessions than allowed, for a key and in all", async () => {
  const pool = createPool({ clock: fakeClock().clock, maxIdlePerKey: 2, maxIdle: 3 });
  const { made, open } = opener();
  const leases = [];
  for (const key of ["a", "a", "a", "b", "c"]) leases.push(unwrap(await pool.lease(key, open)));
  for (const lease of leases) lease.release();
  assert.equal(pool.idle, 3);
  assert.deepEqual(
    made.map(({ quits }) => quits),
    [1, 0, 1, 0, 0],
  );
});

test("a session is worn out after its transactions", async () => {
  const pool = createPool({ clock: fakeClock().clock, maxTransactions: 2 });
  const { made, open } = opener();
  const lease = unwrap(await pool.lease("a", open));
  const worn = made[0];
  assert.ok(worn !== undefined);
  worn.transactions = 2;
  lease.release();
  assert.equal(worn.quits, 1);
  assert.equal(pool.idle, 0);
});

test("a problem of opening is handed on and nothing is kept", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const failed = await pool.lease("a", () => Promise.resolve(err({ kind: "tlsNotOffered" } as const)));
  assert.deepEqual(failed, { ok: false, error: { kind: "tlsNotOffered" } });
  assert.equal(pool.idle, 0);
});

test("closing quits the idle ones at once and the others when they come back", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  const out = unwrap(await pool.lease("a", open));
  unwrap(await pool.lease("b", open)).release();
  await pool.close();
  assert.deepEqual(
    made.map(({ quits }) => quits),
    [0, 1],
  );
  out.release();
  assert.equal(made[0]?.quits, 1);
  assert.equal(pool.idle, 0);
});

test("a lease is released once", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const lease = unwrap(await pool.lease("a", opener().open));
  lease.release();
  assert.throws(() => lease.release());
});

test("dead before the first reply, or not", () => {
  const no = (code: number, stage: "mail" | "rcpt"): RecipientResult => ({
    kind: "refused",
    stage,
    reply: reply(code, null),
  });
  const broken = (stage: "mail" | "rcpt" | "reset", uncertain = false): RecipientResult => {
    return { kind: "broken", problem: { kind: "closed", stage }, uncertain };
  };
  const aborted = { kind: "network", stage: "mail", problem: { kind: "aborted", detail: "" } } as const;
  assert.equal(wasDead([broken("mail"), broken("mail")]), true);
  assert.equal(wasDead([broken("reset")]), true);
  assert.equal(wasDead([no(421, "mail")]), true);
  assert.equal(wasDead([no(451, "mail")]), false);
  assert.equal(wasDead([no(421, "rcpt")]), false);
  assert.equal(wasDead([broken("rcpt")]), false);
  assert.equal(wasDead([broken("mail", true)]), false);
  assert.equal(wasDead([broken("mail"), no(550, "rcpt")]), false);
  assert.equal(wasDead([{ kind: "broken", problem: aborted, uncertain: false }]), false);
  assert.equal(wasDead([]), false);
});

test("a lease may wear a session out sooner than the pool would", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  for (let n = 0; n < 4; n++) {
    const lease = unwrap(await pool.lease("a", open, { maxTransactions: 2 }));
    const session = made.at(-1);
    assert.ok(session !== undefined);
    session.transactions++;
    lease.release();
  }
  assert.deepEqual([made.length, pool.idle], [2, 0]);
});

test("an idle session of another key makes place where a host takes only so many connections", async () => {
  const pool = createPool({ clock: fakeClock().clock });
  const { made, open } = opener();
  const host = { name: "mx.test 25", connections: 2 };
  const lease = async (key: string, of: typeof host) => unwrap(await pool.lease(key, open, { host: of }));
  for (const key of ["a", "b"]) (await lease(key, host)).release();
  (await lease("elsewhere", { ...host, name: "other.test 25" })).release();
  assert.equal(pool.idle, 3);
  const held = await lease("c", host);
  assert.deepEqual(
    made.map(({ usable }) => usable),
    [false, true, true, true],
  );
  held.release();
  (await lease("b", host)).release();
  assert.equal(made.length, 4);
});

test("a new connection to a limited host waits for the goodbye of a worn-out one, and counts those that are just being opened", async () => {
  const time = fakeClock();
  const pool = createPool({ clock: time.clock });
  const { made, open } = opener();
  const host = { name: "mx.test 25", connections: 2 };
  const lease = async (key: string) => unwrap(await pool.lease(key, open, { host, maxTransactions: 1 }));
  const [first, second] = [await lease("a"), await lease("b")];
  const goodbye = Promise.withResolvers<void>();
  for (const session of made) {
    session.transactions++;
    session.quit = async () => {
      await goodbye.promise;
      session.vanish();
    };
  }
  first.release();
  second.release();
  const asked = [lease("a"), lease("b")];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(made.length, 2, "the server still has both");
  goodbye.resolve();
  await Promise.all(asked);
  assert.equal(made.length, 4);

  const idle = createPool({ clock: time.clock });
  for (const key of ["a", "b"]) unwrap(await idle.lease(key, open, { host })).release();
  const opened = Promise.withResolvers<Awaited<ReturnType<typeof open>>>();
  const both = ["c", "d"].map((key) => idle.lease(key, () => opened.promise, { host }));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(idle.idle, 0, "each of the two needs a place of its own");
  opened.resolve(await open());
  await Promise.all(both);

  // The only connection goes while its place is waited for: the one that takes it is still counted.
  const narrow = { ...host, connections: 1 };
  const alone = createPool({ clock: time.clock });
  const worn = async (key: string): Promise<() => void> => {
    const lent = unwrap(await alone.lease(key, open, { host: narrow, maxTransactions: 1 }));
    const session = made.at(-1);
    assert.ok(session !== undefined);
    const gone = Promise.withResolvers<void>();
    session.transactions++;
    session.quit = () => gone.promise.then(() => session.vanish());
    lent.release();
    return gone.resolve;
  };
  const before = made.length;
  let leave = await worn("a");
  for (const key of ["b", "c"]) {
    const next = worn(key);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(made.length, before + (key === "b" ? 1 : 2));
    leave();
    leave = await next;
  }
});
