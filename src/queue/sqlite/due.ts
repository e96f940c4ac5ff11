import type { DatabaseSync, StatementSync } from "node:sqlite";
import { type Instant, instant } from "../../base/index.ts";
import type { Claims } from "../claims.ts";
import type { ClaimedMessage } from "../store.ts";
import { integer, messageOf, text } from "./columns.ts";
import type { Answers, DuePlace, ReadRequest } from "./protocol.ts";
import { prepareAll, type Statements } from "./statements.ts";

type ClaimRequest = Extract<ReadRequest, { op: "claimDue" }>;

/** Rows of crowded domains passed over in one turn of the thread, some 10 ms: commits wait behind it. */
const PASSED_A_TURN = 25_000;

/** Claimed places of each message. */
type Places = Map<number, number[]>;

/** What is due, in the order of its turn. Each question takes a bounded time, also where a million rows are due at once. */
export class Due {
  readonly #claims: Claims<number>;
  readonly #passedATurn: number;
  readonly #statements: Statements<keyof typeof SQL>;

  /** `passedATurn`: for tests. */
  constructor(database: DatabaseSync, claims: Claims<number>, passedATurn = PASSED_A_TURN) {
    this.#claims = claims;
    this.#passedATurn = passedATurn;
    this.#statements = prepareAll(database, SQL);
  }

  /** Claims up to the limit, or as many as one turn finds behind `from`. */
  claim(request: ClaimRequest): Answers["claimDue"] {
    const places: Places = new Map();
    const isAny = request.except.length === 0 && request.only === null;
    const next = isAny ? this.#findAny(places, request) : this.#findSome(places, request);
    const claimed = [...places].flatMap(([id, of]) => this.#claimedMessage(id, of));
    // Only now, when nothing can fail any more: a claim that the caller never hears of would hide the recipient.
    for (const [id, of] of places) for (const place of of) this.#claims.add(id, place);
    return { claimed, next };
  }

  next(): Instant | null {
    let earliest: number | null = null;
    for (const priority of this.#priorities()) {
      for (const row of this.#statements.dueTimes.iterate(priority)) {
        if (this.#claims.has(integer(row, "message"), integer(row, "place"))) continue;
        const time = integer(row, "next_attempt");
        if (earliest === null || time < earliest) earliest = time;
        break;
      }
    }
    return earliest === null ? null : instant(earliest);
  }

  /** The priorities of those who wait, highest first. */
  #priorities(): number[] {
    return this.#statements.priorities.all().map((row) => integer(row, "priority"));
  }

  /** Nothing is passed over but what is claimed, which is never much. */
  #findAny(places: Places, { now, limit }: ClaimRequest): null {
    let found = 0;
    for (const priority of this.#priorities()) {
      if (found >= limit) break;
      found += this.#collect(places, limit - found, this.#statements.due.iterate(priority, now));
    }
    return null;
  }

  /** One turn's part of one priority. Returns where the next turn begins; null when there is no more, or enough was found. */
  #findSome(places: Places, { now, limit, except, only, from }: ClaimRequest): DuePlace | null {
    const priorities = this.#priorities().filter((each) => from === null || each <= from.priority);
    const [priority, lower] = priorities;
    if (priority === undefined) return null;
    const after = from?.priority === priority ? from : beginning(priority);
    const end = this.#turnEnd(after, now);
    const { nextAttempt, ...last } = end ?? beginning(priority);
    const { dueOfOthers, dueOfSome } = this.#statements;
    const rows = (only === null ? dueOfOthers : dueOfSome).iterate({
      ...parameters(after),
      lastAttempt: end === null ? now + 1 : nextAttempt,
      lastDomain: last.domain,
      lastMessage: last.message,
      lastPlace: last.place,
      domains: JSON.stringify(only ?? except),
    });
    if (this.#collect(places, limit, rows) >= limit) return null;
    return end ?? (lower === undefined ? null : beginning(lower));
  }

  #turnEnd(after: DuePlace, now: number): DuePlace | null {
    const row = this.#statements.turnEnd.get({ ...parameters(after), now, passed: this.#passedATurn - 1 });
    if (row === undefined) return null;
    const [message, place] = [integer(row, "message"), integer(row, "place")];
    const { priority } = after;
    return { priority, nextAttempt: integer(row, "next_attempt"), domain: text(row, "domain"), message, place };
  }

  #collect(places: Places, limit: number, rows: ReturnType<StatementSync["iterate"]>): number {
    let found = 0;
    for (const row of rows) {
      const message = integer(row, "message");
      const place = integer(row, "place");
      if (this.#claims.has(message, place)) continue;
      const others = places.get(message);
      if (others === undefined) places.set(message, [place]);
      else others.push(place);
      if (++found >= limit) break;
    }
    return found;
  }

  /** With the claimed recipients alone: one that is due is no reason to hold a thousand others in memory. */
  #claimedMessage(id: number, places: readonly number[]): ClaimedMessage[] {
    const row = this.#statements.message.get(id);
    if (row === undefined) return [];
    const recipients = places
      .toSorted((a, b) => a - b)
      .flatMap((place) => {
        const recipient = this.#statements.recipient.get(id, place);
        return recipient === undefined ? [] : [recipient];
      });
    return [{ message: messageOf(row, recipients), recipients: places }];
  }
}

/** Before all that is due of a priority. */
function beginning(priority: number): DuePlace {
  return { priority, nextAttempt: -1, domain: "", message: -1, place: -1 };
}

function parameters({ priority, nextAttempt, domain, message, place }: DuePlace) {
  return { priority, nextAttempt, domain, message, place };
}

/** What is due of one priority between two places, of the domains that `condition` names. */
function dueBetween(condition: string): string {
  return `SELECT message, place FROM recipient
    WHERE state = 0 AND priority = :priority
      AND (next_attempt, domain, message, place) > (:nextAttempt, :domain, :message, :place)
      AND (next_attempt, domain, message, place) <= (:lastAttempt, :lastDomain, :lastMessage, :lastPlace)
      AND ${condition}
    ORDER BY next_attempt, domain, message, place`;
}

const SQL = {
  due: `SELECT message, place FROM recipient WHERE state = 0 AND priority = ? AND next_attempt <= ?
    ORDER BY next_attempt`,
  dueOfOthers: dueBetween("domain NOT IN (SELECT value FROM json_each(:domains))"),
  // The sign keeps the planner from looking up each of the domains: their rows are wanted in order of time.
  dueOfSome: dueBetween("+domain IN (SELECT value FROM json_each(:domains))"),
  turnEnd: `SELECT next_attempt, domain, message, place FROM recipient
    WHERE state = 0 AND priority = :priority AND next_attempt <= :now
      AND (next_attempt, domain, message, place) > (:nextAttempt, :domain, :message, :place)
    ORDER BY next_attempt, domain, message, place LIMIT 1 OFFSET :passed`,
  dueTimes: `SELECT message, place, next_attempt FROM recipient WHERE state = 0 AND priority = ?
    ORDER BY next_attempt`,
  // One look into the index for each priority that there is; DISTINCT would read all of it.
  priorities: `WITH RECURSIVE level (priority) AS (
      SELECT max(priority) FROM recipient WHERE state = 0
      UNION ALL
      SELECT (SELECT max(r.priority) FROM recipient r WHERE r.state = 0 AND r.priority < level.priority)
        FROM level WHERE level.priority IS NOT NULL)
    SELECT priority FROM level WHERE priority IS NOT NULL`,
  message: "SELECT * FROM message WHERE id = ?",
  recipient: "SELECT * FROM recipient WHERE message = ? AND place = ?",
} as const;
