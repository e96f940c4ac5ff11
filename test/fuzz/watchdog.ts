import { Worker, workerData } from "node:worker_threads";
import { saveCase } from "./corpus.ts";
import { targets } from "./targets.ts";

/** An input that keeps the event loop from turning for so long will never end. */
const PATIENCE = 60_000;
const LOOK_EVERY = 5_000;
const MAX_INPUT = 1024 * 1024;

/** What both threads see: a count of inputs begun, the target's place in the list, the octets of the input. */
interface Shared {
  readonly numbers: Int32Array;
  readonly input: Uint8Array;
}

const BEGUN = 0;
const TARGET = 1;
const LENGTH = 2;

function sharedOver(memory: SharedArrayBuffer): Shared {
  return { numbers: new Int32Array(memory, 0, 3), input: new Uint8Array(memory, 16) };
}

/** Watches from a thread of its own: an input that never ends is saved, told, and ends the process. */
export function startWatchdog(): (target: string, octets: Uint8Array) => void {
  const memory = new SharedArrayBuffer(16 + MAX_INPUT);
  const { numbers, input } = sharedOver(memory);
  new Worker(new URL(import.meta.url), { workerData: memory }).unref();
  return (target, octets) => {
    numbers[TARGET] = targets.findIndex(({ name }) => name === target);
    numbers[LENGTH] = Math.min(octets.length, MAX_INPUT);
    input.set(octets.subarray(0, MAX_INPUT));
    Atomics.add(numbers, BEGUN, 1);
  };
}

function watch({ numbers, input }: Shared): void {
  let begun = -1;
  let since = performance.now();
  setInterval(() => {
    const now = Atomics.load(numbers, BEGUN);
    if (now !== begun) {
      begun = now;
      since = performance.now();
    } else if (begun > 0 && performance.now() - since > PATIENCE) {
      const name = targets[numbers[TARGET] ?? 0]?.name ?? "unknown";
      const file = saveCase(name, "hang", input.slice(0, numbers[LENGTH]));
      process.stderr.write(`fuzz: ${name} never ends; the input is in ${file}\n`);
      process.kill(process.pid, "SIGKILL");
    }
  }, LOOK_EVERY);
}

if (workerData instanceof SharedArrayBuffer) watch(sharedOver(workerData));
