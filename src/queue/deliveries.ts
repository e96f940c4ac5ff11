import { asError, type Clock, type Log } from "../base/index.ts";
import { brokenOutcome, expiredOutcome } from "./conclusion.ts";
import type { Deliverer } from "./deliverer.ts";
import { events } from "./events.ts";
import type { Job } from "./in-hand.ts";
import type { Outcome, Recipient } from "./model.ts";
import { isOverdue } from "./terms.ts";

/** The deliverer's part of the runner. What it throws ends here, in the log. */
export class Deliveries {
  readonly #deliverer: Deliverer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #aborts = new Set<AbortController>();

  constructor(deliverer: Deliverer, clock: Clock, log: Log) {
    this.#deliverer = deliverer;
    this.#clock = clock;
    this.#log = log;
  }

  /** Where a recipient leads: see `Deliverer.destination`; its domain where that throws. */
  destinationOf({ mailbox, override }: Recipient): string {
    try {
      return this.#deliverer.destination(mailbox, override);
    } catch (error) {
      this.#log.error(events.deliveryBroke, { error: asError(error) });
      return mailbox.domain;
    }
  }

  /** Tries a job once. One outcome for each recipient, in order, whatever happens; `abort` is for `abortAll`. */
  async deliver(job: Job, abort: AbortController): Promise<readonly Outcome[]> {
    const { message, recipients, destination, body } = job;
    const now = this.#clock.now();
    if (isOverdue(message, now)) {
      return recipients.map(({ lastOutcome }) => expiredOutcome(message, lastOutcome, now));
    }
    this.#aborts.add(abort);
    try {
      const outcomes = await this.#deliverer.deliver({ message, recipients, destination, body }, abort.signal);
      if (outcomes.length === recipients.length) return outcomes;
      throw new Error(`${outcomes.length} outcomes for ${recipients.length} recipients`);
    } catch (error) {
      this.#log.error(events.deliveryBroke, { id: message.id, destination, error: asError(error) });
      return recipients.map(brokenOutcome);
    } finally {
      this.#aborts.delete(abort);
    }
  }

  /** Ends what is under way as soon as that can be. */
  abortAll(): void {
    for (const abort of this.#aborts) abort.abort();
  }

  /** Hosts that were found dead get another chance. */
  resume(): void {
    this.#deliverer.resume?.();
  }
}
