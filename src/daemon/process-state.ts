// How this process is doing, for metrics; `pulse.ts` tells the log.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Duration, SECOND } from "../base/index.ts";
import type { Meter } from "../metrics/index.ts";
import { openHandles } from "./pulse.ts";

/** How often the event loop is looked at, milliseconds. A look that is not late counts as this much. */
const RESOLUTION = 20;
const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;

/** The least time that the delay is told of: several who collect take nothing away from each other within it. */
const WINDOW: Duration = 10 * SECOND;

/** Puts what is true of this process at the moment into a meter, under the name of `worker`. */
export interface ProcessState {
  update(): void;
  close(): void;
}

export function watchProcess(meter: Meter, worker: string): ProcessState {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  let since = performance.now();
  meter.cell("started", worker).value = performance.timeOrigin / 1000;
  return {
    update() {
      const { rss, heapUsed, external } = process.memoryUsage();
      meter.cell("resident", worker).value = rss;
      meter.cell("heap", worker).value = heapUsed;
      meter.cell("external", worker).value = external;
      meter.cell("handles", worker).value = openHandles();
      const { user, system } = process.cpuUsage();
      meter.cell("cpu", worker, "user").value = user / MICROSECONDS;
      meter.cell("cpu", worker, "system").value = system / MICROSECONDS;
      const late = delay.percentile(99) / NANOSECONDS - RESOLUTION / 1000;
      meter.cell("loopDelay", worker).value = Math.max(0, late);
      if (performance.now() - since < WINDOW) return;
      since = performance.now();
      delay.reset();
    },
    close: () => delay.disable(),
  };
}
