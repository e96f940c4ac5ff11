import type { Writable } from "node:stream";
import { type Clock, type Duration, err, type Instant, type Log, ok, type Result, type Timer } from "../base/index.ts";
import { events } from "./events.ts";
import { LineRelay } from "./line-relay.ts";
import { LONG_ENOUGH, restartDelay } from "./restart-delay.ts";
import { type Death, WorkerProcess } from "./worker-process.ts";

export interface SupervisorOptions<Task, Report> {
  /** A file that calls `serveOrders`. */
  readonly program: URL;
  /** How many workers. */
  readonly count: number;
  /** What a worker (from 1) is to do by now: asked at each start and reload. `first` is the report of the first one, null before there is one. Structured clones go over. */
  readonly task: (worker: number, first: Report | null) => Task;
  /** What the workers write to their standard output goes here, whole lines at a time. */
  readonly output: Writable;
  /** For a stop, as it counts then; afterwards the workers are ended by force. */
  readonly patience: () => Duration;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Supervisor<Report, State> {
  /** Starts the first worker, then the others at the same time; all of them or none. The result is the first one's report. */
  start(): Promise<Result<Report, readonly string[]>>;
  /** Does the one thing when the worker runs, the other in its place while it does not; see `WorkerProcess.use`. */
  use<T>(worker: number, running: () => Promise<T>, substitute: () => Promise<T>): Promise<T>;
  /** How each worker is doing, in order; null for one that does not run or does not answer within `patience` milliseconds. */
  tell(patience: Duration): Promise<readonly (State | null)[]>;
  /** Gives all that run what their task is by now. The problems of all, each once. */
  reload(): Promise<Result<void, readonly string[]>>;
  stop(): Promise<void>;
  /** Ends all workers at once, for an end of this process that cannot wait. */
  kill(): void;
}

/** Keeps `count` workers running until it is stopped: one that dies is started again, and the others go on meanwhile. */
export function createSupervisor<Task, Report, State>(
  options: SupervisorOptions<Task, Report>,
): Supervisor<Report, State> {
  return new ProcessSupervisor(options);
}

/** One worker with what is known of its lives. */
interface Place<Task, Report, State> {
  readonly process: WorkerProcess<Task, Report, State>;
  startedAt: Instant;
  quickDeaths: number;
  timer: Timer | null;
}

class ProcessSupervisor<Task, Report, State> implements Supervisor<Report, State> {
  readonly #options: SupervisorOptions<Task, Report>;
  readonly #places: readonly Place<Task, Report, State>[];
  #first: Report | null = null;
  #stopping = false;

  constructor(options: SupervisorOptions<Task, Report>) {
    const { program, clock, log, count } = options;
    const output = new LineRelay(options.output);
    this.#options = options;
    this.#places = Array.from({ length: count }, (_, at) => {
      const onDeath = (death: Death): void => this.#died(at + 1, death);
      const process = new WorkerProcess<Task, Report, State>({ worker: at + 1, program, output, clock, log, onDeath });
      return { process, startedAt: clock.now(), quickDeaths: 0, timer: null };
    });
  }

  async start(): Promise<Result<Report, readonly string[]>> {
    const [first, ...others] = this.#places;
    if (first === undefined) throw new RangeError("a supervisor needs a worker");
    const leading = await this.#startProcess(first);
    if (!leading.ok) return leading;
    this.#first = leading.value;
    const started = await Promise.all(others.map((place) => this.#startProcess(place)));
    const problems = new Set(started.flatMap((each) => (each.ok ? [] : each.error)));
    if (problems.size === 0) return leading;
    await this.stop();
    return err([...problems]);
  }

  async use<T>(worker: number, running: () => Promise<T>, substitute: () => Promise<T>): Promise<T> {
    const place = this.#places[worker - 1];
    if (place === undefined) throw new RangeError(`there is no worker ${worker}`);
    return await place.process.use(running, substitute);
  }

  async tell(patience: Duration): Promise<readonly (State | null)[]> {
    return await Promise.all(this.#places.map(({ process }) => process.tell(patience)));
  }

  async reload(): Promise<Result<void, readonly string[]>> {
    const all = await Promise.all(
      this.#places.map(({ process }) => process.reload(this.#options.task(process.worker, this.#first))),
    );
    const problems = new Set(all.flatMap((each) => each ?? []));
    return problems.size === 0 ? ok(undefined) : err([...problems]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { timer } of this.#places) timer?.cancel();
    await Promise.all(this.#places.map(({ process }) => process.stop(this.#options.patience())));
  }

  kill(): void {
    this.#stopping = true;
    for (const { timer, process } of this.#places) {
      timer?.cancel();
      process.kill();
    }
  }

  #startProcess(place: Place<Task, Report, State>): Promise<Result<Report, readonly string[]>> {
    place.startedAt = this.#options.clock.now();
    return place.process.start(this.#options.task(place.process.worker, this.#first));
  }

  #died(worker: number, { pid, code, signal }: Death): void {
    const place = this.#places[worker - 1];
    if (place === undefined || this.#stopping) return;
    const { clock, log } = this.#options;
    if (clock.now() - place.startedAt >= LONG_ENOUGH) place.quickDeaths = 0;
    const again = this.#startLater(place);
    log.error(events.died, { worker, pid, code, signal, again });
  }

  /** Milliseconds until it is tried. */
  #startLater(place: Place<Task, Report, State>): Duration {
    const again = restartDelay(place.quickDeaths++);
    place.timer = this.#options.clock.after(again, () => void this.#startAgain(place));
    return again;
  }

  async #startAgain(place: Place<Task, Report, State>): Promise<void> {
    const started = await this.#startProcess(place);
    if (started.ok || this.#stopping) return;
    const again = this.#startLater(place);
    this.#options.log.error(events.refused, { worker: place.process.worker, problems: started.error, again });
  }
}
