import type { Log, LogFields } from "../base/index.ts";
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
  return new CountingLog(log, meter, counts);
}

class CountingLog implements Log {
  readonly #log: Log;
  readonly #meter: Meter;
  readonly #counts: Counts;

  constructor(log: Log, meter: Meter, counts: Counts) {
    this.#log = log;
    this.#meter = meter;
    this.#counts = counts;
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
    this.#meter.cell("logged", "warn", event).value++;
    this.#log.warn(event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#counts.get(event)?.(fields ?? NO_FIELDS);
    this.#meter.cell("logged", "error", event).value++;
    this.#log.error(event, fields);
  }

  child(fields: LogFields): Log {
    return new CountingLog(this.#log.child(fields), this.#meter, this.#counts);
  }
}
