import { asError, type Clock, type Duration, type Instant, instant, type Log, SECOND } from "../base/index.ts";
import { formatMailbox } from "../smtp/index.ts";
import type { Concluded } from "./conclusion.ts";
import { settlementOf } from "./conclusion.ts";
import type { Reporter } from "./deliverer.ts";
import { events } from "./events.ts";
import type { QueuedMessage, QueueId } from "./model.ts";
import type { Body, QueueStore, Settlement } from "./store.ts";
import { outcomeEntry } from "./story.ts";

/** Waits between tries to write what happened: the disk is full or broken, and somebody is looking for room. */
const FIRST_WAIT = SECOND;
const LONGEST_WAIT = 60 * SECOND;

export interface SettlerOptions {
  readonly store: QueueStore;
  readonly reporter: Reporter;
  readonly clock: Clock;
  readonly log: Log;
  /** When mail whose report could not be made is tried again, ms, as it counts now. */
  readonly reportRetry: () => Duration;
}

/** Writes what attempts led to, with the report that failures owe, and tells the log once it is durable. */
export class Settler {
  readonly #options: SettlerOptions;
  #givenUp = false;
  readonly #waiting = new Set<() => void>();

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all is written: true when a report went into the queue by it. While the store fails it tries again, with
   * growing waits: what was delivered must not be handed out again. Resolves null when `giveUp` ended that.
   */
  async settle(message: QueuedMessage, body: Body, concluded: readonly Concluded[]): Promise<boolean | null> {
    const settlement = await this.#prepare(message, body, concluded);
    const written = await this.#persist(() => this.#write(message, settlement));
    return written ? settlement.settlement.report !== null : null;
  }

  /** Ends claims without an outcome; tries again as `settle` does, for what stays claimed is found by nobody. */
  async unclaim(id: QueueId, recipients: readonly number[]): Promise<void> {
    const { store, log } = this.#options;
    await this.#persist(async () => {
      try {
        await store.unclaim(id, recipients);
        return true;
      } catch (error) {
        log.error(events.pollFailed, { id, error: asError(error) });
        return false;
      }
    });
  }

  /** As `settle`, but one try; false when it failed. */
  async settleOnce(message: QueuedMessage, body: Body, concluded: readonly Concluded[]): Promise<boolean> {
    return await this.#write(message, await this.#prepare(message, body, concluded));
  }

  /** Ends all waiting: the process stops. What is not written is in flight in the eyes of the store, and due again after. */
  giveUp(): void {
    this.#givenUp = true;
    for (const wake of this.#waiting) wake();
  }

  /** Does it until it is done; false when `giveUp` ended that. */
  async #persist(write: () => Promise<boolean>): Promise<boolean> {
    for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      if (await write()) return true;
      if (this.#givenUp) return false;
      await this.#pause(wait);
      if (this.#givenUp) return false;
    }
  }

  async #prepare(message: QueuedMessage, body: Body, concluded: readonly Concluded[]): Promise<Prepared> {
    const at = this.#options.clock.now();
    const items = concluded.flatMap(({ recipient, outcome, duty }) =>
      duty === null ? [] : [{ recipient, outcome, action: duty }],
    );
    if (items.length === 0) return { concluded, settlement: settlementOf(message, concluded, null, at) };
    try {
      const report = await this.#options.reporter.report(message, body, items);
      return { concluded, settlement: settlementOf(message, concluded, report, at) };
    } catch (error) {
      this.#options.log.error(events.reportBroke, { id: message.id, error: asError(error) });
      const putOff = concluded.map((each) => postponed(each, instant(at + this.#options.reportRetry())));
      return { concluded: putOff, settlement: settlementOf(message, putOff, null, at) };
    }
  }

  async #write(message: QueuedMessage, { settlement, concluded }: Prepared): Promise<boolean> {
    try {
      await this.#options.store.settle(settlement);
    } catch (error) {
      this.#options.log.error(events.settleFailed, { id: message.id, error: asError(error) });
      return false;
    }
    for (const each of concluded) if (each.counted) this.#tell(message, each);
    if (settlement.report !== null) {
      this.#options.log.info(events.reported, { id: message.id, report: settlement.report.message.id });
    }
    return true;
  }

  #tell(message: QueuedMessage, { recipient, outcome, nextAttempt, duty }: Concluded): void {
    const { text } = outcomeEntry(outcome);
    const fields = {
      id: message.id,
      recipient: formatMailbox(recipient.mailbox),
      attempt: recipient.attempts + 1,
      text,
    };
    const { log } = this.#options;
    if (outcome.kind === "delivered") {
      const { host, tls, rule } = outcome.hop;
      log.info(events.delivered, { ...fields, host, tls, rule });
    } else {
      const next = nextAttempt === null ? undefined : new Date(nextAttempt).toISOString();
      const { status, reply } = outcome.problem;
      log.warn(events[outcome.kind], { ...fields, status, code: reply?.code, next });
      if (outcome.kind === "failed" && duty === null) {
        const reason = message.reversePath === null ? "null reverse-path" : "NOTIFY";
        log.info(events.unreported, { id: message.id, recipient: fields.recipient, reason });
      }
    }
  }

  #pause(wait: Duration): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = this.#options.clock.after(wait, wake);
      this.#waiting.add(wake);
    });
  }
}

interface Prepared {
  readonly concluded: readonly Concluded[];
  readonly settlement: Settlement;
}

/**
 * A failure whose report cannot be made yet stays in the queue: no failure is forgotten. A delay is told of later; a success is
 * not undone for the want of its report.
 */
function postponed(concluded: Concluded, at: Instant): Concluded {
  const { recipient, outcome } = concluded;
  if (outcome.kind !== "failed") return { ...concluded, duty: null };
  return { ...concluded, recipient, outcome: { ...outcome, kind: "deferred" }, nextAttempt: at, duty: null };
}
