import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import fc from "fast-check";
import { Claims } from "../claims.ts";
import { Due } from "./due.ts";
import type { DuePlace } from "./protocol.ts";
import { prepareSchema } from "./schema.ts";

interface Waiting {
  readonly message: number;
  readonly place: number;
  readonly priority: number;
  readonly at: number;
  readonly domain: string;
}

function queueOf(waiting: readonly Waiting[]): DatabaseSync {
  const database = new DatabaseSync(":memory:");
  prepareSchema(database);
  const addMessage = database.prepare(
    "INSERT OR IGNORE INTO message (id, received_at, expires_at, size, held, parameters, origin) VALUES (?, 0, 9, 1, 0, '{}', '{}')",
  );
  const addRecipient = database.prepare(
    `INSERT INTO recipient (message, place, local_part, domain, parameters, state, attempts, next_attempt, priority)
      VALUES (?, ?, 'u', ?, '{}', 0, 0, ?, ?)`,
  );
  for (const { message, place, domain, at, priority } of waiting) {
    addMessage.run(message);
    addRecipient.run(message, place, domain, at, priority);
  }
  return database;
}

/** Asks until there is no more or enough; the places claimed in their order, and what each turn was asked. */
function claimAll(
  due: Due,
  query: { readonly now: number; readonly limit: number; readonly except: readonly string[]; readonly only?: string[] },
) {
  const claimed: string[] = [];
  const turns: (DuePlace | null)[] = [];
  let from: DuePlace | null = null;
  do {
    turns.push(from);
    const part = due.claim({ op: "claimDue", only: null, ...query, limit: query.limit - claimed.length, from });
    for (const { message, recipients } of part.claimed) {
      const found = message.recipients.map(({ index }) => index).sort();
      assert.deepEqual(found, [...recipients].sort(), "those that are claimed, and no others");
      claimed.push(...recipients.map((place) => `${message.id}/${place}`));
    }
    from = part.next;
  } while (from !== null && claimed.length < query.limit);
  return { claimed, turns };
}

const waitingRows = fc.uniqueArray(
  fc.record({
    message: fc.integer({ min: 1, max: 12 }),
    place: fc.integer({ min: 0, max: 3 }),
    priority: fc.constantFrom(-9, 0, 0, 0, 4),
    at: fc.integer({ min: 0, max: 6 }),
    domain: fc.constantFrom("a.test", "b.test", "c.test"),
  }),
  { selector: ({ message, place }) => `${message}/${place}`, maxLength: 40 },
);

test("however many turns it takes, the same recipients are claimed as in one", () => {
  const query = fc.record({
    now: fc.integer({ min: 0, max: 6 }),
    limit: fc.integer({ min: 1, max: 40 }),
    domains: fc.subarray(["a.test", "b.test", "c.test", "d.test"]),
    isOnly: fc.boolean(),
  });
  fc.assert(
    fc.property(waitingRows, query, fc.integer({ min: 1, max: 7 }), (waiting, given, passed) => {
      const { now, limit, domains, isOnly } = given;
      const due = waiting.filter(({ at, domain }) => at <= now && domains.includes(domain) === isOnly);
      const turnOf = ({ priority, at }: Waiting) => [-priority, at] as const;
      const order = due.map(turnOf).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      using database = queueOf(waiting);
      const claims = new Claims<number>();
      const { claimed } = claimAll(new Due(database, claims, passed), {
        now,
        limit,
        except: isOnly ? [] : domains,
        ...(isOnly && { only: domains }),
      });
      assert.equal(new Set(claimed).size, Math.min(limit, due.length), "as many as there are, none twice");
      const taken = waiting.filter(({ message, place }) => claims.has(message, place));
      const ranks = taken.map(turnOf).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      assert.deepEqual(ranks, order.slice(0, limit), "those whose turn it is");
    }),
  );
});

test("a turn passes over a bounded part of what is crowded, and healthy mail behind it is found", () => {
  const crowded = Array.from({ length: 95 }, (_, n) => ({
    message: n + 1,
    place: 0,
    priority: 0,
    at: n,
    domain: "a.test",
  }));
  const healthy = { message: 200, place: 0, priority: 0, at: 500, domain: "b.test" };
  using database = queueOf([...crowded, healthy]);
  const due = new Due(database, new Claims(), 10);
  const { claimed, turns } = claimAll(due, { now: 1000, limit: 5, except: ["a.test"] });
  assert.equal(claimed.length, 1);
  assert.deepEqual(
    turns.map((from) => from?.message ?? null),
    [null, 10, 20, 30, 40, 50, 60, 70, 80, 90],
  );
});
