import type { BodyShare, InHand, Job } from "./in-hand.ts";
import { senderOf } from "./in-hand.ts";
import type { QueueId, Recipient } from "./model.ts";
import type { AcceptedMessage, QueueStore } from "./store.ts";

export interface JobDivisionOptions {
  readonly store: Pick<QueueStore, "body">;
  readonly inHand: InHand;
  /** The key of the destination that a recipient leads to. */
  readonly destinationOf: (recipient: Recipient) => string;
  /** Told of claimed recipients of a message whose destination has no room for them; that is noted already. */
  readonly leaveOut: (id: QueueId, recipients: readonly Recipient[]) => void;
}

/** Divides claimed recipients of a message into jobs, one for each destination that has room. */
export class JobDivision {
  readonly #options: JobDivisionOptions;

  constructor(options: JobDivisionOptions) {
    this.#options = options;
  }

  /** Takes the jobs in hand. A body for which a destination has no memory is read from the store when its turn comes. */
  divide({ message, body, inMemory }: AcceptedMessage, recipients: readonly Recipient[]): readonly Job[] {
    const { store, inHand } = this.#options;
    const share: BodyShare = { octets: inMemory, jobs: 0 };
    const sender = senderOf(message);
    const jobs: Job[] = [];
    for (const [destination, group] of this.#groups(recipients)) {
      if (!inHand.hasRoom({ destination, sender, count: group.length })) {
        this.#leaveOut(message.id, destination, group);
        continue;
      }
      const of = { message, recipients: group, destination, sender };
      const isKept = inHand.hasMemory(destination, inMemory);
      const job = isKept ? { ...of, body, share } : { ...of, body: store.body(message), share: nothingHeld() };
      inHand.take(job);
      jobs.push(job);
    }
    return jobs;
  }

  #groups(recipients: readonly Recipient[]): ReadonlyMap<string, readonly Recipient[]> {
    const groups = new Map<string, Recipient[]>();
    for (const recipient of recipients) {
      const destination = this.#options.destinationOf(recipient);
      const group = groups.get(destination);
      if (group === undefined) groups.set(destination, [recipient]);
      else group.push(recipient);
    }
    return groups;
  }

  /** They are rows again, and found when it has room. */
  #leaveOut(id: QueueId, destination: string, recipients: readonly Recipient[]): void {
    for (const { mailbox } of recipients) this.#options.inHand.noteFull(destination, mailbox.domain);
    this.#options.leaveOut(id, recipients);
  }
}

function nothingHeld(): BodyShare {
  return { octets: 0, jobs: 0 };
}
