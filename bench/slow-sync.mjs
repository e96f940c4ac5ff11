// Preloaded into Postern: each commit that syncs takes BENCH_SYNC_MS longer, as on a slow disk, and on SIGUSR2 the main thread writes the
// event loop's delay since the last time to BENCH_DELAY_FILE.
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DatabaseSync } from "node:sqlite";
import { isMainThread } from "node:worker_threads";

const wait = Number(process.env.BENCH_SYNC_MS ?? 0);
const cell = new Int32Array(new SharedArrayBuffer(4));
const exec = DatabaseSync.prototype.exec;
const unsynced = new WeakSet();

if (wait > 0 && !isMainThread) {
  DatabaseSync.prototype.exec = function slowExec(sql) {
    if (sql === "PRAGMA synchronous = NORMAL") unsynced.add(this);
    if (sql === "PRAGMA synchronous = FULL") unsynced.delete(this);
    if (sql === "COMMIT" && !unsynced.has(this)) Atomics.wait(cell, 0, 0, wait);
    return exec.call(this, sql);
  };
}

const file = process.env.BENCH_DELAY_FILE;
if (isMainThread && file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on("SIGUSR2", () => {
    writeFileSync(file, JSON.stringify({ p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }));
    delay.reset();
  });
}
