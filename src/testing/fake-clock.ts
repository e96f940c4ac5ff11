import { type Clock, type Instant, instant, later } from "../base/index.ts";

/** A clock that stands still until told. */
export interface FakeClock {
  readonly clock: Clock;
  /** Moves time on and runs what falls due, in order of time, each with `now` at its own moment. All before it returns. */
  advance(milliseconds: number): void;
  /** As `advance`, but lets promises and sockets settle before and after each timer. */
  run(milliseconds: number): Promise<void>;
  /** Timers that were set and have neither run nor been cancelled. */
  readonly pending: number;
}

interface FakeTimer {
  readonly at: Instant;
  readonly action: () => void;
}

const DEFAULT_START: Instant = instant(Date.UTC(2030, 0, 1));

export function fakeClock(start: Instant = DEFAULT_START): FakeClock {
  let now = start;
  const timers = new Set<FakeTimer>();
  /** Runs the earliest timer due by `end`; those of one moment in the order they were set. False when there is none. */
  const runNext = (end: Instant): boolean => {
    let next: FakeTimer | null = null;
    for (const timer of timers) if (timer.at <= end && (next === null || timer.at < next.at)) next = timer;
    if (next === null) return false;
    timers.delete(next);
    if (next.at > now) now = next.at;
    next.action();
    return true;
  };
  return {
    clock: {
      now: () => now,
      after(delay, action) {
        const timer = { at: later(now, Math.max(0, delay)), action };
        timers.add(timer);
        return { cancel: () => void timers.delete(timer) };
      },
    },
    advance(milliseconds) {
      const end = later(now, milliseconds);
      while (runNext(end));
      now = end;
    },
    async run(milliseconds) {
      const end = later(now, milliseconds);
      do await settled();
      while (runNext(end));
      now = end;
    },
    get pending() {
      return timers.size;
    },
  };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
