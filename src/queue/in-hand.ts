import type { QueuedMessage, Recipient } from "./model.ts";
import type { Body } from "./store.ts";

/** Recipients of one message that go to one destination, claimed and not yet settled. */
export interface Job {
  readonly message: QueuedMessage;
  readonly recipients: readonly Recipient[];
  readonly destination: string;
  readonly body: Body;
  readonly share: BodyShare;
}

/** The memory of one body that several jobs may hold; free when the last of them lets go. */
export interface BodyShare {
  readonly octets: number;
  jobs: number;
}

/** What the runner has claimed and not yet settled: the bounded window of the queue that is in memory. */
export class InHand {
  #recipients = 0;
  #octets = 0;
  readonly #byDomain = new Map<string, number>();

  /** Recipients. */
  get recipients(): number {
    return this.#recipients;
  }

  /** Octets of bodies. */
  get octets(): number {
    return this.#octets;
  }

  /** Recipient domains with at least `count` recipients. */
  crowded(count: number): string[] {
    const domains: string[] = [];
    for (const [domain, recipients] of this.#byDomain) if (recipients >= count) domains.push(domain);
    return domains;
  }

  take(job: Job): void {
    if (job.share.jobs++ === 0) this.#octets += job.share.octets;
    this.#count(job, 1);
  }

  release(job: Job): void {
    if (--job.share.jobs === 0) this.#octets -= job.share.octets;
    this.#count(job, -1);
  }

  #count(job: Job, sign: 1 | -1): void {
    for (const { mailbox } of job.recipients) {
      this.#recipients += sign;
      const left = (this.#byDomain.get(mailbox.domain) ?? 0) + sign;
      if (left === 0) this.#byDomain.delete(mailbox.domain);
      else this.#byDomain.set(mailbox.domain, left);
    }
  }
}
