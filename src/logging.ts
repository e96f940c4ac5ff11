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
  if (!forPeople) return wrap(pino(options, destination));
  const stream = pretty({
    colorize: process.stdout.isTTY,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    singleLine: true,
    destination,
  });
  return wrap(pino(options, stream));
}

function wrap(logger: Logger): Log {
  return {
    debug: (event, fields) => logger.debug(toPino(fields), event),
    info: (event, fields) => logger.info(toPino(fields), event),
    warn: (event, fields) => logger.warn(toPino(fields), event),
    error: (event, fields) => logger.error(toPino(fields), event),
    child: (fields) => wrap(logger.child(toPino(fields))),
  };
}

/** pino writes an `Error` in full only under the key `err`. */
function toPino(fields: LogFields | undefined): object {
  if (fields === undefined) return {};
  const error = fields.error;
  if (!(error instanceof Error)) return fields;
  const { error: _, ...rest } = fields;
  return { ...rest, err: error };
}
