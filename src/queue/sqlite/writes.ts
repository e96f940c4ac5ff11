import type { DatabaseSync } from "node:sqlite";
import type { Claims } from "../claims.ts";
import { ALTERED, removedOutcome } from "../selection.ts";
import { isToldFirst } from "../transitions.ts";
import { integer, type Row, STATE } from "./columns.ts";
import type { Answer, MessageColumns, OutcomeColumns, Span, WriteRequest } from "./protocol.ts";
import { prepareAll, type Statements } from "./statements.ts";

/** What is done in memory once the transaction is durable, and only then. */
export type AfterCommit = (() => void)[];

/** A recipient that waits. */
interface Waiting {
  /** Its columns, and those of its message, in `states`. */
  readonly row: Row;
  /** The sender knows of the delay. */
  readonly warned: boolean;
}

type Settle = Extract<WriteRequest, { op: "settle" }>;

const STATE_AFTER = { delivered: STATE.delivered, failed: STATE.failed } as const;

/** The changes, each as statements within a transaction that the caller holds. A throw leaves it to the caller to roll back. */
export class Writes {
  readonly #claims: Claims<number>;
  /** Drafts whose chunks went through this handle. After a reopening their unsynced chunks may be gone. */
  readonly #drafts = new Set<number>();
  readonly #keepsHistory: boolean;
  readonly #statements: Statements<keyof typeof SQL>;

  constructor(database: DatabaseSync, claims: Claims<number>, options: { readonly keepsHistory: boolean }) {
    this.#claims = claims;
    this.#keepsHistory = options.keepsHistory;
    this.#statements = prepareAll(database, SQL);
  }

  apply(request: WriteRequest, octets: Uint8Array, after: AfterCommit): Answer {
    switch (request.op) {
      case "keep":
        return this.#keep(request, octets, after);
      case "append":
        return this.#append(request, octets);
      case "discard":
        this.#drafts.delete(request.draft);
        this.#statements.dropDraft.run(request.draft);
        this.#dropAll(request.draft);
        return null;
      case "settle":
        return this.#settle(request, octets, after);
      case "hold":
        return this.#hold(request.id, request.at, true);
      case "release":
        return this.#hold(request.id, request.at, false);
      case "retry":
        if (!this.#exists(request.id)) return false;
        this.#statements.makeDue.run(request.at, request.id);
        this.#statements.tell.run(request.id, request.at, null, "retried", "by the operator");
        return true;
      case "remove":
        if (this.#claims.hasAny(request.id)) return "claimed";
        if (!this.#exists(request.id)) return false;
        this.#dropAll(request.id);
        return true;
      case "alter":
        return this.#alter(request);
    }
  }

  /** Deletes what drafts of a process that died had stored. */
  purgeDrafts(): void {
    for (const row of this.#statements.drafts.all()) {
      const draft = integer(row, "id");
      this.#dropAll(draft);
      this.#statements.dropDraft.run(draft);
    }
  }

  #keep(request: Extract<WriteRequest, { op: "keep" }>, octets: Uint8Array, after: AfterCommit): null {
    const { message, claim } = request;
    if (request.octets === null) {
      if (!this.#drafts.has(message.id))
        throw new Error("the draft's octets may have been lost when the file was reopened");
      this.#statements.dropDraft.run(message.id);
      after.push(() => this.#drafts.delete(message.id));
    }
    this.#add(message, request.octets, octets);
    if (claim) {
      after.push(() => {
        for (let place = 0; place < message.recipients.length; place++) this.#claims.add(message.id, place);
      });
    }
    return null;
  }

  #add(message: MessageColumns, span: Span | null, octets: Uint8Array): void {
    const { addMessage, addRecipient, addChunk } = this.#statements;
    const { id, receivedAt, recipients, priority, dueAt } = message;
    addMessage.run(
      id,
      receivedAt,
      message.expiresAt,
      message.size,
      message.senderLocal,
      message.senderDomain,
      message.parameters,
      message.origin,
    );
    for (const [place, recipient] of recipients.entries()) {
      addRecipient.run(id, place, recipient.localPart, recipient.domain, recipient.parameters, dueAt, priority);
    }
    if (span !== null) addChunk.run(id, id, part(octets, span));
  }

  #append(request: Extract<WriteRequest, { op: "append" }>, octets: Uint8Array): null {
    const { draft, chunk } = request;
    if (chunk === draft) {
      this.#statements.addDraft.run(draft);
      this.#drafts.add(draft);
    }
    this.#statements.addChunk.run(chunk, draft, part(octets, request.octets));
    return null;
  }

  #settle(request: Settle, octets: Uint8Array, after: AfterCommit): null {
    const { id, at, recipients, report } = request;
    after.push(() => {
      for (const { index } of recipients) this.#claims.remove(id, index);
    });
    const waiting = this.#waiting(id);
    const news = recipients.filter(({ index }) => waiting.has(index));
    // All of it was written before, by a commit whose success was not seen: the report, too, is in the queue already.
    if (news.length === 0) return null;
    const reportIsNews = news.some((each) => isToldFirst(each, { warned: waiting.get(each.index)?.warned === true }));
    const history = this.#finished(id, at, news, waiting);
    const message = waiting.values().next().value?.row;
    for (const { index, kind } of news) if (kind !== "deferred") waiting.delete(index);
    // First what makes room, then what takes it: in a full file the report takes the place of its message.
    if (waiting.size === 0) this.#dropAll(id, message);
    else for (const recipient of news) this.#record(id, at, recipient);
    if (report !== null && reportIsNews) this.#add(report.message, report.octets, octets);
    for (const columns of history) this.#statements.finish.run(...columns);
    return null;
  }

  #waiting(id: number): Map<number, Waiting> {
    const waiting = new Map<number, Waiting>();
    for (const row of this.#statements.states.all(id)) {
      const state = integer(row, "state");
      if (state === STATE.waiting || state === STATE.held) {
        waiting.set(integer(row, "place"), { row, warned: integer(row, "warned") !== 0 });
      }
    }
    return waiting;
  }

  /** The rows of the history for those whose mail is over by this settlement. */
  #finished(id: number, at: number, news: readonly OutcomeColumns[], waiting: ReadonlyMap<number, Waiting>) {
    if (!this.#keepsHistory) return [];
    return news.flatMap(({ index, kind, outcome }) => {
      const row = waiting.get(index)?.row;
      if (row === undefined || kind === "deferred") return [];
      const { received_at: receivedAt, sender_local: senderLocal, sender_domain: senderDomain } = row;
      const sender = [value(senderLocal), value(senderDomain)] as const;
      const attempts = integer(row, "attempts") + 1;
      return [[id, value(receivedAt), at, ...sender, value(row.local_part), value(row.domain), attempts, outcome]];
    });
  }

  #record(id: number, at: number, recipient: OutcomeColumns): void {
    const { index, kind, outcome, nextAttempt, warned, counted, event, text } = recipient;
    const state = kind === "deferred" ? null : STATE_AFTER[kind];
    const next = kind === "deferred" ? (nextAttempt ?? at) : null;
    this.#statements.record.run(state, next, counted ? 1 : 0, outcome, warned ? 1 : 0, id, index);
    if (counted) this.#statements.tell.run(id, at, index, event, text);
  }

  #hold(id: number, at: number, held: boolean): boolean {
    const row = this.#statements.message.get(id);
    if (row === undefined) return false;
    if ((integer(row, "held") !== 0) === held) return true;
    const [from, to] = held ? [STATE.waiting, STATE.held] : [STATE.held, STATE.waiting];
    this.#statements.setHeld.run(held ? 1 : 0, id);
    this.#statements.setState.run(to, id, from);
    this.#statements.tell.run(id, at, null, held ? "held" : "released", "by the operator");
    return true;
  }

  #alter({ id, at, recipients, change, text }: Extract<WriteRequest, { op: "alter" }>): boolean | "claimed" {
    if (!this.#exists(id)) return false;
    if (change.kind === "remove" && recipients.some((place) => this.#claims.has(id, place))) return "claimed";
    const waiting = this.#waiting(id);
    const { alterDue, alterRoute, alterState, tell } = this.#statements;
    for (const place of recipients) {
      if (!waiting.has(place)) continue;
      if (change.kind === "remove") {
        alterState.run(STATE.failed, JSON.stringify(removedOutcome), id, place);
        waiting.delete(place);
      } else alterDue.run(change.dueAt, id, place);
      if (change.kind === "reroute") {
        alterRoute.run(change.override === null ? null : JSON.stringify(change.override), id, place);
      }
      tell.run(id, at, place, ALTERED[change.kind], text);
    }
    if (waiting.size === 0) this.#dropAll(id);
    return true;
  }

  #exists(id: number): boolean {
    return this.#statements.message.get(id) !== undefined;
  }

  /** `known`: its row of `states`, which tells what most messages have nothing of. */
  #dropAll(id: number, known?: Row): void {
    const statements = this.#statements;
    statements.dropMessage.run(id);
    statements.dropRecipients.run(id);
    statements.dropFirstChunk.run(id);
    if (known?.has_further_chunks !== 0) statements.dropFurtherChunks.run(id);
    if (known?.has_story !== 0) statements.dropStory.run(id);
  }
}

const SQL = {
  addMessage: `INSERT INTO message (id, received_at, expires_at, size, held, sender_local, sender_domain, parameters, origin)
    VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)`,
  addRecipient: `INSERT INTO recipient (message, place, local_part, domain, parameters, state, attempts, next_attempt, priority)
    VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?)`,
  addChunk: "INSERT INTO chunk (id, message, octets) VALUES (?, ?, ?)",
  addDraft: "INSERT INTO draft (id) VALUES (?)",
  dropDraft: "DELETE FROM draft WHERE id = ?",
  dropMessage: "DELETE FROM message WHERE id = ?",
  dropRecipients: "DELETE FROM recipient WHERE message = ?",
  dropFirstChunk: "DELETE FROM chunk WHERE id = ?",
  dropFurtherChunks: "DELETE FROM chunk WHERE message = ? AND id <> message",
  dropStory: "DELETE FROM story WHERE message = ?",
  drafts: "SELECT id FROM draft",
  finish: `INSERT INTO history (message, received_at, finished_at, sender_local, sender_domain, local_part, domain, attempts, outcome)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  states: `SELECT place, state, warned, local_part, domain, attempts, received_at, sender_local, sender_domain,
      EXISTS (SELECT 1 FROM story WHERE message = ?1) AS has_story,
      EXISTS (SELECT 1 FROM chunk WHERE message = ?1 AND id <> message) AS has_further_chunks
    FROM recipient JOIN message ON message.id = recipient.message WHERE recipient.message = ?1`,
  message: "SELECT held FROM message WHERE id = ?",
  record: `UPDATE recipient SET state = coalesce(?, state), next_attempt = coalesce(?, next_attempt),
    attempts = attempts + ?, outcome = ?, warned = max(warned, ?) WHERE message = ? AND place = ?`,
  tell: "INSERT INTO story (message, at, recipient, event, text) VALUES (?, ?, ?, ?, ?)",
  setHeld: "UPDATE message SET held = ? WHERE id = ?",
  setState: "UPDATE recipient SET state = ? WHERE message = ? AND state = ?",
  alterDue: "UPDATE recipient SET next_attempt = ? WHERE message = ? AND place = ?",
  alterRoute: "UPDATE recipient SET override = ? WHERE message = ? AND place = ?",
  alterState: "UPDATE recipient SET state = ?, outcome = ? WHERE message = ? AND place = ?",
  makeDue: "UPDATE recipient SET next_attempt = ? WHERE message = ? AND state IN (0, 3)",
} as const;

/** A column as it was read, to be written again. */
function value(column: Row[string] | undefined): Row[string] {
  return column ?? null;
}

function part(octets: Uint8Array, span: Span): Uint8Array {
  return octets.subarray(span.from, span.from + span.length);
}
