import type { Brand } from "./brand.ts";

/** A point in time: milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = Brand<number, "Instant">;

/** A length of time in milliseconds. */
export type Duration = number;

/** Cancels what a timer was to do; harmless when it already did it. */
export interface Timer {
  cancel(): void;
}

/** Where time comes from, so that tests and the simulator can own it. */
export interface Clock {
  /** The wall clock. */
  now(): Instant;
  /** Runs `action` once after `delay` milliseconds (at least 0). A pending timer never keeps the process alive. */
  after(delay: Duration, action: () => void): Timer;
  /** Runs `action` once when what is under way in this turn of the event loop is done; by default with `setImmediate`. */
  soon?(action: () => void): Timer;
}

export function instant(milliseconds: number): Instant {
  return milliseconds as Instant;
}

export function later(from: Instant, by: Duration): Instant {
  return (from + by) as Instant;
}

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
