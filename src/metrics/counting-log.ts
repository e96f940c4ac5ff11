import type { Log, LogFields } from "../base/index.ts";
import { cellsBy, type FoundCell } from "./cells-by.ts";
import type { Meter } from "./meter.ts";

/** What one event adds to. `fields` are those of the call, without those of the log that it was made on. */
export type Count = (fields: LogFields) => void;

/** By the names of events. */
export type Counts = ReadonlyMap<string, Count>;

const NO_FIELDS: LogFields = {};

/**
 * A log that counts what passes through it, whether it is written or not: events are an interface of ours that tells all there is to
 * count, so that nothing else has to know of metrics. Costs a look into a map for each event, and makes nothing.
 */
export function countingLog(log: Log, meter: Meter, counts: Counts): Log {
  const told = { warn: cellsBy(meter, "logged", "warn"), error: cellsBy(meter, "logged", "error") };
  return new CountingLog(log, counts, told);
}

/** Lines of a level by the names of their events. */
interface Told {
  readonly warn: FoundCell;
  readonly error: FoundCell;
}

class CountingLog implements Log {
  readonly #log: Log;
  readonly #counts: Counts;
  readonly #told: Told;

  constructor(log: Log, counts: Counts, told: Told) {
    this.#log = log;
    this.#counts = counts;
    this.#told = told;
  }

  debug(event: string, fields?: LogFields): void {
    this.#counts.get(event)?.(fields ?? NO_FIELDS);
    this.#log.debug(event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#counts.get(event)?.(fields ?? NO_FIELDS);
    this.#log.info(event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#counts.get(event)?.(fields ?? NO_FIELDS);
    this.#told.warn(event).value++;
    this.#log.warn(event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#counts.get(event)?.(fields ?? NO_FIELDS);
    this.#told.error(event).value++;
    this.#log.error(event, fields);
  }

  child(fields: LogFields): Log {
    return new CountingLog(this.#log.child(fields), this.#counts, this.#told);
  }
}
