import type { DatabaseSync } from "node:sqlite";
import { instant } from "../../base/index.ts";
import type { Claims } from "../claims.ts";
import type { QueuedMessage } from "../model.ts";
import { formatQueueId } from "../queue-id.ts";
import { isSelected } from "../selection.ts";
import { acceptedEntry } from "../story.ts";
import { releaseTime } from "../terms.ts";
import { finishedOf, integer, messageOf, octets, type Row, senderOf, sightOf, storyOf } from "./columns.ts";
import { Due } from "./due.ts";
import type { Answer, Answers, ReadRequest } from "./protocol.ts";
import { prepareAll, type Statements } from "./statements.ts";

/** What one turn of the thread goes through, some 10 ms: commits wait behind it. A message is never divided. */
const PART = { messages: 2000, recipients: 4000 };

/** The questions. Each sees what was committed before it. */
export class Reads {
  readonly #claims: Claims<number>;
  readonly #due: Due;
  readonly #statements: Statements<keyof typeof SQL>;

  constructor(database: DatabaseSync, claims: Claims<number>) {
    this.#claims = claims;
    this.#due = new Due(database, claims);
    this.#statements = prepareAll(database, SQL);
  }

  answer(request: Exclude<ReadRequest, { op: "close" }>): Answer {
    switch (request.op) {
      case "claimDue":
        return this.#due.claim(request);
      case "nextDue":
        return this.#due.next();
      case "chunk":
        return this.#chunk(request.message, request.after);
      case "list":
        return this.#list(request);
      case "select":
        return this.#select(request);
      case "get":
        return this.#get(request.id);
      case "story":
        return this.#story(request.id);
      case "history":
        return this.#history(request);
      case "expired":
        return this.#expired(request.now, request.limit);
      case "counts":
        return this.#counts(request.after);
    }
  }

  #chunk(message: number, after: number | null): Answers["chunk"] {
    const { firstChunk, furtherChunk } = this.#statements;
    const row = after === null ? firstChunk.get(message) : furtherChunk.get(message, after);
    return row === undefined ? null : { id: integer(row, "id"), octets: octets(row, "octets") };
  }

  #list({ after, limit, address }: Extract<ReadRequest, { op: "list" }>): Answers["list"] {
    const { page, pageOfAddress } = this.#statements;
    const end = this.#partEnd(after, address === null ? { ...PART, messages: limit } : PART);
    if (end === null) return { messages: [], next: null };
    const part = { after, end, limit };
    const rows = address === null ? page.all(part) : pageOfAddress.all({ ...part, ...address });
    const last = rows.at(-1);
    // A full page may have left out what else is in the part.
    const next = rows.length === limit && last !== undefined ? integer(last, "id") : end;
    return { messages: rows.map((row) => this.#withRecipients(row)), next };
  }

  /** The id that a part behind `after` ends with: at most so many messages, and few enough recipients; null behind the last. */
  #partEnd(after: number, { messages, recipients }: typeof PART): number | null {
    const last = this.#statements.partEnd.get({ after, messages, recipients })?.last;
    return typeof last === "number" ? last : null;
  }

  #select({ filter, after, limit }: Extract<ReadRequest, { op: "select" }>): Answers["select"] {
    const end = this.#partEnd(after, { ...PART, messages: limit });
    if (end === null) return { matches: [], last: null };
    const places = new Map<number, number[]>();
    const { domain, receivedBefore } = filter;
    const named = domain === null || domain === "*" || domain.startsWith(".") ? null : domain;
    for (const row of this.#statements.waitingIn.iterate({ after, end, named, before: receivedBefore })) {
      const [id, place] = [integer(row, "message"), integer(row, "place")];
      if (
        !isSelected(
          filter,
          { receivedAt: instant(integer(row, "received_at")), reversePath: senderOf(row) },
          sightOf(row),
        )
      )
        continue;
      const others = places.get(id);
      if (others === undefined) places.set(id, [place]);
      else others.push(place);
    }
    const matches = [...places].flatMap(([id, recipients]) => {
      const message = this.#statements.message.get(id);
      return message === undefined
        ? []
        : [{ id: formatQueueId(id), recipients, releaseAt: releaseTime(messageOf(message, [])) }];
    });
    return { matches, last: formatQueueId(end) };
  }

  #get(id: number): QueuedMessage | null {
    const row = this.#statements.message.get(id);
    return row === undefined ? null : this.#withRecipients(row);
  }

  #withRecipients(row: Row): QueuedMessage {
    return messageOf(row, this.#statements.recipients.all(integer(row, "id")));
  }

  #story(id: number): Answers["story"] {
    const message = this.#get(id);
    if (message === null) return [];
    return [acceptedEntry(message), ...this.#statements.story.all(id).map(storyOf)];
  }

  #history({ limit, id, address }: Extract<ReadRequest, { op: "history" }>): Answers["history"] {
    const { domain = null, localPart = null } = address ?? {};
    return this.#statements.history.all({ limit, id, domain, localPart }).map(finishedOf);
  }

  #expired(now: number, limit: number): Answers["expired"] {
    const ids: Answers["expired"][number][] = [];
    for (const row of this.#statements.expired.iterate(now)) {
      if (ids.length >= limit) break;
      const id = integer(row, "id");
      if (!this.#claims.hasAny(id)) ids.push(formatQueueId(id));
    }
    return ids;
  }

  #counts(after: number): Answers["counts"] {
    const end = this.#partEnd(after, PART);
    const span = { after, end: end ?? after };
    const [row = {}, waiting = {}] = [this.#statements.counts.get(span), this.#statements.waiting.get(span)];
    const part = {
      messages: integer(row, "messages"),
      recipients: integer(waiting, "recipients"),
      held: integer(row, "held"),
      octets: integer(row, "octets"),
      claimed: this.#claims.count,
    };
    return { part, next: end };
  }
}

const SQL = {
  message: "SELECT * FROM message WHERE id = ?",
  recipients: "SELECT * FROM recipient WHERE message = ? ORDER BY place",
  firstChunk: "SELECT id, octets FROM chunk WHERE id = ?",
  furtherChunk: "SELECT id, octets FROM chunk WHERE message = ? AND id <> message AND id > ? ORDER BY id LIMIT 1",
  page: "SELECT * FROM message WHERE id > :after AND id <= :end ORDER BY id LIMIT :limit",
  pageOfAddress: `SELECT * FROM message WHERE id IN (
      SELECT id FROM message WHERE id > :after AND id <= :end
        AND sender_domain = :domain AND (:localPart IS NULL OR sender_local = :localPart)
      UNION SELECT message FROM recipient WHERE message > :after AND message <= :end
        AND domain = :domain AND (:localPart IS NULL OR local_part = :localPart)
      ORDER BY 1 LIMIT :limit)
    ORDER BY id`,
  partEnd: `SELECT max(id) AS last FROM (SELECT id FROM message WHERE id > :after AND id <= coalesce(
      (SELECT message FROM recipient WHERE message > :after ORDER BY message LIMIT 1 OFFSET :recipients), 9223372036854775807)
    ORDER BY id LIMIT :messages)`,
  // What narrows best here; the rest is for `isSelected`.
  waitingIn: `SELECT r.message, r.place, r.domain, r.local_part, r.outcome, m.received_at, m.sender_local, m.sender_domain
    FROM message m JOIN recipient r ON r.message = m.id
    WHERE m.id > :after AND m.id <= :end AND r.state IN (0, 3) AND (:named IS NULL OR r.domain = :named)
      AND (:before IS NULL OR m.received_at <= :before)
    ORDER BY r.message, r.place`,
  story: "SELECT * FROM story WHERE message = ? ORDER BY id",
  // Read backwards through a table of bounded size: an index would cost each delivery more than it saves an operator.
  history: `SELECT * FROM history
    WHERE (:id IS NULL OR message = :id)
      AND (:domain IS NULL
        OR (domain = :domain AND (:localPart IS NULL OR local_part = :localPart))
        OR (sender_domain = :domain AND (:localPart IS NULL OR sender_local = :localPart)))
    ORDER BY id DESC LIMIT :limit`,
  expired: "SELECT id FROM message WHERE expires_at <= ? ORDER BY expires_at",
  counts: `SELECT count(*) AS messages, total(held) AS held, total(size) AS octets FROM message
    WHERE id > :after AND id <= :end`,
  waiting: `SELECT count(*) AS recipients FROM recipient
    WHERE message > :after AND message <= :end AND state IN (0, 3)`,
} as const;
