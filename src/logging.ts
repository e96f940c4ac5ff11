import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import type { Log, LogFields } from "./base/index.ts";

/** How log lines look: JSON for machines, "pretty" for people, "auto": pretty on a terminal. */
export interface LogSettings {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly format: "json" | "pretty" | "auto";
}

/**
 * The daemon's log, on standard output. One line an event: `event` is its stable name, the rest are its fields. An exception
 * is written with its stack; it goes no further than this.
 */
export function makeLog(settings: LogSettings, destination: DestinationStream = process.stdout): Log {
  const forPeople = settings.format === "pretty" || (settings.format === "auto" && process.stdout.isTTY);
  const options = {
    level: settings.level,
    base: null,
    messageKey: "event",
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!forPeople) return new PinoLog(pino(options, destination), {});
  const stream = pretty({
    colorize: process.stdout.isTTY,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    destination,
  });
  return new PinoLog(pino(options, stream), {});
}

/** A child holds its fields and no more: there is one for each connection, and one of pino's own weighs ten times as much. */
class PinoLog implements Log {
  readonly #logger: Logger;
  readonly #fields: LogFields;

  constructor(logger: Logger, fields: LogFields) {
    this.#logger = logger;
    this.#fields = fields;
  }

  debug(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("debug")) this.#logger.debug(toPino({ ...this.#fields, ...fields }), event);
  }

  info(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("info")) this.#logger.info(toPino({ ...this.#fields, ...fields }), event);
  }

  warn(event: string, fields?: LogFields): void {
    if (this.#logger.isLevelEnabled("warn")) this.#logger.warn(toPino({ ...this.#fields, ...fields }), event);
  }

  error(event: string, fields?: LogFields): void {
    this.#logger.error(toPino({ ...this.#fields, ...fields }), event);
  }

  child(fields: LogFields): Log {
    return new PinoLog(this.#logger, { ...this.#fields, ...fields });
  }
}

/** pino writes an `Error` in full only under the key `err`. */
function toPino(fields: LogFields): object {
  const error = fields.error;
  if (!(error instanceof Error)) return fields;
  const { error: _, ...rest } = fields;
  return { ...rest, err: error };
}
