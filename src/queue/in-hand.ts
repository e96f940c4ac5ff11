import type { QueuedMessage, Recipient } from "./model.ts";
import type { Body } from "./store.ts";

/** Recipients of one message that go to one destination, claimed and not yet settled. */
export interface Job {
  readonly message: QueuedMessage;
  readonly recipients: readonly Recipient[];
  readonly destination: string;
  /** Whose mail it is, for fair turns: see `senderOf`. */
  readonly sender: string;
  readonly body: Body;
  readonly share: BodyShare;
}

/** The memory of one body that several jobs may hold; free when the last of them lets go. */
export interface BodyShare {
  readonly octets: number;
  jobs: number;
}

/** Recipients in hand for one destination. */
interface Holding {
  recipients: number;
  readonly senders: Map<string, number>;
  /** Recipient domains that were found to lead here. */
  readonly domains: Set<string>;
  readonly most: number;
  /** It was found full: its domains are left out of claims until a good part of what it holds is gone. */
  full: boolean;
}

export interface InHandLimits {
  /** Recipients, in all. */
  readonly window: number;
  /** Recipients of one destination that is not quick. */
  readonly domainWindow: number;
  /** Octets of bodies. */
  readonly memory: number;
}

export interface RoomRequest {
  readonly destination: string;
  readonly sender: string;
  /** Recipients more. */
  readonly count: number;
}

/** What is known of destinations elsewhere. */
export interface DestinationSight {
  /** Recipients of it in hand at most, whatever the room; null: no such bound. */
  mostOf(destination: string): number | null;
  /** It answers in good time. */
  isQuick(destination: string): boolean;
}

/** Of a sender who has fewer in hand, mail is taken also for a destination that the mail of others fills. */
const SENDER_SHARE = 10;

/** The part of the window and of the memory that is for quick destinations alone, save one message for each of the others. */
const RESERVED = 1 / 4;

/** The part that is for quick destinations without exception, should there be thousands of others with one message each. */
const RESERVED_STRICTLY = 1 / 8;

/** Domains noted of one destination; those beyond it are found out again by each claim. */
const MOST_DOMAINS = 5000;

/**
 * What the runner has claimed and not yet settled: the bounded window of the queue that is in memory. No destination fills it: each
 * may hold a quarter as much as is left free (a quick one, which is soon done, as much), and a part is kept from those that are not
 * quick, so that there is always room for the healthy, however many are sick.
 */
export class InHand {
  readonly #limits: InHandLimits;
  readonly #sight: DestinationSight;
  #recipients = 0;
  #octets = 0;
  readonly #holdings = new Map<string, Holding>();

  constructor(limits: InHandLimits, sight: DestinationSight) {
    this.#limits = limits;
    this.#sight = sight;
  }

  /** Recipients. */
  get recipients(): number {
    return this.#recipients;
  }

  /** Octets of bodies. */
  get octets(): number {
    return this.#octets;
  }

  /** Recipients for one destination. */
  heldFor(destination: string): number {
    return this.#holdings.get(destination)?.recipients ?? 0;
  }

  /** Recipients that a claim may add, whatever their destinations. */
  get claimable(): number {
    return Math.ceil((1 - RESERVED_STRICTLY) * this.#limits.window) - this.#recipients;
  }

  /** Recipients of quick destinations that a claim may add: half of what is free, for what is just accepted has to fit in, too. */
  get claimableForQuick(): number {
    return Math.floor((this.#limits.window - this.#recipients) / 2);
  }

  /** Whether the body of a message may stay in memory while it waits for this destination. */
  hasMemory(destination: string, octets: number): boolean {
    if (octets === 0) return true;
    const { memory } = this.#limits;
    return this.#octets + octets <= (this.#sight.isQuick(destination) ? memory : (1 - RESERVED) * memory);
  }

  /** Whether they may be taken in hand. What would be alone at its destination may, until only the quick ones have room. */
  hasRoom({ destination, sender, count }: RoomRequest): boolean {
    const holding = this.#holdings.get(destination);
    const isQuick = this.#sight.isQuick(destination);
    if (holding === undefined) return isQuick || this.#recipients === 0 || count <= this.claimable;
    const share = this.#share(holding, isQuick);
    if (holding.recipients + count <= share) return true;
    const ofSender = holding.senders.get(sender) ?? 0;
    const isFew = ofSender < SENDER_SHARE && 2 * ofSender < holding.recipients;
    return isFew && holding.recipients + count <= 2 * share;
  }

  /** Domains to be left out of a claim, because their destinations are full; noted, see `release`. */
  crowded(): string[] {
    const domains: string[] = [];
    for (const [destination, holding] of this.#holdings) {
      // One that had no room for a message of many recipients is full, too, though there is room for a smaller one.
      holding.full ||= holding.recipients >= this.#share(holding, this.#sight.isQuick(destination));
      if (!holding.full) continue;
      for (const domain of holding.domains) domains.push(domain);
    }
    return domains;
  }

  /** Mail of this domain was claimed and had no room at its destination. */
  noteFull(destination: string, domain: string): void {
    const holding = this.#holdings.get(destination);
    if (holding === undefined) return;
    holding.full = true;
    if (holding.domains.size < MOST_DOMAINS) holding.domains.add(domain);
  }

  take(job: Job): void {
    if (job.share.jobs++ === 0) this.#octets += job.share.octets;
    let holding = this.#holdings.get(job.destination);
    if (holding === undefined) {
      const most = this.#sight.mostOf(job.destination) ?? Number.POSITIVE_INFINITY;
      holding = { recipients: 0, senders: new Map(), domains: new Set(), most, full: false };
      this.#holdings.set(job.destination, holding);
    }
    const count = job.recipients.length;
    this.#recipients += count;
    holding.recipients += count;
    holding.senders.set(job.sender, (holding.senders.get(job.sender) ?? 0) + count);
    if (holding.domains.size >= MOST_DOMAINS) return;
    for (const { mailbox } of job.recipients) holding.domains.add(mailbox.domain);
  }

  /** True when a destination that was full has room again for a good part of what was left out. */
  release(job: Job): boolean {
    if (--job.share.jobs === 0) this.#octets -= job.share.octets;
    const count = job.recipients.length;
    this.#recipients -= count;
    const holding = this.#holdings.get(job.destination);
    if (holding === undefined) return false;
    holding.recipients -= count;
    const ofSender = (holding.senders.get(job.sender) ?? 0) - count;
    if (ofSender > 0) holding.senders.set(job.sender, ofSender);
    else holding.senders.delete(job.sender);
    if (holding.recipients === 0) this.#holdings.delete(job.destination);
    if (!holding.full) return false;
    if (holding.recipients > this.#share(holding, this.#sight.isQuick(job.destination)) / 2) return false;
    holding.full = false;
    return true;
  }

  #share({ most }: Holding, isQuick: boolean): number {
    const { window, domainWindow } = this.#limits;
    const room = window - this.#recipients;
    const share = isQuick
      ? Math.max(domainWindow, room)
      : Math.min(domainWindow, Math.floor((room - RESERVED * window) / 4));
    return Math.max(1, Math.min(share, most));
  }
}

/** Whose mail it is, where senders take turns: who logged in, else the reverse-path. */
export function senderOf({ origin, reversePath }: Pick<QueuedMessage, "origin" | "reversePath">): string {
  if (origin.identity !== null) return origin.identity;
  return reversePath === null ? "" : `${reversePath.localPart}@${reversePath.domain}`;
}
