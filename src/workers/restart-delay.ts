import { type Duration, MINUTE } from "../base/index.ts";

const FIRST: Duration = 100;
const LONGEST: Duration = MINUTE;

/** A worker that ran for this long and died was not started in vain. */
export const LONG_ENOUGH: Duration = MINUTE;

/**
 * The wait before a worker is started again, by how many times in a row it has died before it ran long enough (0 for one that
 * had). It grows to a minute and no further: nobody else may deliver the mail in its queue, so it is never given up.
 */
export function restartDelay(quickDeaths: number): Duration {
  return Math.min(LONGEST, FIRST * 2 ** Math.min(quickDeaths, 20));
}
