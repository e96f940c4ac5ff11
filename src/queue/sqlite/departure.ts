import type { Duration } from "../../base/index.ts";
import type { Request } from "./protocol.ts";

/** Commits are looked at together, so that one that was slow by chance (a checkpoint, a busy machine) does not count. */
const LOOKS = 4;
/** A disk whose sync takes less is no reason to wait for anybody, ms. */
const SLOW_SYNC = 4;
/** Nothing is held back for longer, ms. */
const MOST_PATIENCE = 100;
/** How long outcomes wait for the next message on a quick disk, ms, and how long after the last one the next is thought to be near. */
const COMPANY = 2;
/** The part of a sync for which those just answered are waited for, and how many of them make that worth while. */
const GATHERING = 3 / 4;
const GATHERED = 0.9;
/** Batches that leave without gathering after it did not pay; twice as many each time, up to the most. */
const FIRST_REST = 8;
const MOST_REST = 64;

/** What nobody waits for. */
const PATIENT: ReadonlySet<string> = new Set<Request["op"]>(["settle", "discard", "unclaim"]);

/** What is queued for the store's thread. */
export class Waiting {
  /** Messages whose clients wait for the 250. */
  messages = 0;
  /** Something is asked that no company makes cheaper. */
  hurried = false;
  /** When the first of it came, ms of any clock. */
  since: number | null = null;

  add(op: Request["op"], now: number): void {
    this.since ??= now;
    if (op === "keep") this.messages++;
    else if (!PATIENT.has(op)) this.hurried = true;
  }
}

/**
 * When a batch leaves. On a quick disk that is at once, but for outcomes that come while messages do: the next message is near, and
 * a commit of their own would only keep it waiting. On a slow disk a sync is dear, and each is to serve as many as it can: what nobody
 * waits for (the outcome of a delivery) leaves with the next message, and messages wait a little for those whose senders were just
 * answered, because a sender that has more to send comes back soon, and would else wait for this sync and its own. Where they do not
 * come back in time that is not tried again for a while. Knows no clock and does nothing by itself; times are milliseconds of any clock.
 */
export class Departure {
  #syncs: number[] = [];
  /** The least of the last few syncs. */
  #sync = 0;
  #answeredAt = 0;
  /** When messages were last answered. */
  #messagesAt = Number.NEGATIVE_INFINITY;
  /** Messages of the last batch and of those already waiting when it came back. */
  #expected = 0;
  #gathering = false;
  #rest = 0;
  #nextRest = FIRST_REST;

  /** The least of the last few syncs, ms; 0 before there were some. */
  get syncTime(): Duration {
    return this.#sync;
  }

  /** The disk takes so long that it matters who shares a sync. */
  get isSlow(): boolean {
    return this.#sync >= SLOW_SYNC;
  }

  /** A batch came back: its commit waited `sync` for the disk, null where there was none; it held `messages`, and others wait already. */
  answered(
    now: number,
    batch: { readonly sync: number | null; readonly messages: number; readonly waiting: number },
  ): void {
    if (batch.sync !== null) {
      this.#syncs.push(batch.sync);
      if (this.#syncs.length > LOOKS) this.#syncs.shift();
      this.#sync = this.#syncs.length < LOOKS ? 0 : Math.min(...this.#syncs);
    }
    this.#answeredAt = now;
    if (batch.messages > 0) this.#messagesAt = now;
    this.#expected = batch.messages + batch.waiting;
    this.#gathering = this.isSlow && batch.messages > 0 && this.#rest === 0;
    if (this.#rest > 0) this.#rest--;
  }

  /** How long what is queued is to wait, should nothing else come, ms. */
  wait(now: number, { messages, hurried, since }: Waiting): number {
    if (hurried || since === null) return 0;
    if (!this.isSlow) {
      const isNear = messages === 0 && now - this.#messagesAt < COMPANY;
      return isNear ? Math.max(0, since + COMPANY - now) : 0;
    }
    if (messages === 0) return Math.max(0, since + Math.min(this.#sync, MOST_PATIENCE) - now);
    if (!this.#gathering || messages >= this.#expected) return 0;
    return Math.max(0, this.#answeredAt + Math.min(GATHERING * this.#sync, MOST_PATIENCE) - now);
  }

  /** A batch leaves with so many messages. */
  left(messages: number): void {
    if (!this.#gathering || messages === 0) return;
    this.#gathering = false;
    if (messages >= GATHERED * this.#expected) {
      this.#nextRest = FIRST_REST;
      return;
    }
    this.#rest = this.#nextRest;
    this.#nextRest = Math.min(2 * this.#nextRest, MOST_REST);
  }
}
