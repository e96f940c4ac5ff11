// Worlds by the thousand, in several processes, for a number of seeds or for a time. What breaks a promise is told, and the hunt goes on.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Simulation } from "../../src/testing/index.ts";
import { addWorld, noSums, type Sums } from "./sums.ts";

export interface WorkerTask {
  readonly seed: number;
  /** Of the last events, how many are told when a promise was broken. */
  readonly events: number;
  readonly twice: boolean;
}

export type WorkerMessage =
  | ({ readonly kind: "ran"; readonly unsteady: boolean } & Omit<Simulation, "hash">)
  | { readonly kind: "rejection"; readonly seed: number | null; readonly text: string };

/** Something to be told of: a promise broken, or a run that went wrong itself. */
export type Finding =
  | { readonly kind: "broken"; readonly run: Omit<Simulation, "hash"> }
  | { readonly kind: "unsteady"; readonly seed: number }
  | { readonly kind: "rejection" | "died" | "hung"; readonly seed: number | null; readonly text: string };

export interface HuntOptions {
  readonly from: number;
  /** How many worlds; null: as many as there is time for. */
  readonly seeds: number | null;
  /** For how long new worlds are begun, milliseconds; null: until all are done. */
  readonly time: number | null;
  readonly workers: number;
  readonly events: number;
  readonly twice: boolean;
  /** Ends the hunt after so many findings. */
  readonly mostFindings: number;
  readonly found: (finding: Finding) => void;
  /** Ends the hunt early; worlds that run come to their end. */
  readonly signal: AbortSignal;
}

export interface HuntResult extends Sums {
  readonly findings: number;
  /** The seed after the last that was begun. */
  readonly next: number;
}

/** The slowest worlds take a few seconds of the hunt's time. */
const LONGEST_WORLD = 120_000;
/** The hunt's time goes on by ticks: while it is stopped, or starved by others, it has none. */
const TICK = 1000;
const LONGEST_TICK = 2 * TICK;
/** A world leaves 40 MB of garbage: a large nursery that is swept by the thread itself costs a fifth less. */
const ENGINE_FLAGS = ["--max-semi-space-size=64", "--min-semi-space-size=64", "--single-threaded-gc", "--no-warnings"];

export class Hunt {
  readonly #options: HuntOptions;
  #time = 0;
  #next: number;
  #sums = noSums;
  #findings = 0;

  constructor(options: HuntOptions) {
    this.#options = options;
    this.#next = options.from;
  }

  /** For how long it has been at work, milliseconds. */
  get time(): number {
    return this.#time;
  }

  get result(): HuntResult {
    return { ...this.#sums, findings: this.#findings, next: this.#next };
  }

  async run(): Promise<HuntResult> {
    const { workers } = this.#options;
    let last = performance.now();
    const ticker = setInterval(() => {
      const now = performance.now();
      this.#time += Math.min(now - last, LONGEST_TICK);
      last = now;
    }, TICK);
    await Promise.all(Array.from({ length: workers }, () => this.#employ()));
    clearInterval(ticker);
    return this.result;
  }

  /** One worker after the other, as they die, while there are seeds. */
  async #employ(): Promise<void> {
    while (this.#hasMore()) await this.#oneWorker();
  }

  #hasMore(): boolean {
    const { seeds, time, mostFindings, from, signal } = this.#options;
    if (signal.aborted || this.#findings >= mostFindings) return false;
    if (seeds !== null && this.#next >= from + seeds) return false;
    return time === null || this.#time < time;
  }

  #oneWorker(): Promise<void> {
    const child = fork(fileURLToPath(new URL("worker.ts", import.meta.url)), { execArgv: ENGINE_FLAGS });
    return new Promise((resolve) => {
      let seed: number | null = null;
      let begun = this.#time;
      const watch = setInterval(() => {
        if (seed === null || this.#time - begun < LONGEST_WORLD) return;
        this.#find({ kind: "hung", seed, text: `no end after ${LONGEST_WORLD / 1000} seconds` });
        seed = null;
        child.kill("SIGKILL");
      }, TICK);
      const feed = (): void => {
        seed = this.#hasMore() ? this.#next++ : null;
        begun = this.#time;
        if (seed === null) {
          child.disconnect();
          return;
        }
        const { events, twice } = this.#options;
        child.send({ seed, events, twice } satisfies WorkerTask);
      };
      child.on("message", (message) => {
        if (!isWorkerMessage(message)) return;
        if (message.kind === "rejection") this.#find(message);
        else {
          this.#add(message);
          feed();
        }
      });
      child.on("error", (error) => this.#find({ kind: "died", seed, text: error.message }));
      child.on("exit", (code, signal) => {
        clearInterval(watch);
        if (seed !== null) this.#find({ kind: "died", seed, text: `the process ended with ${code ?? signal}` });
        resolve();
      });
      feed();
    });
  }

  #add({ kind: _, unsteady, ...run }: WorkerMessage & { readonly kind: "ran" }): void {
    this.#sums = addWorld(this.#sums, run);
    if (run.violations.length > 0) this.#find({ kind: "broken", run });
    if (unsteady) this.#find({ kind: "unsteady", seed: run.seed });
  }

  #find(finding: Finding): void {
    this.#findings++;
    this.#options.found(finding);
  }
}

function isWorkerMessage(message: unknown): message is WorkerMessage {
  return typeof message === "object" && message !== null && "kind" in message;
}
