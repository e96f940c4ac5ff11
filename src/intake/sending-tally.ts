import { DAY, HOUR, type Instant, instant, later, MINUTE } from "../base/index.ts";
import type { SendingLimit, SendingLimits } from "./credential-source.ts";
import { type CountedSlot, SlidingCount } from "./sliding-count.ts";

/** What is counted of somebody. */
export type Counted = "messages" | "recipients" | "newRecipients";

/** A limit that is counted over time; `sessions` and `message_size` are not. */
export type RateLimit = Exclude<SendingLimit, "sessions" | "message_size">;

/** Each limit over time: what it counts, and in which window. Shortest first. */
const RATES: Readonly<Record<RateLimit, { readonly counts: Counted; readonly window: number }>> = {
  messages_per_minute: { counts: "messages", window: MINUTE },
  messages_per_hour: { counts: "messages", window: HOUR },
  messages_per_day: { counts: "messages", window: DAY },
  recipients_per_minute: { counts: "recipients", window: MINUTE },
  recipients_per_hour: { counts: "recipients", window: HOUR },
  recipients_per_day: { counts: "recipients", window: DAY },
  new_recipients_per_day: { counts: "newRecipients", window: DAY },
};

const RATE_LIMITS = Object.keys(RATES).filter((name): name is RateLimit => name in RATES);

/** A limit that is reached, and when one more may be had. */
export interface Reached {
  readonly limit: RateLimit;
  readonly most: number;
  readonly until: Instant;
}

/** As it is kept across restarts. */
export type SavedTally = Readonly<Record<string, readonly CountedSlot[]>>;

/** Where mail that is not taken yet holds a place, it is not known for how long; then this is said. */
const PLACE_HELD = MINUTE;

/** What was counted since it was last written down: add `count` to the slot at `at`. */
export interface UnsavedCount {
  readonly limit: string;
  readonly at: number;
  readonly count: number;
}

/** What one user, or one address, sent within each window, and what is on its way in. */
export class SendingTally {
  #counts: ReadonlyMap<RateLimit, SlidingCount>;
  #unsaved = noCounts();
  /** Places that open transactions hold, so that many sessions at once cannot take the same one. */
  readonly #held: Record<Counted, number> = { messages: 0, recipients: 0, newRecipients: 0 };
  sessions = 0;

  constructor(saved: SavedTally = {}) {
    this.#counts = countsOf(saved);
  }

  /** Another process wrote too: `saved` is what all wrote, and what is not written yet comes on top. */
  refresh(saved: SavedTally): void {
    this.#counts = countsOf(saved);
    for (const { limit, at, count } of this.unsaved()) {
      for (const [name, counted] of this.#counts) if (name === limit) counted.add(instant(at), count);
    }
  }

  /** Null where one more of `what` may be had; else the limit that keeps it longest. */
  reached(what: Counted, limits: SendingLimits, now: Instant): Reached | null {
    let worst: Reached | null = null;
    for (const [limit, count] of this.#counts) {
      const most = limits[limit];
      if (most === 0 || RATES[limit].counts !== what || count.total(now) + this.#held[what] < most) continue;
      const falls = count.fallsTo(most - 1, now);
      const until = falls > now ? falls : later(now, PLACE_HELD);
      if (worst === null || until > worst.until) worst = { limit, most, until };
    }
    return worst;
  }

  hold(what: Counted, count: number): void {
    this.#held[what] += count;
  }

  add(what: Counted, count: number, now: Instant): void {
    if (count === 0) return;
    for (const counts of [this.#counts, this.#unsaved]) {
      for (const [limit, counted] of counts) if (RATES[limit].counts === what) counted.add(now, count);
    }
  }

  unsaved(): readonly UnsavedCount[] {
    return [...this.#unsaved].flatMap(([limit, { slots }]) => slots.map(([at, count]) => ({ limit, at, count })));
  }

  /** All of `unsaved` is written down. */
  saved(): void {
    this.#unsaved = noCounts();
  }

  /** Nothing of it is open or unsaved, so that it may be read from the file again when it is needed. */
  get idle(): boolean {
    return (
      this.sessions === 0 &&
      Object.values(this.#held).every((count) => count === 0) &&
      [...this.#unsaved.values()].every(({ slots }) => slots.length === 0)
    );
  }
}

function countsOf(saved: SavedTally): ReadonlyMap<RateLimit, SlidingCount> {
  return new Map(RATE_LIMITS.map((name) => [name, new SlidingCount(RATES[name].window, saved[name])]));
}

function noCounts(): ReadonlyMap<RateLimit, SlidingCount> {
  return countsOf({});
}
