import { type Clock, type Duration, type Instant, instant, type Timer } from "../../base/index.ts";

interface Entry {
  readonly at: number;
  /** Of two at one moment the one set first runs first. */
  readonly turn: number;
  action: (() => void) | null;
}

/** What hangs on it is a microtask of its own: half the price of `queueMicrotask`, which keeps books on each. */
const SETTLED = Promise.resolve();

/** Cancelled entries that may lie about before they are swept out. */
const SWEEP_FROM = 1024;

/**
 * Virtual time: one event after the other, each with all promises settled before the next, as fast as the machine can. Nothing in it
 * depends on real time, so that the same events come in the same order each time. Code that runs here must take its time from
 * `clock`, and wait for nothing else.
 */
export class VirtualLoop {
  #now: Instant;
  #heap: Entry[] = [];
  #turns = 0;
  #cancelled = 0;
  #stopped = false;
  readonly #thrown: (error: unknown) => void;

  /** `thrown` is told of what an event throws. */
  constructor(start: Instant, thrown: (error: unknown) => void) {
    this.#now = start;
    this.#thrown = thrown;
  }

  get now(): Instant {
    return this.#now;
  }

  /** Events that are to come. */
  get pending(): number {
    return this.#heap.length - this.#cancelled;
  }

  /** Events there have been, cancelled ones not counted. */
  events = 0;

  after(delay: Duration, action: () => void): Timer {
    const entry: Entry = { at: this.#now + Math.max(0, delay), turn: this.#turns++, action };
    this.#push(entry);
    return {
      cancel: () => {
        if (entry.action === null) return;
        entry.action = null;
        this.#cancelled++;
        if (this.#cancelled > SWEEP_FROM && this.#cancelled * 2 > this.#heap.length) this.#sweep();
      },
    };
  }

  /** Runs what there is up to `until`, or to a `stop`. */
  run(until: Instant): Promise<void> {
    this.#stopped = false;
    return new Promise((resolve) => {
      const turn = (): void => {
        const action = this.#stopped ? null : this.#next(until);
        if (action === null) {
          if (!this.#stopped) this.#now = until;
          resolve();
          return;
        }
        try {
          action();
        } catch (error) {
          this.#thrown(error);
        }
        // A tick set by a microtask waits until all other microtasks are done, those that they make included.
        void SETTLED.then(again);
      };
      const again = (): void => process.nextTick(turn);
      // The first event waits, too: whoever called may have left microtasks behind, and may be in a callback, where ticks come first.
      void SETTLED.then(again);
    });
  }

  /** Ends the run after the present event. */
  stop(): void {
    this.#stopped = true;
  }

  #next(until: Instant): (() => void) | null {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || first.at > until) return null;
      this.#pop();
      const { action } = first;
      if (action === null) {
        this.#cancelled--;
        continue;
      }
      first.action = null;
      this.#now = instant(first.at);
      this.events++;
      return action;
    }
  }

  #sweep(): void {
    const live = this.#heap.filter(({ action }) => action !== null);
    this.#heap = [];
    this.#cancelled = 0;
    for (const entry of live) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = heap[below];
      if (child === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        below++;
        child = right;
      }
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.turn < b.turn);
}

/** One run of a program: what it still has to do is not done when it is over. */
export class Life {
  #alive = true;
  readonly #ends: (() => void)[] = [];

  get alive(): boolean {
    return this.#alive;
  }

  /** `action` is called at the end; at once where that was. */
  onEnd(action: () => void): void {
    if (this.#alive) this.#ends.push(action);
    else action();
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const action of this.#ends.splice(0)) action();
  }
}

/** The clock of a machine: it may go wrong by `skew` milliseconds, and its timers die with the program. */
export function clockOf(loop: VirtualLoop, life: Life, skew: () => Duration = () => 0): Clock {
  const after = (delay: Duration, action: () => void): Timer =>
    loop.after(delay, () => {
      if (life.alive) action();
    });
  return {
    now: () => instant(Math.floor(loop.now + skew())),
    after,
    soon: (action) => after(0, action),
  };
}
