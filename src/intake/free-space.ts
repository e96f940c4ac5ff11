import { statfsSync } from "node:fs";
import { type Clock, type Instant, later, SECOND } from "../base/index.ts";

/** Octets that may still be written where the queue lies. */
export type FreeSpace = () => number;

/** Asking takes some microseconds, so once in this time is enough for the hot path. */
const FRESH_FOR = SECOND;

/**
 * The free space of the file system that holds `folder`. A file system that does not tell is taken as endless: then a failed
 * write has to say it.
 */
export function freeSpaceOf(folder: string, clock: Pick<Clock, "now">): FreeSpace {
  let known = Number.POSITIVE_INFINITY;
  let freshUntil: Instant | null = null;
  return () => {
    const now = clock.now();
    if (freshUntil !== null && now < freshUntil) return known;
    freshUntil = later(now, FRESH_FOR);
    try {
      const { bavail, bsize } = statfsSync(folder);
      known = bavail * bsize;
    } catch {
      known = Number.POSITIVE_INFINITY;
    }
    return known;
  };
}
