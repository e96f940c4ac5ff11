// What one process measures of itself when `[metrics]` is configured.
import { readFileSync } from "node:fs";
import type { AdminOperations } from "../admin/index.ts";
import { type Duration, type Log, SECOND } from "../base/index.ts";
import type { Config } from "../config/index.ts";
import {
  added,
  countingLog,
  daemonCounts,
  type Entry,
  type Histogram,
  Meter,
  Resting,
  RollCall,
  sessionCounts,
  supervisorCounts,
  type Told,
} from "../metrics/index.ts";
import { systemClock } from "../net/index.ts";
import type { QueueStore, Runner, StoreWatch } from "../queue/index.ts";
import type { Supervisor } from "../workers/index.ts";
import { type ProcessState, watchProcess } from "./process-state.ts";

/** Where the state of the queue is seen. */
export interface QueueSights {
  /** Of this process, with the queues that it sees through for others. */
  readonly operations: Pick<AdminOperations, "counts" | "list">;
  readonly store: Pick<QueueStore, "nextDue">;
  readonly runner: Pick<Runner, "stats">;
}

/** The numbers of a process that takes and delivers mail. */
export interface Metering {
  /** Counts what is told to it of everything but connections, and passes it on. */
  readonly log: Log;
  /** The same for the connections of one listener. */
  logOf(listener: Entry): Log;
  readonly watch: StoreWatch;
  /** From now on the queue is told of as well. */
  see(queue: QueueSights): void;
  /** All that is known by now. */
  tell(): Promise<Told>;
  close(): void;
}

/** Begins to measure. `worker`: from 1. */
export function startMetering({ listeners }: Pick<Config, "listeners">, worker: number, log: Log): Metering {
  const meter = new Meter();
  noteBuild(meter);
  const state = watchProcess(meter, String(worker));
  // Listeners of the same kind are told together, and each kind from the beginning: a counter that appears later hides its first count.
  const logs = new Map(
    listeners.map((listener) => [entryKey(listener), countingLog(log, meter, sessionCounts(meter, listener))]),
  );
  let queue: QueueState | null = null;
  return {
    log: countingLog(log, meter, daemonCounts(meter, [...new Set(listeners.map(({ service }) => service))])),
    logOf: (listener) => logs.get(entryKey(listener)) ?? log,
    watch: watchInto(meter.histogram("sync"), meter.histogram("keeping")),
    see(sights) {
      queue = watchQueue(meter, sights);
    },
    async tell() {
      state.update();
      await queue?.update();
      return { life, readings: meter.readings() };
    },
    close: () => state.close(),
  };
}

/** No other process has the same, nor had while this machine runs. */
const life = `${process.pid} ${performance.timeOrigin}`;

function entryKey({ service, tls }: Entry): string {
  return `${service} ${tls}`;
}

function watchInto(sync: Histogram, keeping: Histogram): StoreWatch {
  return {
    synced: (took) => sync.observe(took / SECOND),
    kept: (took) => keeping.observe(took / SECOND),
  };
}

interface QueueState {
  update(): Promise<void>;
}

/** What takes a walk through the queue is rested from, see `Resting`; the rest is known, or a look into an index. */
function watchQueue(meter: Meter, { operations, store, runner }: QueueSights): QueueState {
  const counting = new Resting({ take: () => operations.counts(), clock: systemClock });
  const looking = new Resting({ take: () => ends(operations, store), clock: systemClock });
  return {
    async update() {
      const [counted, looked] = await Promise.all([counting.latest(), looking.latest()]);
      if (counted !== null) {
        const { messages, recipients, held, octets } = counted.value;
        meter.cell("queued").value = messages;
        meter.cell("queuedRecipients").value = recipients;
        meter.cell("queuedHeld").value = held;
        meter.cell("queuedOctets").value = octets;
        meter.cell("counted").value = counted.at / SECOND;
      }
      setOrForget(meter, "oldest", looked?.value.oldest ?? null);
      setOrForget(meter, "nextDue", looked?.value.nextDue ?? null);
      const { delivering, claimed, octets, destinations } = runner.stats();
      meter.cell("delivering").value = delivering;
      meter.cell("claimed").value = claimed;
      meter.cell("bodies").value = octets;
      meter.cell("destinations").value = destinations;
    },
  };
}

interface QueueEnds {
  /** Milliseconds since 1970; null where there is none. */
  readonly oldest: number | null;
  readonly nextDue: number | null;
}

async function ends({ list }: QueueSights["operations"], store: QueueSights["store"]): Promise<QueueEnds> {
  const [[oldest], nextDue] = await Promise.all([list({ limit: 1 }), store.nextDue()]);
  return { oldest: oldest === undefined ? null : Date.parse(oldest.receivedAt), nextDue };
}

function setOrForget(meter: Meter, name: "oldest" | "nextDue", value: number | null): void {
  if (value === null) meter.forget(name);
  else meter.cell(name).value = value / SECOND;
}

/** For the answer of a worker; collectors wait for ten seconds by default. */
const WORKER_PATIENCE: Duration = 2 * SECOND;

/**
 * What all workers and their supervisor have measured, added up. Who asks meanwhile gets the same answer, so that the answers of a worker
 * are added up in their order.
 */
export function ofAll(
  workers: Pick<Supervisor<unknown, Told | null>, "tell">,
  metering: SupervisorMetering,
  count: number,
): Pick<Metering, "tell"> {
  const roll = new RollCall(count);
  let running: Promise<Told> | null = null;
  const ask = async (): Promise<Told> => {
    const answers = await workers.tell(WORKER_PATIENCE);
    metering.note(answers.map((answer) => answer !== null));
    const own = await metering.tell();
    return { life, readings: added([own.readings, roll.sum(answers)]) };
  };
  return {
    tell() {
      running ??= ask().finally(() => {
        running = null;
      });
      return running;
    },
  };
}

/** The supervisor of workers, which takes no mail. */
export interface SupervisorMetering extends Pick<Metering, "log" | "tell" | "close"> {
  /** Which workers have just answered, in order. */
  note(answered: readonly boolean[]): void;
}

export function startSupervisorMetering(workers: number, log: Log): SupervisorMetering {
  const meter = new Meter();
  noteBuild(meter);
  meter.cell("workers").value = workers;
  const state: ProcessState = watchProcess(meter, "supervisor");
  return {
    log: countingLog(log, meter, supervisorCounts(meter)),
    note(answered) {
      for (const [at, did] of answered.entries()) meter.cell("workerUp", String(at + 1)).value = did ? 1 : 0;
    },
    async tell() {
      state.update();
      return { life, readings: meter.readings() };
    },
    close: () => state.close(),
  };
}

function noteBuild(meter: Meter): void {
  meter.cell("build", version(), process.version).value = 1;
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return String(typeof manifest === "object" && manifest !== null ? Reflect.get(manifest, "version") : null);
}
