// Preloaded into a server: a timer of 1 ms on its main thread, and how late it was each time, which is what anything else that was ready
// had to wait. Beside it what the thread's time went into, by the system's own books: on a processor, or ready and waiting for one that another
// process had. On SIGUSR2 all that was seen since the last time goes to BENCH_LOOP_FILE: [at (ms since 1970), late, computing, waiting] in ms.
import { openSync, readSync, writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const file = process.env.BENCH_LOOP_FILE;
const INTERVAL = 1;

if (isMainThread && file !== undefined) {
  const books = openSync("/proc/thread-self/schedstat", "r");
  const text = Buffer.alloc(64);
  /** Nanoseconds on a processor, and ready without one (proc(5)). */
  const read = () => {
    const [computing, waiting] = text.latin1Slice(0, readSync(books, text, 0, text.length, 0)).split(" ");
    return { at: performance.now(), computing: Number(computing), waiting: Number(waiting) };
  };
  let looks = [];
  let last = read();
  setInterval(() => {
    const now = read();
    looks.push([
      performance.timeOrigin + now.at,
      Math.max(0, now.at - last.at - INTERVAL),
      (now.computing - last.computing) / 1e6,
      (now.waiting - last.waiting) / 1e6,
    ]);
    last = now;
  }, INTERVAL).unref();
  process.on("SIGUSR2", () => {
    writeFileSync(file, JSON.stringify(looks));
    looks = [];
    last = read();
  });
}
