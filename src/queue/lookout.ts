import {
  asError,
  type Clock,
  HOUR,
  type Instant,
  instant,
  type Log,
  MINUTE,
  SECOND,
  type Timer,
} from "../base/index.ts";
import { concludeExpired } from "./conclusion.ts";
import { events } from "./events.ts";
import type { InHand } from "./in-hand.ts";
import type { QueuedMessage, QueueId } from "./model.ts";
import type { RetryRule } from "./retry.ts";
import type { Settler } from "./settler.ts";
import type { DueQuery, QueueStore } from "./store.ts";

export interface LookoutOptions {
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly settler: Settler;
  readonly inHand: InHand;
  /** As it counts now. */
  readonly rule: () => RetryRule;
  /** Recipients that may be in hand. */
  readonly window: number;
  /** Takes over recipients just claimed, and ends the claims of those it has no room for. Returns how many it took. */
  readonly take: (message: QueuedMessage, places: ReadonlySet<number>) => number;
  /** Destinations that answer in good time, so many at most: the recipients' domains where mail goes by MX. */
  readonly quickOnes: (most: number) => readonly string[];
  /** Told of all work begun here, which a stop has to wait for. */
  readonly track: (work: Promise<void>) => void;
}

/** Recipients asked for at a time. */
const CLAIM_LIMIT = 500;
/** Between searches for what expired in silence: held, or waiting for a time far away. */
const SWEEP_INTERVAL = MINUTE;
const SWEEP_LIMIT = 100;
/** Messages given up at a time, so that they share a sync of the disk; each is in memory with all its recipients. */
const SWEPT_TOGETHER = 10;
/** Before looking again after the store failed, or while all that is due is of crowded domains. */
const LOOK_AGAIN = SECOND;
/** A look past a million rows of crowded domains takes its time; the wait for the next is so many times as long. */
const LOOK_COST = 20;
/** Quick destinations whose due mail is looked for while others fill the window. */
const QUICK_ONES = 2000;
/** Also a guard against the wall clock being set: no sleep relies on it for longer. */
const LONGEST_SLEEP = HOUR;

/** Watches the store for mail that is due or past its time, and claims as much as there is room for. */
export class Lookout {
  readonly #options: LookoutOptions;
  #started = false;
  #looking = false;
  /** Mail may be due that did not fit, or came up while looking. */
  #more = false;
  #wakeAt: Instant | null = null;
  #wakeTimer: Timer | null = null;
  #sweepTimer: Timer | null = null;

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  start(): void {
    this.#started = true;
    this.look();
    this.#scheduleSweep();
  }

  stop(): void {
    this.#started = false;
    this.#wakeTimer?.cancel();
    this.#sweepTimer?.cancel();
    this.#wakeAt = null;
  }

  /** Looks now, or again as soon as the present look ends. */
  look(): void {
    this.#more = true;
    if (this.#started && !this.#looking) this.#options.track(this.#exclusively(() => this.#claimAll()));
  }

  /** Mail is or may be due that nobody has looked for; it is found as soon as there is room. */
  expectMore(): void {
    this.#more = true;
    this.roomWasMade();
  }

  /** Mail is due whose destination is full: looks in a while, should nothing make room before. */
  expectLater(): void {
    this.wakeAt(instant(this.#options.clock.now() + LOOK_AGAIN));
  }

  /** Looks when there may be more and there is room for a good part of it, however much the sick destinations hold of the window. */
  roomWasMade(): void {
    const { inHand, window } = this.#options;
    if (this.#more && inHand.claimable >= Math.min(CLAIM_LIMIT, window / 4)) this.look();
  }

  /** Looks at `at`, unless a look is planned before. */
  wakeAt(at: Instant): void {
    if (!this.#started || (this.#wakeAt !== null && this.#wakeAt <= at)) return;
    const { clock } = this.#options;
    this.#wakeTimer?.cancel();
    this.#wakeAt = at;
    const wait = Math.min(Math.max(0, at - clock.now()), LONGEST_SLEEP);
    this.#wakeTimer = clock.after(wait, () => {
      this.#wakeAt = null;
      this.look();
    });
  }

  async #exclusively(action: () => Promise<void>): Promise<void> {
    this.#looking = true;
    try {
      await action();
      this.#looking = false;
    } catch (error) {
      this.#looking = false;
      this.#options.log.error(events.pollFailed, { error: asError(error) });
      this.wakeAt(instant(this.#options.clock.now() + LOOK_AGAIN));
      return;
    }
    this.roomWasMade();
  }

  /** Claims what is due, as far as there is room, and finds out when to look again. */
  async #claimAll(): Promise<void> {
    const { store, clock, inHand } = this.#options;
    while (this.#started) {
      this.#more = false;
      const limit = Math.min(CLAIM_LIMIT, inHand.claimable);
      if (limit <= 0) {
        await this.#claimQuick();
        this.#more = true; // settling makes room, and looks again
        return;
      }
      const except = inHand.crowded();
      const begun = clock.now();
      const { found, taken } = await this.#claim({ limit, except });
      const isStuck = taken === 0 && found > 0;
      if ((found >= limit || this.#more) && !isStuck) continue;
      // Due but left out: their destination is crowded.
      const pause = Math.max(LOOK_AGAIN, LOOK_COST * (clock.now() - begun));
      if (isStuck) {
        this.wakeAt(instant(clock.now() + pause));
        return;
      }
      const next = await store.nextDue();
      if (next === null) return;
      this.wakeAt(instant(Math.max(next, clock.now() + (except.length > 0 ? pause : 0))));
      return;
    }
  }

  /**
   * The window is full of mail for destinations that are not quick, thousands of dead domains maybe, whose mail was due before: that of
   * the quick ones is claimed past it, again and again until there is room.
   */
  async #claimQuick(): Promise<void> {
    const { clock, inHand, quickOnes } = this.#options;
    const limit = Math.min(CLAIM_LIMIT, inHand.claimableForQuick);
    const crowded = new Set(inHand.crowded());
    // No domain has a colon; the names of all other destinations have one.
    const isWanted = (name: string): boolean => !name.includes(":") && !crowded.has(name);
    const only = limit <= 0 ? [] : quickOnes(QUICK_ONES).filter(isWanted);
    if (only.length === 0) return;
    const begun = clock.now();
    await this.#claim({ limit, only });
    this.wakeAt(instant(clock.now() + Math.max(LOOK_AGAIN, LOOK_COST * (clock.now() - begun))));
  }

  async #claim(query: Omit<DueQuery, "now">): Promise<{ readonly found: number; readonly taken: number }> {
    const { store, clock, take } = this.#options;
    const claimed = await store.claimDue({ now: clock.now(), ...query });
    let found = 0;
    let taken = 0;
    for (const { message, recipients } of claimed) {
      found += recipients.length;
      if (this.#started) taken += take(message, new Set(recipients));
      else await store.unclaim(message.id, recipients);
    }
    return { found, taken };
  }

  #scheduleSweep(): void {
    this.#sweepTimer = this.#options.clock.after(SWEEP_INTERVAL, () => {
      if (!this.#started) return;
      if (!this.#looking) this.#options.track(this.#exclusively(() => this.#sweep()));
      this.#scheduleSweep();
    });
  }

  /**
   * Gives up mail that is past its time in a state where nobody tries it. What is due is claimed first and gets its last attempt.
   * Runs with nothing being claimed beside it, so what it settles is in nobody's hands.
   */
  async #sweep(): Promise<void> {
    await this.#claimAll();
    const { store, clock } = this.#options;
    let tried: ReadonlySet<QueueId> = new Set();
    while (this.#started) {
      const limit = SWEEP_LIMIT + tried.size;
      const ids = await store.expired(clock.now(), limit);
      // What is named again could not be given up, because its report could not be made: not again before the next sweep.
      const fresh = ids.filter((id) => !tried.has(id));
      for (let from = 0; from < fresh.length; from += SWEPT_TOGETHER) {
        const written = await Promise.all(fresh.slice(from, from + SWEPT_TOGETHER).map((id) => this.#expire(id)));
        if (written.includes(false)) return;
      }
      if (fresh.length > 0) tried = new Set(ids);
      if (ids.length < limit || fresh.length === 0) break;
      // A long sweep keeps nothing waiting.
      if (this.#more) await this.#claimAll();
    }
    // The reports are due.
    if (tried.size > 0) await this.#claimAll();
  }

  async #expire(id: QueueId): Promise<boolean> {
    const { store, settler, clock, rule } = this.#options;
    const message = await store.get(id);
    if (message === null) return true;
    const now = clock.now();
    const concluded = message.recipients
      .filter(({ state }) => state === "waiting")
      .map((recipient) => concludeExpired(message, recipient, now, rule()));
    return await settler.settleOnce(message, store.body(message), concluded);
  }
}
