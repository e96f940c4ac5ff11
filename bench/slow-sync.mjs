// Preloaded into Postern: each commit that syncs takes BENCH_SYNC_MS longer, as on a slow disk.
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
