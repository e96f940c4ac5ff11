/**
 * What a Postern counts and measures of itself, and how collectors of metrics read it. Nothing here asks anything or listens anywhere: it
 * is told by log events (`counting-log.ts`), and by the composition root of what has no event. Begin with `catalogue.ts`, which lists
 * all there is; `roll-call.ts` makes one of several processes.
 */
export type { Readings } from "./catalogue.ts";
export { countingLog } from "./counting-log.ts";
export { daemonCounts, type Entry, sessionCounts, supervisorCounts } from "./counts.ts";
export { EXPOSITION_TYPE, formatReadings } from "./exposition.ts";
export { type Histogram, Meter } from "./meter.ts";
export { Resting } from "./resting.ts";
export { added, RollCall, type Told } from "./roll-call.ts";
