// How the process itself is doing, in the log: what an operator plots, and looks at when memory grows or replies come late.
import { readdirSync } from "node:fs";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Duration, Log, Timer } from "../base/index.ts";
import { systemClock } from "../net/index.ts";

/** How often the event loop is looked at, milliseconds. A look that is not late counts as this much. */
const RESOLUTION = 20;
const NANOSECONDS = 1e6;

/** Writes `daemon.pulse` every so often until it is cancelled. Delays are of the time since the line before. */
export function startPulse({ every, log }: { readonly every: () => Duration; readonly log: Log }): Timer {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  let busy = performance.eventLoopUtilization();
  const lateness = (nanoseconds: number): number => Math.max(0, Math.round(nanoseconds / NANOSECONDS) - RESOLUTION);
  const beat = (): void => {
    const { rss, heapUsed, external } = process.memoryUsage();
    const since = busy;
    busy = performance.eventLoopUtilization();
    log.info("daemon.pulse", {
      rss,
      heap: heapUsed,
      external,
      handles: openHandles(),
      loopDelay: lateness(delay.percentile(99)),
      loopDelayMost: lateness(delay.max),
      busy: Math.round(performance.eventLoopUtilization(busy, since).utilization * 100),
      uptime: Math.round(process.uptime()),
    });
    delay.reset();
    next = systemClock.after(every(), beat);
  };
  let next = systemClock.after(every(), beat);
  return {
    cancel() {
      next.cancel();
      delay.disable();
    },
  };
}

/** Descriptors where the system lists them (Linux, macOS), else what keeps the event loop busy. */
export function openHandles(): number {
  try {
    return readdirSync("/dev/fd").length;
  } catch {
    return process.getActiveResourcesInfo().length;
  }
}
