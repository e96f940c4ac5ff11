import type { ScheduleLimits } from "./schedule.ts";

/** What a runner may hold and do at the same time. */
export interface RunnerLimits extends ScheduleLimits {
  /** Octets of bodies of just accepted mail that may wait in memory for their delivery. */
  readonly memory: number;
  /** Recipients claimed and not yet settled; all others are only rows. */
  readonly window: number;
  /** Recipients of one destination in the window before no more of it are claimed; fewer where the window is full of others. */
  readonly domainWindow: number;
}

export const defaultRunnerLimits: RunnerLimits = {
  total: 200,
  destinationStart: 5,
  destinationMost: 20,
  memory: 64 * 1024 * 1024,
  window: 10_000,
  domainWindow: 2000,
};
