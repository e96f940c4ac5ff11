import { type ChildProcess, fork } from "node:child_process";
import { type Clock, type Duration, err, type Log, ok, type Result, SECOND } from "../base/index.ts";
import { events } from "./events.ts";
import type { LineRelay } from "./line-relay.ts";
import type { Answer, Order } from "./protocol.ts";

export interface WorkerProcessOptions {
  /** From 1. */
  readonly worker: number;
  /** A file that calls `serveOrders`. */
  readonly program: URL;
  /** Where its standard output goes. Its standard error is ours. */
  readonly output: LineRelay;
  readonly clock: Clock;
  readonly log: Log;
  /** It was ready and is gone, without having been told to stop. */
  readonly onDeath: (death: Death) => void;
}

/** How a process ended. */
export interface Death {
  readonly pid: number | undefined;
  readonly code: number | null;
  readonly signal: string | null;
}

/** For the answer to a reload. */
const RELOAD_PATIENCE: Duration = 10 * SECOND;

/** For a worker that could not start to end. */
const END_PATIENCE: Duration = 5 * SECOND;

/** One worker seen from outside: at most one process at a time, started as often as needed. */
export class WorkerProcess<Task, Report, State> {
  readonly #options: WorkerProcessOptions;
  #child: ChildProcess | null = null;
  #ended: Promise<Death> | null = null;
  #ready = false;
  #stopping = false;
  /** Settles when a start that is under way has come to its end. */
  #starting: Promise<unknown> | null = null;
  /** What is done in place of the worker while it does not run. No start overtakes it. */
  readonly #substitutes = new Set<Promise<unknown>>();
  #reloaded: ((problems: readonly string[]) => void) | null = null;
  readonly #asked = new Map<number, (state: State | null) => void>();
  #questions = 0;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
  }

  get worker(): number {
    return this.#options.worker;
  }

  /** Starts a process, none being there. The failure is what the worker says of it, or how it ended before it was ready. */
  async start(task: Task): Promise<Result<Report, readonly string[]>> {
    const starting = this.#start(task);
    this.#starting = starting;
    try {
      return await starting;
    } finally {
      this.#starting = null;
    }
  }

  /**
   * Does the one thing when the worker runs, the other while it does not; one that is just starting is waited for. What the
   * `substitute` does is done before the next start.
   */
  async use<T>(running: () => Promise<T>, substitute: () => Promise<T>): Promise<T> {
    await this.#starting?.catch(() => {});
    if (this.#ready) return await running();
    const acting = substitute();
    this.#substitutes.add(acting);
    try {
      return await acting;
    } finally {
      this.#substitutes.delete(acting);
    }
  }

  /** Null where it does not run: its next start reads everything anew in any case. */
  async reload(task: Task): Promise<readonly string[] | null> {
    const { clock, worker } = this.#options;
    // One that is just starting was given the task before.
    await this.#starting?.catch(() => {});
    const child = this.#child;
    if (!this.#ready || child === null) return null;
    return await new Promise((resolve) => {
      const late = clock.after(RELOAD_PATIENCE, () => resolve([`worker ${worker} does not answer`]));
      this.#reloaded = (problems) => {
        late.cancel();
        resolve(problems);
      };
      this.#send(child, { kind: "reload", task });
    });
  }

  /** How it is doing; null where it does not run, or does not say so in time. */
  async tell(patience: Duration): Promise<State | null> {
    const child = this.#child;
    if (!this.#ready || child === null) return null;
    const question = this.#questions++;
    return await new Promise((resolve) => {
      const late = this.#options.clock.after(patience, () => this.#asked.get(question)?.(null));
      this.#asked.set(question, (state) => {
        this.#asked.delete(question);
        late.cancel();
        resolve(state);
      });
      this.#send(child, { kind: "tell", question });
    });
  }

  /** Tells it to stop; what is left of it after `patience` is ended by force. Nothing is started afterwards. */
  async stop(patience: Duration): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === null || this.#ended === null) return;
    const { clock, log, worker } = this.#options;
    const { pid } = child;
    const late = clock.after(patience, () => {
      log.error(events.killed, { worker, pid });
      child.kill("SIGKILL");
    });
    this.#send(child, { kind: "stop" });
    await this.#ended;
    late.cancel();
  }

  /** Ends it at once. */
  kill(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }

  async #start(task: Task): Promise<Result<Report, readonly string[]>> {
    await Promise.allSettled(this.#substitutes);
    const { program, output, worker, log } = this.#options;
    if (this.#stopping) return err([`worker ${worker} is not started any more`]);
    const child = fork(program, [], { serialization: "advanced", stdio: ["ignore", "pipe", "inherit", "ipc"] });
    this.#child = child;
    if (child.stdout !== null) output.add(child.stdout);
    const ended = endOf(child);
    this.#ended = ended;
    void ended.then((death) => this.#gone(child, death));
    const answer = new Promise<Result<Report, readonly string[]>>((resolve) => {
      // The worker is this program: what it sends has the type of an answer.
      child.on("message", (message: Answer<Report, State>) => {
        if (message.kind === "ready") resolve(ok(message.report));
        else if (message.kind === "failed") resolve(err(message.problems));
        else if (message.kind === "told") this.#asked.get(message.question)?.(message.state);
        else this.#reloaded?.(message.problems);
      });
      void ended.then((death) => resolve(err([`worker ${worker} ended while it started (${describe(death)})`])));
    });
    this.#send(child, { kind: "start", task });
    const started = await answer;
    if (!started.ok) {
      const late = this.#options.clock.after(END_PATIENCE, () => child.kill("SIGKILL"));
      await ended;
      late.cancel();
    } else if (this.#child === child) {
      this.#ready = true;
      log.info(events.started, { worker, pid: child.pid });
    }
    return started;
  }

  #gone(child: ChildProcess, death: Death): void {
    if (this.#child !== child) return;
    const wasReady = this.#ready;
    this.#child = null;
    this.#ready = false;
    this.#reloaded?.([]);
    for (const answer of [...this.#asked.values()]) answer(null);
    if (wasReady && !this.#stopping) this.#options.onDeath(death);
  }

  /** One that dies at this moment cannot be told anything any more, and that shows by its end. */
  #send(child: ChildProcess, order: Order<Task>): void {
    if (child.connected) child.send(order, () => {});
  }
}

function endOf(child: ChildProcess): Promise<Death> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ pid: child.pid, code, signal }));
    // No process came into being: the system has no more of them, or no memory.
    child.once("error", () => {
      if (child.pid === undefined) resolve({ pid: undefined, code: null, signal: null });
    });
  });
}

/** How it ended, in words. */
function describe({ pid, code, signal }: Death): string {
  if (pid === undefined) return "the system could not make a process";
  return signal === null ? `code ${code}` : signal;
}
