import type { Instant } from "../base/index.ts";
import { matchesFilter, readAddressFilter } from "./address-filter.ts";
import { keptOutcome } from "./history.ts";
import type { FinishedRecipient, QueuedMessage, Recipient } from "./model.ts";
import type { HistoryQuery } from "./store.ts";

/** Finished recipients that are still told of. */
const MOST = 1000;

/** What is over in a queue in memory, as far as it is still told. */
export class MemoryHistory {
  #finished: FinishedRecipient[] = [];

  add({ id, receivedAt, reversePath }: QueuedMessage, recipient: Recipient, finishedAt: Instant): void {
    const { mailbox, attempts, lastOutcome } = recipient;
    if (lastOutcome === null) return;
    const outcome = keptOutcome(lastOutcome);
    this.#finished.push({ id, receivedAt, finishedAt, reversePath, mailbox, attempts, outcome });
    if (this.#finished.length > MOST) this.#finished.shift();
  }

  /** The latest first. */
  find({ limit, id, address }: HistoryQuery): readonly FinishedRecipient[] {
    const filter = address === undefined ? null : readAddressFilter(address);
    return this.#finished
      .filter((each) => id === undefined || each.id === id)
      .filter(({ mailbox, reversePath }) => {
        if (filter === null || matchesFilter(filter, mailbox)) return true;
        return reversePath !== null && matchesFilter(filter, reversePath);
      })
      .slice(-limit)
      .reverse();
  }
}
